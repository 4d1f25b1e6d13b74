"""The check on the course's own answers, with real workers and real faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from answers import ANSWERS, NOT_PASSING, copy_renamed

from labapp.course.check import check
from labapp.course.report import Report
from labapp.course.stage import Outcome, Stage
from labapp.course.verify.running import Told, answer_problem
from labapp.lab.session import COLD_STARTS
from labapp.stack.state import Stack

Checked = Callable[[Stage, Path], Report]
COLD = [told for told in ANSWERS if str(told) in ("02-solution", "05-solution")]
"""How a worker is started is the same in all stages: one that kills workers, and the one with time
limits, where processes end in every way."""


@pytest.fixture(name="reports", scope="module")
def _reports() -> dict[Path, Report]:
    """The report of each folder of answers so far."""
    return {}


@pytest.fixture(name="checked")
def _checked(lab_here: Stack, reports: dict[Path, Report]) -> Checked:
    """What the check says of a folder of answers; each is checked once for all of these tests."""

    def report(stage: Stage, answers: Path) -> Report:
        if answers not in reports:
            reports[answers] = check(stage, answers)
        return reports[answers]

    return report


@pytest.mark.parametrize("told", ANSWERS, ids=str)
def test_the_check_says_of_an_answer_what_the_course_says(told: Told, checked: Checked) -> None:
    report = checked(told.stage, told.folder)

    problem = answer_problem(told, report)
    assert problem is None, f"{problem}\n{report!r}"


@pytest.mark.parametrize("told", COLD, ids=str)
def test_workers_started_by_the_command_line_give_the_same_report(
    told: Told, checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked = checked(told.stage, told.folder)
    monkeypatch.setenv(COLD_STARTS, "1")
    started = check(told.stage, told.folder)

    assert started.outcomes == forked.outcomes
    assert repr(started) == repr(forked)


@pytest.mark.parametrize("wrong", NOT_PASSING, ids=str)
def test_a_renamed_copy_does_the_same_under_the_fault_that_decides(
    wrong: Told, checked: Checked, tmp_path: Path
) -> None:
    """A diagnosis is read off the outcomes, and so is the same where these are."""
    original = checked(wrong.stage, wrong.folder)
    decides = wrong.fault or wrong.stage.failed(original.outcomes)[0]
    copy = copy_renamed(wrong.folder, tmp_path, keep=set(wrong.stage.contract))

    report = check(only_to(wrong.stage, decides), copy)

    assert decides in report.outcomes
    for name, outcome in report.outcomes.items():
        assert read_by_diagnoses(outcome) == read_by_diagnoses(original.outcomes[name]), name


def read_by_diagnoses(outcome: Outcome) -> Outcome:
    """The outcome without what no diagnosis goes by, and a copy may show otherwise.

    Its own line stands in it under other names.  Which of the orders that came through were in the
    worker's hands when it died is chance where a task sends another one: two pool processes send
    at the same time, and theirs is the order of the queue."""
    verdict = replace(outcome.verdict, recovered=())
    told = {*verdict.reasons, *verdict.duplicated}
    return replace(outcome, verdict=verdict, given_back=outcome.given_back & told, raised={})


def only_to(stage: Stage, decides: str) -> Stage:
    """The stage without the trials that this one does not need."""
    names = [trial.name for trial in stage.trials]
    before = stage.trials[: names.index(decides) + 1]
    # The questions of an interview are put in turn, each where the one before has left off.
    return replace(stage, trials=before if stage.examine else before[-1:])
