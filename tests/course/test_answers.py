"""The check on the course's own answers, with real workers and real faults."""

from __future__ import annotations

import pytest
from answers import NOT_PASSING, WITH_EXERCISE, Wrong

from labapp.course.check import check
from labapp.course.stage import Stage
from labapp.lab.session import COLD_STARTS
from labapp.stack.state import Stack


@pytest.mark.parametrize("stage", WITH_EXERCISE, ids=lambda stage: stage.number)
def test_the_solution_survives_every_fault(stage: Stage, lab_here: Stack) -> None:
    report = check(stage, "solutions")

    assert report.passed, f"the solution does not pass:\n{report!r}"
    assert list(report.outcomes) == [trial.name for trial in stage.trials]


@pytest.mark.parametrize("answers", ["solutions", "exercises"])
@pytest.mark.parametrize("stage", WITH_EXERCISE, ids=lambda stage: stage.number)
def test_workers_started_by_the_command_line_give_the_same_report(
    stage: Stage, answers: str, lab_here: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked = check(stage, answers)
    monkeypatch.setenv(COLD_STARTS, "1")
    started = check(stage, answers)

    assert started.outcomes == forked.outcomes
    assert repr(started) == repr(forked)


@pytest.mark.parametrize("wrong", NOT_PASSING, ids=str)
def test_a_wrong_answer_fails_as_is_written_beside_it(wrong: Wrong, lab_here: Stack) -> None:
    report = check(wrong.stage, wrong.folder)

    failed = wrong.stage.failed(report.outcomes)
    assert report.diagnosis is not None, f"{wrong} passes"
    assert report.diagnosis.code == wrong.diagnosis, f"another diagnosis:\n{report!r}"
    assert not wrong.trial or wrong.trial in failed, f"survives {wrong.trial!r}:\n{report!r}"
