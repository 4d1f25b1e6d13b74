"""The history keeps what it is given and survives a trip through JSON lines."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labapp.checker.history import Effect, Event, FaultFired, History, Remaining, Sent
from labapp.errors import LabError

finite = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(float, finite)
events = st.lists(st.one_of([st.from_type(kind) for kind in get_args(Event)]))


@given(events)
def test_what_was_appended_comes_back_in_order(given_events: list[Event]) -> None:
    history = History()
    for event in given_events:
        history.append(event)
    assert list(history) == given_events
    assert len(history) == len(given_events)


@given(events)
def test_json_lines_give_back_the_same_history(given_events: list[Event]) -> None:
    history = History(given_events)
    # Through one text with splitlines, as from a file: no key may look like the end of a line.
    text = "\n".join(history.to_lines())
    assert History.from_lines(text.splitlines()) == history


@given(events)
def test_a_kind_holds_exactly_its_own_events(given_events: list[Event]) -> None:
    expected = [event for event in given_events if type(event) is Effect]
    assert History(given_events).of(Effect) == expected


def test_a_line_is_plain_json_that_a_person_can_read() -> None:
    (line,) = History([FaultFired(1.5, "kill worker", ("order-3", "order-4"))]).to_lines()
    assert json.loads(line) == {
        "event": "FaultFired",
        "at": 1.5,
        "name": "kill worker",
        "keys": ["order-3", "order-4"],
    }


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        "3",
        "{}",
        '{"event": "Sneezed", "at": 1.0}',
        '{"event": ["Effect"], "at": 1.0, "key": "order-1"}',
        '{"event": "Effect", "at": 1.0}',
        '{"event": "Effect", "at": 1.0, "key": "order-1", "colour": "red"}',
        '{"event": "Effect", "at": "noon", "key": "order-1"}',
        '{"event": "Effect", "at": true, "key": "order-1"}',
        '{"event": "Effect", "at": NaN, "key": "order-1"}',
        '{"event": "Effect", "at": 1' + "0" * 400 + ', "key": "order-1"}',
        '{"event": "Effect", "at": 1.0, "key": 7}',
        '{"event": "Remaining", "at": 1.0, "key": "order-1", "where": "the moon"}',
        '{"event": "Remaining", "at": 1.0, "key": "order-1", "where": ["queue"]}',
        '{"event": "Restored", "at": 1.0, "keys": "order-1"}',
        '{"event": "Restored", "at": 1.0, "keys": [1]}',
        '{"event": "WorkerStarted", "at": 1.0, "worker": "w1", "early": "yes"}',
        '{"event": "WorkerStarted", "at": 1.0, "worker": "w1", "early": 1}',
    ],
)
def test_a_line_that_is_no_event_is_named_by_its_number(line: str) -> None:
    good = next(History([Sent(0.0, "order-1", "id")]).to_lines())
    with pytest.raises(LabError, match="line 3 of the history is no event"):
        History.from_lines([good, "", line])


@pytest.mark.parametrize("key", ["two\nlines", "two\u2028lines", "two\x85lines", "half \ud800"])
def test_no_key_can_break_the_file(key: str) -> None:
    (line,) = History([Effect(1.0, key)]).to_lines()
    assert len(line.splitlines()) == 1
    assert line.encode("utf-8")
    assert History.from_lines([line]).of(Effect)[0].key == key


def test_a_time_that_json_cannot_carry_is_refused_when_writing() -> None:
    with pytest.raises(ValueError, match="JSON"):
        list(History([Effect(float("nan"), "order-1")]).to_lines())


def test_the_repr_tells_nothing_that_changes_from_run_to_run() -> None:
    history = History([Sent(0.25, "order-1", "some-id"), Remaining(9.5, "order-1", "queue")])
    assert repr(history) == "History(2 events)"
