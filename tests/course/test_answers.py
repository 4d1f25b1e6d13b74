"""The check on the course's own answers, with real workers and real faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from answers import ANSWERS

from labapp.course.check import check
from labapp.course.report import Report
from labapp.course.stage import Stage
from labapp.course.verify.running import Told, answer_problem
from labapp.lab.session import COLD_STARTS
from labapp.stack.state import Stack

Checked = Callable[[Stage, Path], Report]


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


@pytest.mark.parametrize(
    "told", [told for told in ANSWERS if told.name in ("solution", "starter")], ids=str
)
def test_workers_started_by_the_command_line_give_the_same_report(
    told: Told, checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked = checked(told.stage, told.folder)
    monkeypatch.setenv(COLD_STARTS, "1")
    started = check(told.stage, told.folder)

    assert started.outcomes == forked.outcomes
    assert repr(started) == repr(forked)
