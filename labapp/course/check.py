"""``lab check NN``: a learner's module under the faults of its stage.

The diagnosis comes from the outcomes alone, never from names or source: a renamed copy gets the
same one.  Used by ``labapp.cli`` and, through ``labapp.check``, by the notebooks.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from labapp.checker.history import Attempt, Mark, Restored, Result, Sent
from labapp.course.files import require_files
from labapp.course.naming import no_exercise
from labapp.course.places import project_root
from labapp.course.report import Report
from labapp.course.stage import Outcome, Progress, Stage, Trial, try_in_turn
from labapp.course.stages import STAGES, stage_named
from labapp.errors import LabError
from labapp.lab.conductor import conduct
from labapp.lab.matrix import Sessions
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run
from labapp.lab.session import Session
from labapp.stack.state import find_stack

ANSWERS_VARIABLE = "LAB_ANSWERS"
"""Whose answers are checked where nobody says: ``exercises`` (default), ``solutions``, a folder."""

PASSED, NOT_YET, COULD_NOT_RUN = 0, 1, 2
"""Exit statuses of ``lab check``."""


def check(
    stage: str | Stage,
    answers: str | Path = "",
    progress: Progress | None = None,
    *,
    drawing: bool = False,
) -> Report:
    """Run a stage's faults against an answer.

    Args:
        stage: number or name.
        answers: ``exercises``, ``solutions`` or a folder with the module; by default what
            ``$LAB_ANSWERS`` says, else ``exercises``.
        progress: called with one line per trial; by default lines are printed in a notebook and
            nowhere else.
        drawing: whether the outcomes have timelines, where a trial is one run.

    Raises:
        LabError: it could not be run, or a verdict is unknown; with the reason.
    """
    chosen = stage if isinstance(stage, Stage) else stage_named(stage)
    if not chosen.trials:
        raise no_exercise(chosen, (known for known in STAGES.values() if known.trials))
    module = Module(chosen.module, answers_folder(chosen, answers))
    own = is_the_learners(chosen, module.path)
    if own:
        require_files(chosen.number, module.path, module.file.name)
    version = module.version()
    with Session(find_stack()) as session:
        examine = chosen.examine or partial(run_trials, drawing=drawing)
        with told_in_one_line():
            outcomes = examine(session, chosen, module, progress or watched())
    report = Report(chosen, outcomes, chosen.diagnose(outcomes))
    if module.version() != version:
        say("lab: saved while it was checked: this is of neither version, so check again")
    elif own:
        note(report)
    return report


def is_the_learners(stage: Stage, folder: Path) -> bool:
    """Whether this folder is the stage's exercise in the project here."""
    try:
        exercise = project_root() / "exercises" / stage.folder
    except LabError:  # no project: an answer in some other folder
        return False
    return folder.resolve() == exercise.resolve()


def note(report: Report) -> None:
    """Note the outcome in the learner's progress.  A verdict stands, whatever becomes of that."""
    from labapp.course.progress import note_check

    code = report.diagnosis.code if report.diagnosis else None
    try:
        note_check(report.stage.folder, report.passed, code)
    except LabError as error:
        say(f"lab: {error}")


def run_trials(
    session: Session, stage: Stage, module: Module, progress: Progress, *, drawing: bool = False
) -> dict[str, Outcome]:
    """The outcome of each trial; an answer that fails without any fault gets no others.

    Where several run at a time, each has a session of its own; it shows the same as alone."""
    trials = [trial for trial in stage.trials if isinstance(trial, Trial)]

    def tried(own: Session, trial: Trial) -> Outcome:
        return run_trial(own, stage, module, trial, drawing=drawing)

    if stage.at_once == 1:
        return try_in_turn(trials, lambda trial: tried(session, trial), progress)
    with Sessions(session.stack, stage.at_once) as sessions:

        def in_order() -> Iterator[Outcome]:
            yield tried(session, trials[0])  # alone: an answer that fails here gets no others
            yield from sessions.each(tried, trials[1:])

        outcomes = in_order()
        return try_in_turn(trials, lambda _: next(outcomes), progress)


