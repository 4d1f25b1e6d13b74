"""Invariants that need a lab and minutes: what the check says of answers, what nbval of notebooks.

Used by ``verify.command``; the tests judge their own checks by ``answer_problem``, so that nothing
runs twice in CI.  Depends on ``labapp.course.check`` and, in a process of its own, on pytest.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from labapp.course.course import FILE
from labapp.course.notebooks import stage_of
from labapp.course.report import Report
from labapp.course.stage import Progress, Stage
from labapp.course.verify.context import Context, Problem
from labapp.errors import LabError

PATIENCE = 10
"""How many times its seconds a notebook may take before it is given up."""
START = 120
"""Seconds that pytest and a lab may take to start, and to end, beside that."""
CELLS_FAILED = 1
"""pytest's exit status where something was red; others say that it could not run."""


@dataclass(frozen=True)
class Told:
    """An answer, and what the course says that the check says of it.

    Args:
        stage: whose check.
        name: ``solution``, ``starter`` or the wrong answer's.
        root: the project's folder.
        path: of the folder with its modules, from there.
        diagnosis: its code; "" where the answer passes.
        fault: the one that decides; any one where it is "".
    """

    stage: Stage
    name: str
    root: Path
    path: str
    diagnosis: str = ""
    fault: str = ""

    @property
    def folder(self) -> Path:
        """The folder with its modules."""
        return self.root / self.path

    def __str__(self) -> str:
        return f"{self.stage.number}-{self.name}"


def told_of(context: Context) -> Iterator[Told]:
    """Every answer in the project: of each stage the solution, the starter, the wrong ones."""
    for one in context.exercised:
        stage, root = one.stage, context.root
        yield Told(stage, "solution", root, f"solutions/{one.lesson.folder}")
        yield Told(stage, "starter", root, one.starter, one.exercise.starter)
        for name, wrong in one.exercise.wrong_answers.items():
            path = f"{one.wrong_answers}/{name}"
            yield Told(stage, name, root, path, wrong.diagnosis, wrong.fault)


def answer_problem(told: Told, report: Report) -> Problem | None:
    """Whether the check said what the course says.

    Args:
        told: the answer.
        report: what the check said of it.
    """
    where = told.path
    code = report.diagnosis.code if report.diagnosis else ""
    what = f"the check passes it, not {told.diagnosis!r}"
    if code:
        failed = ", ".join(told.stage.failed(report.outcomes))
        what = f"the check says {code!r} ({failed}), not {told.diagnosis or 'that it passes'!r}"
    if code != told.diagnosis:
        return Problem(
            where,
            what,
            "mend the answer; or the diagnoses of its stage, where they are wrong; "
            f"or say in {FILE} what is true",
        )
    if told.fault and told.fault not in told.stage.failed(report.outcomes):
        return Problem(
            where, f"it survives {told.fault!r}", f"name in {FILE} a fault that it does not survive"
        )
    missing = [trial.name for trial in told.stage.trials if trial.name not in report.outcomes]
    if not told.diagnosis and missing:
        return Problem(where, f"it was not tried under {missing[0]!r}", "mend the stage's check")
    return None


def answers_get_their_diagnosis(
    context: Context, numbers: Collection[str], progress: Progress
) -> Iterator[Problem]:
    """Solutions pass; starters and wrong answers fail as the course says.

    Args:
        context: the course.
        numbers: of the stages.
        progress: takes one line for each answer.

    Raises:
        LabError: no lab runs here, or a check could not be run.
    """
    from labapp.course.check import check, silent

    chosen = [told for told in told_of(context) if told.stage.number in numbers]
    for count, told in enumerate(chosen, start=1):
        report = check(told.stage, told.folder, silent)
        found = answer_problem(told, report)
        said = report.diagnosis.code if report.diagnosis else "passes"
        progress(f"answers {count}/{len(chosen)} {told}: {said}{', WRONG' if found else ''}")
        if found:
            yield found


def notebooks_pass_in_time(
    context: Context, numbers: Collection[str], progress: Progress
) -> Iterator[Problem]:
    """Each notebook is green under nbval, within its seconds.

    Args:
        context: the course.
        numbers: of the stages, "cases" for the case files.
        progress: takes one line for each notebook.

    Raises:
        LabError: pytest or nbval is missing, or did not run.
    """
    chosen = [path for path in context.listed if stage_of(Path(path)) in numbers]
    for count, path in enumerate(chosen, start=1):
        budget = context.listed[path]
        seconds, red = run_notebook(context.root, path, budget)
        found = notebook_problem(path, seconds, budget, red)
        said = f"{seconds:.0f} s of {budget}{', WRONG' if found else ''}"
        progress(f"notebooks {count}/{len(chosen)} {path}: {said}")
        if found:
            yield found


def notebook_problem(path: str, seconds: float, budget: int, red: str = "") -> Problem | None:
    """Whether a run of a notebook was as it should be.

    Args:
        path: of the notebook.
        seconds: that it took.
        budget: seconds that it may take.
        red: what was red in it; "" for nothing.
    """
    if red:
        return Problem(path, red, f"`make test NB={stage_of(Path(path))}` shows it")
    if seconds <= budget:
        return None
    return Problem(
        path,
        f"it took {seconds:.0f} s, and {budget} are allowed",
        f"shorten it, or allow more in {FILE}; was the machine busy with other things?",
    )


def run_notebook(root: Path, path: str, budget: int) -> tuple[float, str]:
    """Run one notebook under nbval, in a process and with a lab of its own.

    Args:
        root: the project's folder.
        path: of the notebook, from there.
        budget: its seconds.

    Returns:
        Seconds that it took, the start of the lab included; and what is red, "" for nothing.

    Raises:
        LabError: pytest or nbval is missing, did not run, or did not end.
    """
    for module in ("pytest", "nbval"):
        if importlib.util.find_spec(module) is None:
            raise LabError(f"{module} is not installed", hint="`make venv`, then .venv/bin/lab")
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", path, f"--junit-xml={junit}", "-q", "--color=no"]
        try:
            done = subprocess.run(
                [*command, "-p", "no:cacheprovider"],
                cwd=root,
                env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE * budget + START,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{path} did not end within {error.timeout:.0f} s") from None
        if done.returncode not in (0, CELLS_FAILED) or not junit.exists():
            raise LabError(
                f"{path} could not be run: {last_line(done.stdout)}",
                hint=f"try `make test NB={stage_of(Path(path))}`",
            )
        return read_junit(junit)


def last_line(text: str) -> str:
    """The last line with anything in it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def read_junit(path: Path) -> tuple[float, str]:
    """Seconds of all items in a JUnit report, and the first red one; "" where none is."""
    cases = list(ET.parse(path).getroot().iter("testcase"))  # noqa: S314 - our own file
    red = [case.get("name", "?") for case in cases if any(c.tag != "properties" for c in case)]
    others = f", and {len(red) - 1} more" if len(red) > 1 else ""
    what = f"{red[0]} is red under nbval{others}" if red else ""
    return sum(float(case.get("time", "0")) for case in cases), what


RUNNING = (answers_get_their_diagnosis, notebooks_pass_in_time)
"""In the order in which ``lab verify --run`` asks them."""
