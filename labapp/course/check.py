"""``lab check NN``: a learner's module under the faults of its stage.

The diagnosis comes from the verdicts alone, never from names or source: a renamed copy gets the
same one.  Used by ``labapp.cli`` and, through ``labapp.check``, by the notebooks.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labapp.checker.verdict import Verdict
from labapp.course.stage import Diagnosis, Stage, Trial
from labapp.course.stages import stage_named
from labapp.errors import LabError
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan
from labapp.lab.session import Session
from labapp.stack.state import find_stack
from labapp.views import markup
from labapp.views.tables import comparison

ANSWERS_VARIABLE = "LAB_ANSWERS"
"""Whose answers are checked where nobody says: ``exercises`` (default), ``solutions``, a folder."""

PASSED, NOT_YET, COULD_NOT_RUN = 0, 1, 2
"""Exit statuses of ``lab check``."""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """The outcome of a check.

    Args:
        stage: what was checked.
        verdicts: by trial, in order; a trial after the first failure without a fault is missing.
        diagnosis: what is wrong; None where all is well.
    """

    stage: Stage
    verdicts: Mapping[str, Verdict]
    diagnosis: Diagnosis | None

    @property
    def passed(self) -> bool:
        """Whether every fault was survived."""
        return self.diagnosis is None

    def lines(self) -> list[str]:
        """What is said below the table."""
        title = f"stage {self.stage.number} {self.stage.name}"
        if self.diagnosis is None:
            return [f"{title}: passed"]
        return [
            f"{title}: not yet ({self.diagnosis.code})",
            self.diagnosis.says,
            f"Look next: {self.diagnosis.look}",
        ]

    def __repr__(self) -> str:
        return "\n".join([repr(comparison(self.verdicts)), "", *self.lines()])

    def _repr_html_(self) -> str:
        table = comparison(self.verdicts)._repr_html_()
        return table + "".join(f"<p>{markup.text(line)}</p>" for line in self.lines())

    def to_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "stage": self.stage.number,
            "passed": self.passed,
            "diagnosis": self.diagnosis.code if self.diagnosis else None,
            "faults": [fault_json(name, verdict) for name, verdict in self.verdicts.items()],
        }


def fault_json(name: str, verdict: Verdict) -> dict[str, Any]:
    """One row of the report."""
    return {
        "name": name,
        "at_least_once": verdict.at_least_once,
        "exactly_once": verdict.exactly_once,
        "lost": list(verdict.lost),
        "duplicated": list(verdict.duplicated),
        "stuck": list(verdict.stuck),
    }


def check(
    stage: str | Stage, answers: str | Path = "", progress: Callable[[str], None] | None = None
) -> Report:
    """Run a stage's faults against an answer.

    Args:
        stage: number or name.
        answers: ``exercises``, ``solutions`` or a folder with the module; by default what
            ``$LAB_ANSWERS`` says, else ``exercises``.
        progress: called with one line per trial.

    Raises:
        LabError: it could not be run, or a verdict is unknown; with the reason.
    """
    chosen = stage if isinstance(stage, Stage) else stage_named(stage)
    if not chosen.trials:
        raise LabError(f"stage {chosen.folder} has no exercise", hint="the first one is 02_crash")
    module = Module(chosen.module, answers_folder(chosen, answers))
    with Session(find_stack()) as session:
        verdicts = run_trials(session, chosen, module, progress or silent)
    trials = {trial.name: trial for trial in chosen.trials}
    failed = any(not trials[name].passed(verdict) for name, verdict in verdicts.items())
    return Report(chosen, verdicts, chosen.diagnose(verdicts) if failed else None)


def run_trials(
    session: Session, stage: Stage, module: Module, progress: Callable[[str], None]
) -> dict[str, Verdict]:
    """The verdict of each trial; an answer that fails without any fault gets no others."""
    verdicts: dict[str, Verdict] = {}
    for number, trial in enumerate(stage.trials, start=1):
        verdict = run_trial(session, stage, module, trial)
        outcome = "passed" if trial.passed(verdict) else "not yet"
        progress(f"{number}/{len(stage.trials)} {trial.name}: {outcome}")
        verdicts[trial.name] = verdict
        if trial.fault is None and outcome != "passed":
            break
    return verdicts


def run_trial(session: Session, stage: Stage, module: Module, trial: Trial) -> Verdict:
    """The verdict of one trial.  Raises LabError where it is unknown."""
    plan = Plan(
        module=module,
        task=f"{module.name}.{stage.task}",
        work=trial.work,
        fault=trial.fault,
        deadline=trial.deadline,
    )
    verdict = conduct(session, plan).judged
    if verdict.unknown:
        raise LabError(
            f"no verdict for {trial.name!r}: {verdict.unknown}",
            hint="does the task still charge each order with one request to the partner?",
        )
    return verdict


def answers_folder(stage: Stage, answers: str | Path = "") -> Path:
    """The folder with the answer's module.  Raises LabError where there is none."""
    chosen = str(answers or os.environ.get(ANSWERS_VARIABLE, "") or "exercises")
    named = chosen in ("exercises", "solutions")
    folder = project_root() / chosen / stage.folder if named else Path(chosen).resolve()
    if not folder.is_dir():
        raise LabError(
            f"there is no folder {chosen}{'/' + stage.folder if named else ''}",
            hint=f"--answers takes exercises, solutions or a folder that holds {stage.module}.py",
        )
    return folder


def project_root() -> Path:
    """The folder with ``exercises/`` and ``solutions/``: this one or one above it."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "exercises").is_dir() and (folder / "solutions").is_dir():
            return folder
    raise LabError("no exercises/ here", hint="run this inside the project's folder")


def main(stage: str, answers: str = "", as_json: bool = False) -> int:
    """The command: print the report, return the exit status.

    Raises:
        LabError: it could not run; the command line shows the reason and exits with 2.
    """
    report = check(stage, answers, None if as_json else say)
    print(json.dumps(report.to_json(), indent=2) if as_json else f"\n{report!r}")
    return PASSED if report.passed else NOT_YET


def silent(line: str) -> None:
    """No progress."""


def say(line: str) -> None:
    """A line of progress."""
    print(line, file=sys.stderr, flush=True)
