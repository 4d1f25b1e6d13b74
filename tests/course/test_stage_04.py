"""Stage 04: its diagnoses, from made-up outcomes; and its solution under the whole crash matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from test_diagnoses import WELL, outcome

from labapp.course.report import Report
from labapp.course.stage import Outcome
from labapp.course.stage_04 import (
    AGAIN,
    BROKEN,
    CALM,
    CHILD,
    DROPPED,
    IDEMPOTENCY,
    ORDERS,
    PAIRS,
    PAUSED,
    REDELIVERED,
    TRIALS,
    TWICE,
    UNBOOKABLE,
    WORKER,
    work,
)
from labapp.lab.matrix import cells, run_matrix
from labapp.lab.publisher import Module
from labapp.lab.run import Plan
from labapp.stack.state import Stack
from labapp.world.kinds import Kind

SOLUTION = Path(__file__).parents[2] / "solutions" / "04_idempotency"
SAID = dict.fromkeys(ORDERS, "SUCCESS")
BACK = ("order-3", "order-4", "order-5")


def seen(made: Outcome, **states: str) -> Outcome:
    """This outcome, with results that say SUCCESS, or these states (``order_3``)."""
    other = {key.replace("_", "-"): state for key, state in states.items()}
    return replace(made, states=SAID | other)


def twice(*keys: str) -> Outcome:
    """These happened twice."""
    return seen(outcome(duplicated=dict.fromkeys(keys, "")))


def lost(state: str, *keys: str, back: tuple[str, ...] = BACK) -> Outcome:
    """These were lost with this state."""
    return seen(outcome(lost=dict.fromkeys(keys, state), given_back=back))


GOOD = seen(WELL)
REFUSED = seen(
    outcome(failed={f"booking of {UNBOOKABLE}": "FAILURE: IntegrityError"}), order_5="FAILURE"
)
SOLVED = {trial.name: GOOD for trial in TRIALS} | {BROKEN: REFUSED}
CHARGE = twice("order-3")
TWO = {AGAIN: CHARGE, REDELIVERED: CHARGE, WORKER: CHARGE, PAUSED: CHARGE, DROPPED: CHARGE}

EXAMPLES: tuple[tuple[str, Mapping[str, Outcome]], ...] = (
    ("charges-other-orders", {CALM: seen(outcome(unexpected={"ORDER-1": ""}))}),
    ("does-not-end", {CALM: seen(outcome(stuck={"order-1": "running"}))}),
    ("happens-twice-by-itself", {CALM: twice("booking of order-1")}),
    ("drops-a-second-order", {CALM: lost("SUCCESS", *ORDERS[5:])}),
    (
        "drops-a-second-order",
        {CALM: lost("SUCCESS", "order-6", "order-2", *(f"booking of {o}" for o in ORDERS[7:]))},
    ),
    ("fails-by-itself", {CALM: lost("FAILURE: TypeError", *ORDERS)}),
    ("fails-by-itself", {CALM: lost("SUCCESS", *(f"booking of {order}" for order in ORDERS))}),
    ("books-twice", TWO | {AGAIN: twice("order-3", "booking of order-3")}),
    ("books-twice", {PAUSED: twice("booking of order-4")}),
    ("taken-for-done", {WORKER: lost("SUCCESS", "order-4", "booking of order-3")}),
    ("taken-for-done", {DROPPED: lost("SUCCESS", "booking of order-3")}),
    ("acknowledged-early", {WORKER: lost("PENDING", "order-4", back=("order-5",))}),
    ("waits-for-the-dead", {WORKER: lost("FAILURE: MaxRetriesExceededError", "order-4")}),
    (
        "waits-for-the-dead",
        {WORKER: seen(outcome(stuck={"booking of order-3": "waiting"}, given_back=BACK))},
    ),
    ("asks-the-partner-again", TWO | {TWICE: CHARGE}),
    ("checks-then-acts", TWO),
    (
        "lock-runs-out",
        {REDELIVERED: CHARGE, CHILD: lost("FAILURE: MaxRetries", "booking of order-3")},
    ),
    ("lock-runs-out", {REDELIVERED: CHARGE, DROPPED: CHARGE}),
    ("differs-between-workers", {REDELIVERED: CHARGE, WORKER: CHARGE, PAUSED: CHARGE}),
    ("key-of-the-attempt", {DROPPED: CHARGE, TWICE: CHARGE}),
    ("key-of-the-task", {TWICE: CHARGE}),
    ("does-not-ask-again", {DROPPED: lost("FAILURE: ReadError", "booking of order-3")}),
    (
        "every-error-is-a-duplicate",
        {BROKEN: lost("SUCCESS", f"booking of {UNBOOKABLE}")},
    ),
    ("every-error-is-a-duplicate", {BROKEN: GOOD}),
    ("leaves-no-result", {TWICE: seen(WELL, order_3="PENDING, SUCCESS")}),
    ("leaves-no-result", {CALM: seen(WELL, **dict.fromkeys(map(str, ORDERS), "PENDING"))}),
    ("lost", {PAUSED: lost("FAILURE: OSError", "booking of order-4")}),
    ("stuck", {CHILD: seen(outcome(stuck={"order-3": "waiting"}))}),
    ("duplicated", {PAUSED: CHARGE}),
    ("not-passed", {BROKEN: seen(WELL, order_5="FAILURE", order_3="FAILURE")}),
)


@pytest.mark.parametrize(("code", "changed"), EXAMPLES)
def test_outcomes_of_stage_04_get_the_diagnosis_that_fits(
    code: str, changed: Mapping[str, Outcome]
) -> None:
    outcomes = changed if CALM in changed else {**SOLVED, **changed}
    found = IDEMPOTENCY.diagnose(outcomes)
    assert found is not None
    assert found.code == code


def test_every_diagnosis_of_stage_04_has_an_example() -> None:
    codes = {diagnosis.code for diagnosis in IDEMPOTENCY.diagnoses}
    assert codes <= {code for code, _ in EXAMPLES}


def test_the_outcomes_of_the_solution_get_no_diagnosis() -> None:
    assert IDEMPOTENCY.failed(SOLVED) == []
    assert IDEMPOTENCY.diagnose(SOLVED) is None


def test_two_orders_of_a_customer_differ_in_nothing_but_their_name() -> None:
    rows = {order: row for order, *row in work()}
    assert len(rows) == len(ORDERS)
    assert all(rows[first] == rows[second] for first, second in PAIRS)
    assert len({tuple(row) for row in rows.values()}) == len(PAIRS)


def test_a_result_that_does_not_say_what_it_must_is_named() -> None:
    report = Report(
        IDEMPOTENCY, SOLVED | {TWICE: seen(WELL, order_3="PENDING, SUCCESS")}, diagnosis=None
    )
    told = "ordered twice: the result of order-3 says PENDING, SUCCESS, and must say SUCCESS."
    assert told in report.notes()


def test_the_solution_is_exactly_once_under_the_whole_crash_matrix(stack: Stack) -> None:
    expect = (Kind.CHARGE, Kind.BOOKING)
    plan = Plan(Module("shop", SOLUTION), "shop.charge", work()[:5], expect=expect, deadline=60.0)
    rows = [cell.name for cell in cells(plan)]
    assert {"publish again", "redeliver"} <= {name.partition(" before")[0] for name in rows}

    matrix = run_matrix(stack, plan)

    count = len(rows)
    expected = f"{count} rows · at least once {count} · exactly once {count}"
    why = {name: verdict.reasons for name, verdict in matrix.verdicts.items() if verdict.reasons}
    assert matrix.summary == expected, f"{matrix!r}\n{why}"
