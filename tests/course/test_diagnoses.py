"""What is said of an answer follows from the outcomes of its trials, whatever they are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from answers import WITH_EXERCISE
from hypothesis import given
from hypothesis import strategies as st

from labapp.checker.verdict import Verdict
from labapp.course.stage import FALLBACKS, Outcome, Stage
from labapp.course.stage_02 import CALM, CHILD, CRASH, DEPLOY, POISON, WORKER

FIELDS = ("lost", "duplicated", "recovered", "failed", "stuck", "dead_lettered")
REASONS = (
    *("PENDING", "STARTED", "RETRY: Retry", "SUCCESS", "FAILURE: WorkerLostError", "FAILURE"),
    *("queue", "unacked", "running", "waiting", "running, unacked", ""),
)
ORDERS = tuple(f"order-{number}" for number in range(1, 11))


def outcome(given_back: tuple[str, ...] = (), **fields: Mapping[str, str]) -> Outcome:
    """A made-up outcome: for each field of the verdict its keys, with their reasons."""
    reasons = {key: reason for keys in fields.values() for key, reason in keys.items()}
    named = {name: tuple(keys) for name, keys in fields.items()}
    verdict = Verdict(sent=10, happened=10, effects=10, reasons=reasons, **named)
    return Outcome(verdict, frozenset(given_back))


WELL = outcome()
TWICE = outcome(duplicated={"order-3": ""}, given_back=("order-3", "order-4"))
SOLVED = {
    CALM: WELL,
    WORKER: TWICE,
    CHILD: WELL,
    DEPLOY: TWICE,
    POISON: outcome(failed={"order-3": "FAILURE: WorkerLostError"}),
}


def lost(key: str, state: str, given_back: tuple[str, ...] = ()) -> Outcome:
    """One order was lost, and its result says this."""
    return outcome(lost={key: state}, given_back=given_back)


def stuck(where: str, *keys: str) -> Outcome:
    """These orders are still there."""
    return outcome(stuck=dict.fromkeys(keys or ("order-3",), where))


BACK = ("order-3", "order-4", "order-5")
EXAMPLES = (
    ("charges-other-orders", {CALM: outcome(unexpected={"ORDER-1": ""})}),
    ("charges-other-orders", {CALM: outcome(lost={"order-1": "SUCCESS"}, unexpected={"x": ""})}),
    ("nobody-fetches", {CALM: stuck("queue", *ORDERS)}),
    ("does-not-end", {CALM: stuck("running", "order-1", "order-2")}),
    ("does-not-end", {CALM: stuck("waiting", "order-1")}),
    (
        "does-not-end",
        {CALM: outcome(stuck={"order-1": "unacked", "order-9": "queue"})},
    ),
    ("charges-twice", {CALM: outcome(duplicated={"order-1": ""})}),
    ("no-charge", {CALM: lost("order-1", "SUCCESS")}),
    ("fails-by-itself", {CALM: lost("order-1", "FAILURE: HTTPError")}),
    ("fails-by-itself", {CALM: lost("order-1", "PENDING")}),
    ("taken-for-done", {WORKER: lost("order-4", "SUCCESS", BACK)}),
    ("success-without-charge", {WORKER: lost("order-4", "SUCCESS")}),
    ("success-without-charge", {CHILD: lost("order-3", "SUCCESS")}),
    ("fails-when-repeated", {WORKER: lost("order-4", "FAILURE: LockError", BACK)}),
    (
        "acknowledged-early",
        {WORKER: lost("order-4", "PENDING"), CHILD: lost("order-3", "FAILURE: WorkerLostError")},
    ),
    (
        "acknowledged-early",  # without results, and with task_track_started
        {WORKER: lost("order-4", "STARTED"), CHILD: lost("order-3", "PENDING")},
    ),
    ("needs-a-living-worker", {WORKER: lost("order-4", "PENDING")}),
    ("lost-worker-acknowledged", {CHILD: lost("order-3", "FAILURE: WorkerLostError")}),
    ("lost-worker-acknowledged", {CHILD: lost("order-3", "PENDING")}),
    ("returns-too-late", {CHILD: stuck("waiting"), POISON: stuck("waiting")}),
    ("returns-too-late", {POISON: stuck("waiting")}),
    ("waits-for-the-dead", {WORKER: stuck("unacked", *ORDERS[2:])}),
    ("waits-for-the-dead", {CHILD: stuck("unacked"), POISON: stuck("unacked")}),
    ("lost-in-shutdown", {DEPLOY: lost("order-4", "SUCCESS")}),
    ("lost-in-shutdown", {DEPLOY: lost("order-4", "RETRY: Retry")}),
    ("no-bound", {POISON: stuck("running")}),
    ("gives-up-in-silence", {POISON: lost("order-3", "PENDING")}),
    ("gives-up-in-silence", {POISON: lost("order-3", "SUCCESS")}),
    ("lost", {POISON: lost("order-7", "PENDING")}),
    ("not-passed", {DEPLOY: outcome(dead_lettered={"order-3": ""})}),
)


@pytest.mark.parametrize(("code", "changed"), EXAMPLES)
def test_outcomes_of_stage_02_get_the_diagnosis_that_fits(
    code: str, changed: dict[str, Outcome]
) -> None:
    outcomes = changed if CALM in changed else {**SOLVED, **changed}

    found = CRASH.diagnose(outcomes)

    assert found is not None
    assert found.code == code


def test_every_diagnosis_of_stage_02_has_an_example() -> None:
    without = {diagnosis.code for diagnosis in CRASH.diagnoses} - {code for code, _ in EXAMPLES}
    assert not without, f"add a made-up example of {sorted(without)} to EXAMPLES"


def test_the_outcomes_of_a_solution_get_no_diagnosis() -> None:
    assert CRASH.failed(SOLVED) == []
    assert CRASH.diagnose(SOLVED) is None


def test_trials_that_were_not_run_are_not_passed() -> None:
    found = CRASH.diagnose({CALM: WELL})
    assert found is not None
    assert found.code == FALLBACKS[-1].code


keys = st.lists(st.sampled_from((*ORDERS, "ORDER-1")), unique=True, max_size=4)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    """Any verdict: a key has at most one end, and any reason."""
    free = [*ORDERS]
    ends = {}
    for field in FIELDS:
        ends[field] = tuple(key for key in draw(keys) if key in free)
        free = [key for key in free if key not in ends[field]]
    reasons = {key: draw(st.sampled_from(REASONS)) for taken in ends.values() for key in taken}
    unexpected = tuple(draw(keys))
    return Verdict(sent=10, happened=5, effects=5, **ends, unexpected=unexpected, reasons=reasons)


outcomes_of_a_trial = st.builds(Outcome, verdicts(), st.frozensets(st.sampled_from(ORDERS)))


@st.composite
def outcomes_of_a_check(draw: st.DrawFn, stage: Stage) -> dict[str, Outcome]:
    """Any outcomes: those of every trial, or of the first ones only."""
    count = draw(st.integers(1, len(stage.trials)))
    return {trial.name: draw(st.just(WELL) | outcomes_of_a_trial) for trial in stage.trials[:count]}


@pytest.mark.parametrize("stage", WITH_EXERCISE, ids=lambda stage: stage.number)
@given(data=st.data())
def test_whatever_does_not_pass_gets_a_diagnosis_and_nothing_else_does(
    stage: Stage, data: st.DataObject
) -> None:
    outcomes = data.draw(outcomes_of_a_check(stage))

    found = stage.diagnose(outcomes)

    complete = len(outcomes) == len(stage.trials)
    assert (found is None) == (complete and not stage.failed(outcomes))