def run_trial(
    session: Session, stage: Stage, module: Module, trial: Trial, *, drawing: bool = False
) -> Outcome:
    """The outcome of one trial.  Raises LabError where its verdict is unknown."""
    plan = Plan(
        module=module,
        task=f"{module.name}.{stage.task}",
        work=trial.work,
        fault=trial.fault,
        deadline=trial.deadline,
        countdown=trial.countdown,
        time_passes=trial.time_passes,
        expect=trial.expect,
        refused=trial.refused,
        drawing=drawing or trial.waits,
        horizon=trial.horizon,
        then_replay=trial.then_replay,
    )
    run = conduct(session, plan)
    verdict = run.judged
    if verdict.unknown:
        raise LabError(f"no verdict for {trial.name!r}: {verdict.unknown}", hint=hint(trial))
    given_back = frozenset(key for event in run.history.of(Restored) for key in event.keys)
    raised = {result.key: result.raised for result in run.history.of(Result) if result.raised}
    return Outcome(
        verdict,
        given_back,
        raised=raised,
        states={key: run.states.get(key, "") for key in trial.must_say()},
        letters=letters_of(run),
        tries=by_key((attempt.key, attempt.at) for attempt in run.history.of(Attempt)),
        waits=waits_of(run.history.of(Mark)),
        timeline=run.timeline if drawing else None,
    )


def letters_of(run: Run) -> tuple[str, ...]:
    """Whose the dead letters are: the business key of the task sent, or what an entry goes by."""
    keys = {sent.task_id: sent.key.rpartition(" of ")[2] for sent in run.history.of(Sent)}
    return tuple(keys.get(letter.id, letter.key) for letter in run.letters)


def by_key(found: Iterable[tuple[str, float]]) -> dict[str, tuple[float, ...]]:
    """The numbers of each business key, in their order."""
    sorted_out: dict[str, tuple[float, ...]] = {}
    for key, number in found:
        sorted_out[key] = (*sorted_out.get(key, ()), number)
    return sorted_out


def waits_of(marks: Iterable[Mark]) -> dict[str, tuple[float, ...]]:
    """For how many seconds each message of a key was to wait that was sent after the first one."""
    sent = by_key((mark.key, mark.wait) for mark in marks if mark.step == "queued")
    return {key: waits[1:] for key, waits in sent.items() if waits[1:]}


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Inside, a LabError with a log in it is told in one line: what is wrong, and the last words.

    Raises:
        LabError: that one, in place of the long one.
    """
    try:
        yield
    except LabError as error:
        first, *log = error.message.splitlines()
        if not log:
            raise
        what = first.removesuffix("; its log ends:")
        raise LabError(
            f"{what}: {log[-1].strip()}", hint="`lab logs` shows the whole log"
        ) from None


def hint(trial: Trial) -> str:
    """How to come to a verdict where there was none."""
    if trial.fault is None:
        return "look at `lab status` and `lab logs`, then check again"
    return (
        "does each order still make one request to the partner, two orders at a time? "
        "If so, look at `lab status`, then check again"
    )


def answers_folder(stage: Stage, answers: str | Path = "") -> Path:
    """The folder with the answer's module.  Raises LabError where there is none."""
    chosen = str(answers or os.environ.get(ANSWERS_VARIABLE, "") or "exercises")
    named = chosen in ("exercises", "solutions")
    folder = project_root() / chosen / stage.folder if named else Path(chosen).resolve()
    if folder.is_dir():
        return folder
    what = f"{chosen}/{stage.folder}" if named else chosen
    if folder.exists():
        raise LabError(f"{what} is a file", hint=f"name the folder that holds {stage.module}.py")
    if chosen == "exercises":
        raise LabError(f"there is no folder {what}", hint=f"`git checkout {what}` brings it back")
    raise LabError(
        f"there is no folder {what}",
        hint=f"--answers takes exercises, solutions or a folder that holds {stage.module}.py",
    )


def main(stage: str, answers: str = "", as_json: bool = False) -> int:
    """The command: print the report, return the exit status.

    Raises:
        LabError: it could not run; the command line shows the reason and exits with 2.
    """
    report = check(stage, answers, silent if as_json else say)
    print(json.dumps(report.to_json(), indent=2) if as_json else f"\n{report!r}")
    return PASSED if report.passed else NOT_YET


def watched() -> Progress:
    """Where a notebook watches, lines of progress are printed."""
    shell = sys.modules.get("IPython")
    return print if shell is not None and shell.get_ipython() is not None else silent


def silent(line: str) -> None:
    """No progress."""


def say(line: str) -> None:
    """A line of progress beside the report."""
    print(line, file=sys.stderr, flush=True)
