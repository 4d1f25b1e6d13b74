"""The verdict against a model that is slow and obviously right: per key, from the definitions.

The model asks the whole history anew for each key and each question (quadratic), and is written
from the vocabulary in docs and docstrings, not from the code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labapp.checker.history import (
    Answered,
    Attempt,
    BrokerState,
    DeadLettered,
    Declared,
    Doubt,
    Effect,
    Event,
    FaultFired,
    History,
    Mark,
    Note,
    Remaining,
    Restored,
    Result,
    Sent,
    Step,
    TaskEvent,
    TimeTravel,
    WorkerStarted,
    WorkerStruck,
)
from labapp.checker.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable

# Few keys, so that events meet; "order-10" sorts before "order-2"; "b" is sent less often.
KEYS = ("order-2", "order-10", "b")
BUCKETS = ("lost", "duplicated", "recovered", "failed", "stuck", "dead_lettered")
END = 99.0


# --- the model -------------------------------------------------------------------------------


class Model:
    """Answers each question about a key by looking through everything."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events

    def effects(self, key: str) -> list[float]:
        return [e.at for e in self.events if isinstance(e, Effect) and e.key == key]

    def sent(self, key: str) -> list[float]:
        return [e.at for e in self.events if isinstance(e, Sent) and e.key == key]

    def touched(self, key: str) -> list[float]:
        touching = [e for e in self.events if isinstance(e, FaultFired | Restored)]
        return [e.at for e in touching if key in e.keys]

    def outcomes(self, key: str) -> list[Result]:
        return [e for e in self.events if isinstance(e, Result) and e.key == key]

    def has(self, kind: type[Event], key: str) -> bool:
        return any(isinstance(e, kind) and getattr(e, "key", None) == key for e in self.events)

    def stuck(self, key: str) -> bool:
        return self.has(Remaining, key)

    def dead_lettered(self, key: str) -> bool:
        return self.has(DeadLettered, key) and not self.effects(key) and not self.stuck(key)

    def failed(self, key: str) -> bool:
        states = [result.state for result in self.outcomes(key)]
        says_so = bool(states) and all(state == "FAILURE" for state in states)
        other = self.effects(key) or self.stuck(key) or self.dead_lettered(key)
        return self.has(Declared, key) and says_so and not other

    def lost(self, key: str) -> bool:
        too_few = len(self.effects(key)) < len(self.sent(key))
        return too_few and not (self.stuck(key) or self.dead_lettered(key) or self.failed(key))

    def duplicated(self, key: str) -> bool:
        too_many = len(self.effects(key)) > len(self.sent(key)) > 0
        return too_many and not self.stuck(key)

    def recovered(self, key: str) -> bool:
        as_expected = len(self.effects(key)) == len(self.sent(key))
        rescued = any(e > t for e in self.effects(key) for t in self.touched(key))
        return as_expected and rescued and not self.stuck(key)

    def unexpected(self, key: str) -> bool:
        return bool(self.effects(key)) and not self.sent(key)

    def order(self) -> list[str]:
        """All keys in order of sending, then those never sent, by name."""
        sent = sorted((k for k in KEYS if self.sent(k)), key=lambda k: min(self.sent(k)))
        return sent + sorted(k for k in KEYS if not self.sent(k))

    def keys(self, belongs: Callable[[str], bool]) -> tuple[str, ...]:
        return tuple(key for key in self.order() if belongs(key))

    def happened(self) -> int:
        return sum(min(len(self.effects(k)), len(self.sent(k))) for k in KEYS)


# --- histories -------------------------------------------------------------------------------

key = st.sampled_from(KEYS)
some_keys = st.lists(key, max_size=3).map(tuple)


