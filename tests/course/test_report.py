"""The report of a check as text, HTML and JSON: the same on every run, and pleasant to read."""

from __future__ import annotations

import pytest
from test_diagnoses import BACK, SOLVED, lost, stuck

from labapp.course.report import WIDTH, Report
from labapp.course.stage import Outcome
from labapp.course.stage_02 import CALM, CHILD, CRASH, POISON, WORKER

STARTER = {
    **SOLVED,
    WORKER: lost("order-4", "PENDING"),
    CHILD: lost("order-3", "FAILURE: WorkerLostError"),
}
HOPELESS = {CALM: lost("order-1", "FAILURE: <b>Error")}

PASSED_TEXT = """\
fault          survived  lost  duplicated  stuck  failed
no fault       yes       -     -           -      -
worker killed  yes       -     order-3     -      -
child killed   yes       -     -           -      -
cold shutdown  yes       -     order-3     -      -
poison order   yes       -     -           -      order-3

A charge that happens twice after a fault is allowed in this stage.
A failure on record is the best end for an order that cannot be charged.

Stage 02, crash: passed."""

NOT_RUN_TEXT = """\
fault          survived  lost     duplicated  stuck  failed
no fault       NO        order-1  -           -      -
worker killed  not run   -        -           -      -
child killed   not run   -        -           -      -
cold shutdown  not run   -        -           -      -
poison order   not run   -        -           -      -

no fault: order-1 lost, result FAILURE: <b>Error.
The other faults were not run: first it has to work when nothing strikes.

Stage 02, crash: not yet (fails-by-itself)."""


def report(outcomes: dict[str, Outcome]) -> Report:
    """The report on made-up outcomes."""
    return Report(CRASH, outcomes, CRASH.diagnose(outcomes))


def test_a_passed_check_reads_like_this() -> None:
    assert repr(report(SOLVED)) == PASSED_TEXT


def test_a_check_that_stopped_after_the_first_trial_says_so() -> None:
    assert repr(report(HOPELESS)).startswith(NOT_RUN_TEXT)


def test_a_failed_check_ends_with_the_diagnosis_and_where_to_look() -> None:
    text = repr(report(STARTER))
    assert "worker killed: order-4 lost, result PENDING." in text
    assert "Stage 02, crash: not yet (acknowledged-early).\nWhat was running was lost" in text
    assert "\nLook next: notebooks/02_crash.ipynb, 'Early acknowledgement'" in text


@pytest.mark.parametrize("diagnosis", CRASH.diagnoses, ids=lambda diagnosis: diagnosis.code)
def test_no_line_of_a_report_is_too_long(diagnosis) -> None:  # type: ignore[no-untyped-def]
    text = repr(Report(CRASH, STARTER, diagnosis))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert not any(line != line.rstrip() for line in text.splitlines())
    assert "?." not in text
    assert ".." not in text


def test_what_is_to_be_typed_is_code_in_the_rich_form() -> None:
    html = report(STARTER)._repr_html_()
    assert "<code>celery -A shop report</code>" in html
    assert "`" not in html


def test_the_rich_form_says_the_same_escaped_and_without_scripts() -> None:
    html = report(HOPELESS)._repr_html_()
    for said in ("not run", "fails-by-itself", "&lt;b&gt;Error", "The other faults were not run"):
        assert said in html
    assert "<b>" not in html
    assert "<script" not in html


def test_json_has_a_row_for_every_fault_and_null_for_those_not_run() -> None:
    told = report(HOPELESS).to_json()
    assert list(told) == ["stage", "passed", "diagnosis", "faults"]
    assert (told["stage"], told["passed"], told["diagnosis"]) == ("02", False, "fails-by-itself")
    assert told["faults"][0] == {
        "name": "no fault",
        "at_least_once": False,
        "exactly_once": False,
        "lost": ["order-1"],
        "duplicated": [],
        "stuck": [],
    }
    assert [fault["at_least_once"] for fault in told["faults"][1:]] == [None] * 4
    assert [fault["exactly_once"] for fault in told["faults"][1:]] == [None] * 4


def test_json_of_a_passed_check_has_no_diagnosis() -> None:
    told = report(SOLVED).to_json()
    assert told["passed"] is True
    assert told["diagnosis"] is None
    assert told["faults"][1]["duplicated"] == ["order-3"]


@pytest.mark.parametrize("outcomes", [{**SOLVED, POISON: stuck("running")}, STARTER, HOPELESS])
def test_a_report_is_the_same_every_time(outcomes: dict[str, Outcome]) -> None:
    assert repr(report(outcomes)) == repr(report(dict(outcomes)))
    assert report(outcomes)._repr_html_() == report(dict(outcomes))._repr_html_()


def test_what_came_back_is_evidence_and_not_shown() -> None:
    taken = report({**SOLVED, WORKER: lost("order-4", "SUCCESS", BACK)})
    assert taken.diagnosis is not None
    assert taken.diagnosis.code == "taken-for-done"
    assert "order-5" not in repr(taken)
