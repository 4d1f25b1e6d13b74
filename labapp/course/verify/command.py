"""The command ``lab verify``.  Used by ``labapp.cli``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from labapp.course.notebooks import CASES
from labapp.course.places import project_root
from labapp.course.stage import Progress
from labapp.course.stages import stage_named
from labapp.course.verify.context import Context, Problem
from labapp.course.verify.invariants import INVARIANTS
from labapp.errors import LabError

AS_IT_SHOULD_BE, PROBLEMS = 0, 1
"""Exit statuses; 2 where it could not run, as with all commands."""


def main(named: Sequence[str], run: bool, say: Progress, progress: Progress) -> int:
    """Ask every invariant, print each problem when it is found, return the exit status.

    Args:
        named: stages whose answers and notebooks to run, "cases" for the case files; all if empty.
        run: whether to run them.
        say: takes problems and the summary.
        progress: takes a line for whatever takes long.

    Raises:
        LabError: it could not run; the command line shows the reason and exits with 2.
    """
    if named and not run:
        raise LabError(
            "stages are named for what is run, and nothing is",
            hint=f"`lab verify --run {' '.join(named)}`; the rest is always asked of all stages",
        )
    context = Context(project_root())
    numbers = numbers_of(context, named)
    if run:
        from labapp.stack.state import find_stack

        find_stack()  # tells at once where nothing runs, not after the notebooks
    found = 0
    for problem in problems(context, numbers if run else (), progress):
        say(str(problem))
        found += 1
    say(summary(found, numbers if run else (), everything=not named))
    return PROBLEMS if found else AS_IT_SHOULD_BE


def numbers_of(context: Context, named: Sequence[str]) -> list[str]:
    """Numbers of these stages, and "cases"; all of them where none is named.

    Raises:
        LabError: there is no such stage.
    """
    if not named:
        return [*(lesson.number for lesson in context.course.stage), CASES]
    return [CASES if name == CASES else stage_named(name).number for name in named]


def problems(context: Context, numbers: Collection[str], progress: Progress) -> Iterator[Problem]:
    """What the static invariants find, then what the running ones find in these stages."""
    for invariant in INVARIANTS:
        yield from invariant(context)
    if numbers:
        from labapp.course.verify.running import RUNNING

        for running in RUNNING:
            yield from running(context, numbers, progress)


def summary(found: int, numbers: Collection[str], *, everything: bool) -> str:
    """What was asked, what was found, and what was not run."""
    counted = "no problem" if not found else f"{found} problem{'s' * (found != 1)}"
    asked = f"{len(INVARIANTS)} invariants, {counted}."
    if not numbers:
        return f"{asked} Not run: answers and notebooks (`lab verify --run`, with a lab running)."
    if everything:
        return f"{asked} Answers and notebooks were run."
    return f"{asked} Run: {', '.join(numbers)}; not run: answers and notebooks of all others."