now = st.just(0.0)  # replaced by the place in the history
name = st.just("fault")
state = st.sampled_from(["PENDING", "SUCCESS", "FAILURE", "FAILURE", "RETRY"])
error = st.sampled_from(["", "ValueError", "WorkerLostError"])
where = st.sampled_from(["queue", "unacked", "running", "waiting"])
send = st.builds(Sent, now, st.sampled_from(KEYS[:2]), st.just("id"))
effect = st.builds(Effect, now, key)
anything = st.one_of(
    send,
    send,
    effect,
    effect,
    st.builds(Sent, now, key, st.just("id")),
    st.builds(Attempt, now, key),
    st.builds(FaultFired, now, name, some_keys),
    st.builds(Restored, now, some_keys),
    st.builds(Result, now, key, state, error),
    st.builds(Declared, now, key),
    st.builds(Remaining, now, key, where),
    st.builds(DeadLettered, now, key),
    st.builds(BrokerState, now, name, some_keys, some_keys),
    st.builds(Note, now, name),
    st.builds(Mark, now, key, st.sampled_from(get_args(Step))),
    st.builds(TaskEvent, now, key, name),
    st.builds(Answered, now, key),
    st.builds(WorkerStarted, now, name, st.booleans()),
    st.builds(WorkerStruck, now, name, name, some_keys),
    st.builds(TimeTravel, now, now),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Up to 25 events but no Doubt, one per second, the first of them a send."""
    events = [draw(send), *draw(st.lists(anything, max_size=24))]
    return [replace(event, at=float(at)) for at, event in enumerate(events)]


# --- against the model -----------------------------------------------------------------------


@settings(max_examples=500)
@given(histories())
def test_every_bucket_holds_the_keys_of_its_definition_in_order_of_sending(
    events: list[Event],
) -> None:
    verdict, model = judge(events), Model(events)
    for bucket in (*BUCKETS, "unexpected"):
        assert getattr(verdict, bucket) == model.keys(getattr(model, bucket)), bucket


@given(histories())
def test_the_counts_are_those_of_the_history(events: list[Event]) -> None:
    verdict, model = judge(events), Model(events)
    assert verdict.sent == sum(isinstance(e, Sent) for e in events)
    assert verdict.effects == sum(isinstance(e, Effect) for e in events)
    assert verdict.happened == model.happened()


@settings(max_examples=300)
@given(histories())
def test_a_key_is_in_at_most_one_bucket(events: list[Event]) -> None:
    verdict = judge(events)
    named = [key for bucket in BUCKETS for key in getattr(verdict, bucket)]
    assert len(named) == len(set(named))


@given(histories())
def test_a_sent_key_in_no_bucket_happened_exactly_as_often_as_expected(events: list[Event]) -> None:
    verdict, model = judge(events), Model(events)
    named = {key for bucket in BUCKETS for key in getattr(verdict, bucket)}
    for key in set(KEYS) - named:
        assert not model.sent(key) or len(model.effects(key)) == len(model.sent(key))


@given(histories())
def test_exactly_the_lost_failed_and_stuck_have_a_reason(events: list[Event]) -> None:
    verdict, model = judge(events), Model(events)
    assert set(verdict.reasons) == {*verdict.lost, *verdict.failed, *verdict.stuck}
    for key in verdict.stuck:
        places = {e.where for e in events if isinstance(e, Remaining) and e.key == key}
        assert verdict.reasons[key] == ", ".join(sorted(places))
    for key in (*verdict.lost, *verdict.failed):
        said = {f"{r.state}: {r.error}" if r.error else r.state for r in model.outcomes(key)}
        assert verdict.reasons[key] == ", ".join(sorted(said))


@settings(max_examples=300)
@given(histories())
def test_at_least_once_is_that_nothing_is_lost_stuck_or_dead_lettered(events: list[Event]) -> None:
    verdict, model = judge(events), Model(events)
    bad = [k for k in KEYS if model.lost(k) or model.stuck(k) or model.dead_lettered(k)]
    assert verdict.at_least_once is (not bad)


@settings(max_examples=300)
@given(histories())
def test_exactly_once_is_at_least_once_with_nothing_too_much(events: list[Event]) -> None:
    verdict, model = judge(events), Model(events)
    too_much = [k for k in KEYS if model.duplicated(k) or model.unexpected(k)]
    assert verdict.exactly_once is (verdict.at_least_once and not too_much)


# --- what must make no difference ------------------------------------------------------------


@settings(max_examples=200)
@given(histories(), st.randoms(use_true_random=False))
def test_the_order_in_which_observers_report_makes_no_difference(events, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(events)
    random.shuffle(shuffled)
    assert judge(shuffled) == judge(events)


def test_keys_sent_in_the_same_instant_keep_the_order_of_the_stream() -> None:
    verdict = judge([Sent(0.0, "order-2", ""), Sent(0.0, "order-10", ""), Sent(0.0, "order-1", "")])
    assert verdict.lost == ("order-2", "order-10", "order-1")


@given(histories())
def test_what_is_only_for_the_reader_makes_no_difference(events: list[Event]) -> None:
    for_views = Attempt | BrokerState | Mark | TaskEvent | Note
    for_drawings = Answered | WorkerStarted | WorkerStruck | TimeTravel
    judged = [e for e in events if not isinstance(e, for_views | for_drawings)]
    assert judge(judged) == judge(events)


@given(histories())
def test_a_history_read_back_from_its_lines_gets_the_same_verdict(events: list[Event]) -> None:
    assert judge(History.from_lines(History(events).to_lines())) == judge(events)


@given(histories())
def test_a_one_time_stream_is_enough(events: list[Event]) -> None:
    assert judge(iter(events)) == judge(events)


# --- doubt -----------------------------------------------------------------------------------


@given(histories(), st.integers(0, 40), st.lists(st.sampled_from(["x", "y"]), max_size=3))
def test_any_doubt_dominates_and_the_earliest_is_told(
    events: list[Event], place: int, later: list[str]
) -> None:
    doubts: list[Event] = [Doubt(END + n, reason) for n, reason in enumerate(later, start=1)]
    doubted = [*doubts, *events]
    doubted.insert(place, Doubt(END, "the fault did not fire"))
    verdict = judge(doubted)
    assert verdict.unknown == "the fault did not fire"
    assert verdict.at_least_once is None
    assert verdict.exactly_once is None


def test_a_doubt_without_words_is_still_a_doubt() -> None:
    verdict = judge([Sent(0.0, "a", ""), Effect(1.0, "a"), Doubt(2.0, "")])
    assert verdict.at_least_once is None


@pytest.mark.parametrize("events", [[], [Note(0.0, "hello")], [Effect(1.0, "a")]])
def test_a_run_that_sent_nothing_proves_nothing(events: list[Event]) -> None:
    assert judge(events).unknown == "nothing was sent"
    assert judge(events).at_least_once is None


# --- the runs that the lessons rest on -------------------------------------------------------


def sent(*keys: str) -> list[Event]:
    return [Sent(float(at), key, f"id-{key}") for at, key in enumerate(keys)]


def test_early_ack_and_a_killed_worker_lose_what_had_not_happened_yet() -> None:
    events = [
        *sent("a", "b", "c"),
        Effect(10.0, "a"),
        FaultFired(11.0, "kill worker", ("a", "b")),
        Effect(12.0, "c"),
        Result(20.0, "b", "PENDING"),
    ]
    assert judge(events) == Verdict(
        sent=3, happened=2, effects=2, lost=("b",), reasons={"b": "PENDING"}
    )


def test_late_ack_and_a_killed_worker_repeat_what_had_happened_already() -> None:
    events = [
        *sent("a", "b", "c", "d"),
        Effect(10.0, "a"),
        FaultFired(11.0, "kill worker", ("a", "b")),
        Restored(12.0, ("a", "b", "c")),
        *(Effect(13.0, key) for key in "abcd"),
    ]
    assert judge(events) == Verdict(
        sent=4, happened=4, effects=5, duplicated=("a",), recovered=("b", "c")
    )


def test_an_effect_at_the_instant_of_the_fault_is_no_recovery() -> None:
    events = [*sent("a"), Effect(5.0, "a"), FaultFired(5.0, "kill worker", ("a",))]
    assert judge(events).recovered == ()


def test_a_poison_task_that_fails_as_declared_breaks_no_promise() -> None:
    events = [
        *sent("a", "b"),
        Declared(2.0, "a"),
        Effect(3.0, "b"),
        Result(9.0, "a", "FAILURE", "WorkerLostError"),
    ]
    verdict = judge(events)
    assert verdict.failed == ("a",)
    assert verdict.reasons == {"a": "FAILURE: WorkerLostError"}
    assert verdict.exactly_once is True


@pytest.mark.parametrize("state", ["PENDING", "SUCCESS", "RETRY"])
def test_a_poison_task_that_does_not_say_that_it_failed_is_lost(state: str) -> None:
    events = [*sent("a"), Declared(2.0, "a"), Result(9.0, "a", state)]
    assert judge(events).lost == ("a",)


def test_a_task_that_claims_success_without_an_effect_is_lost() -> None:
    verdict = judge([*sent("a"), Result(9.0, "a", "SUCCESS")])
    assert verdict.lost == ("a",)
    assert verdict.reasons == {"a": "SUCCESS"}


def test_a_poison_task_that_happened_after_all_is_as_expected() -> None:
    events = [*sent("a"), Declared(2.0, "a"), Effect(3.0, "a"), Result(9.0, "a", "FAILURE")]
    verdict = judge(events)
    assert verdict.failed == verdict.lost == ()
    assert verdict.exactly_once is True


def test_a_key_sent_twice_fails_as_declared_only_if_both_say_so() -> None:
    one_failed = [*sent("a", "a"), Declared(2.0, "a"), Result(9.0, "a", "FAILURE", "ValueError")]
    verdict = judge([*one_failed, Result(9.1, "a", "PENDING")])
    assert verdict.lost == ("a",)
    assert verdict.reasons == {"a": "FAILURE: ValueError, PENDING"}
    assert judge([*one_failed, Result(9.1, "a", "FAILURE", "OSError")]).failed == ("a",)


def test_the_reasons_do_not_depend_on_which_was_read_first() -> None:
    states = ["SUCCESS", "PENDING", "RETRY", "FAILURE", "STARTED", "REVOKED"]
    events = [*sent("a"), *(Result(9.0, "a", state) for state in states)]
    assert judge(events).reasons == {"a": ", ".join(sorted(states))}


def test_a_rescue_counts_although_the_key_is_touched_again_later() -> None:
    events = [*sent("a"), Restored(1.0, ("a",)), Effect(2.0, "a"), Restored(3.0, ("a",))]
    assert judge(events).recovered == ("a",)


def test_effects_reported_late_first_are_still_a_rescue() -> None:
    events = [*sent("a", "a"), Effect(9.0, "a"), Effect(3.0, "a"), Restored(5.0, ("a",))]
    assert judge(events).recovered == ("a",)
