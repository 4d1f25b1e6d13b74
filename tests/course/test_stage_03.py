"""Stage 03: its diagnoses, from made-up outcomes, and the room that its numbers leave."""

from __future__ import annotations

import pytest
from test_diagnoses import BACK, TWICE, WELL, lost, outcome, stuck

from labapp.course.stage import Outcome
from labapp.course.stage_03 import (
    AHEAD,
    AHEAD_MINUTES,
    BACK_MINUTES,
    BEHIND,
    CALM,
    CHARGE_MINUTES,
    DUPLICATES,
    SLOW,
    WORKER,
)

SOLVED = {CALM: WELL, SLOW: WELL, BEHIND: WELL, AHEAD: WELL, WORKER: TWICE}


def twice(*keys: str) -> Outcome:
    """These orders were charged twice."""
    return outcome(duplicated=dict.fromkeys(keys, ""), given_back=keys)


EXAMPLES = (
    ("charges-other-orders", {CALM: outcome(unexpected={"ORDER-1": ""})}),
    ("does-not-end", {CALM: stuck("queue", "order-1", "order-2")}),
    ("does-not-end", {CALM: stuck("running", "order-1")}),
    ("charges-twice", {CALM: twice("order-1")}),
    ("fails-by-itself", {CALM: lost("order-1", "FAILURE: HTTPError")}),
    ("taken-for-done", {WORKER: lost("order-4", "SUCCESS", BACK)}),
    ("taken-for-done", {SLOW: lost("order-3", "SUCCESS"), WORKER: lost("order-4", "SUCCESS")}),
    ("acknowledged-early", {WORKER: lost("order-4", "PENDING")}),
    ("acknowledged-early", {SLOW: twice("order-5"), WORKER: lost("order-4", "STARTED")}),
    ("waits-for-the-dead", {SLOW: stuck("waiting"), WORKER: stuck("waiting")}),
    ("waits-for-the-dead", {WORKER: stuck("waiting", "order-3", "order-4")}),
    ("shorter-than-the-charge", {SLOW: twice("order-3"), BEHIND: twice("order-1")}),
    ("fetched-too-early", {BEHIND: twice("order-3"), AHEAD: twice("order-1")}),
    ("forgets-the-countdown", {AHEAD: twice("order-1", "order-2")}),
    ("comes-back-too-late", {WORKER: stuck("unacked", "order-3", "order-4")}),
    ("lost", {SLOW: lost("order-3", "FAILURE: HTTPError")}),
    ("stuck", {WORKER: stuck("queue", "order-9")}),
)


@pytest.mark.parametrize(("code", "changed"), EXAMPLES)
def test_outcomes_of_stage_03_get_the_diagnosis_that_fits(
    code: str, changed: dict[str, Outcome]
) -> None:
    found = DUPLICATES.diagnose(changed if CALM in changed else {**SOLVED, **changed})

    assert found is not None
    assert found.code == code


def test_every_diagnosis_of_stage_03_has_an_example() -> None:
    codes = {diagnosis.code for diagnosis in DUPLICATES.diagnoses}
    without = codes - {code for code, _ in EXAMPLES}
    assert not without, f"add a made-up example of {sorted(without)} to EXAMPLES"


def test_the_outcomes_of_a_solution_get_no_diagnosis() -> None:
    assert DUPLICATES.failed(SOLVED) == []
    assert DUPLICATES.diagnose(SOLVED) is None


def test_only_after_a_crash_may_a_charge_happen_twice() -> None:
    strict = {trial.name: trial.exactly_once for trial in DUPLICATES.trials}
    assert strict == {CALM: True, SLOW: True, BEHIND: True, AHEAD: True, WORKER: False}


def test_a_timeout_can_be_long_enough_and_short_enough_with_prefetch_off_and_not_with_it() -> None:
    """What the lesson and the brief say of the numbers: there is room, and only one way into it."""
    needed = AHEAD_MINUTES + CHARGE_MINUTES
    needed_with_one_order_behind = 2 * CHARGE_MINUTES
    assert needed < BACK_MINUTES
    assert needed_with_one_order_behind >= BACK_MINUTES
