"""Histories for the tests of timelines: a crash of ten orders by hand, and arbitrary ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from hypothesis import strategies as st

from labapp.checker.history import (
    Answered,
    Attempt,
    Effect,
    Event,
    FaultFired,
    Mark,
    Remaining,
    Restored,
    Result,
    Sent,
    Step,
    TimeTravel,
    Where,
    WorkerStarted,
    WorkerStruck,
)


def orders(*numbers: int) -> tuple[str, ...]:
    """The keys of these orders."""
    return tuple(f"order-{number}" for number in numbers)


def sent(keys: Iterable[str]) -> list[Event]:
    """All of them are sent, one after the other, before any worker starts."""
    return [
        event
        for number, key in enumerate(keys)
        for event in (Sent(number / 1e4, key, f"id-{key}"), Mark(number / 1e4, key, "queued"))
    ]


def done(key: str, at: float, worker: str, *, early: bool = False) -> list[Event]:
    """A delivery that goes well, within a tenth of a second."""
    told = at + 0.02 if early else at + 0.09
    return [
        Mark(at, key, "fetched", worker),
        Attempt(at + 0.05, key),
        Effect(at + 0.06, key),
        Answered(at + 0.07, key),
        Mark(told, key, "acknowledged", worker),
    ]


def crash(*, early: bool = False) -> list[Event]:
    """Of five orders two are in flight when w1 is killed: order-3 has happened, order-4 not."""
    events: list[Event] = [*sent(orders(1, 2, 3, 4, 5)), WorkerStarted(0.1, "w1", early)]
    for number in (1, 2):
        events += done(f"order-{number}", 1.0 + number / 10, "w1", early=early)
    events += [Mark(1.1, key, "fetched", "w1") for key in orders(3, 4, 5)]
    if early:
        events += [Mark(1.2, key, "acknowledged", "w1") for key in orders(3, 4)]
    left = orders(5) if early else orders(3, 4, 5)
    events += [
        Attempt(1.5, "order-3"),
        Effect(1.51, "order-3"),
        Attempt(1.52, "order-4"),
        WorkerStruck(2.0, "w1", "killed"),
        FaultFired(2.1, "kill worker", orders(3, 4)),
        TimeTravel(2.2, 3600.0),
        Restored(2.2, left),
        WorkerStarted(2.3, "w2", early),
    ]
    events += [Mark(3.0, key, "redelivered", "w2") for key in left]
    for number, key in enumerate(left):
        events += done(key, 3.1 + number / 5, "w2", early=early)
    return events


def paused() -> list[Event]:
    """w1 is paused after the effect; w2 takes over; w1 wakes up and goes on."""
    return [
        *sent(["order-1"]),
        WorkerStarted(0.1, "w1"),
        Mark(1.0, "order-1", "fetched", "w1"),
        Attempt(1.1, "order-1"),
        Effect(1.2, "order-1"),
        WorkerStruck(1.3, "w1", "paused"),
        TimeTravel(1.4, 3600.0),
        Restored(1.41, ("order-1",)),
        WorkerStarted(1.5, "w2"),
        Mark(2.0, "order-1", "redelivered", "w2"),
        *done("order-1", 2.1, "w2"),
        WorkerStruck(3.0, "w1", "woken"),
        Answered(3.1, "order-1"),
        Mark(3.2, "order-1", "acknowledged", "w1"),
    ]


def poison(times: int) -> list[Event]:
    """The child dies at each attempt; the last one is still running."""
    events: list[Event] = [*sent(["order-1"]), WorkerStarted(0.1, "w1")]
    for number in range(times + 1):
        at = 1.0 + number
        events += [Mark(at, "order-1", "fetched", "w1"), Attempt(at + 0.1, "order-1")]
        if number < times:
            events.append(WorkerStruck(at + 0.2, "w1", "child killed", ("order-1",)))
            events.append(Mark(at + 0.3, "order-1", "rejected", "w1"))
    return [*events, Remaining(times + 3.0, "order-1", "running")]


def many(count: int, every: int) -> list[Event]:
    """So many orders one after the other; every so manieth loses its child, and is lost."""
    events: list[Event] = [*sent(orders(*range(1, count + 1))), WorkerStarted(0.1, "w1")]
    for number in range(1, count + 1):
        key, at = f"order-{number}", 1.0 + number / 20
        if number % every:
            events += done(key, at, "w1")
        else:
            events += [
                Mark(at, key, "fetched", "w1"),
                Attempt(at + 0.01, key),
                WorkerStruck(at + 0.02, "w1", "child killed", (key,)),
                Mark(at + 0.03, key, "acknowledged", "w1"),
                Result(99.0, key, "FAILURE", "WorkerLostError"),
            ]
    return events


HOSTILE = (
    "order-1",
    "order-2",
    "mail of order-1",
    "<script>alert(1)</script>",
    '"]]>&amp;',
    "two\nlines",
    "zero\0",
    "half \ud800",
    "",
    "a very long key that does not fit in its column",
)
keys = st.sampled_from(HOSTILE)
workers = st.sampled_from(["", *(f"w{number}" for number in range(1, 9)), "<w>"])
times = st.floats(0.0, 1e4)
some_keys = st.lists(keys, max_size=3).map(tuple)
steps = st.sampled_from(
    ["killed", "child killed", "paused", "woken", "TERM", "QUIT", "ended", "cut off", "<b>"]
)
events = st.one_of(
    st.builds(Sent, times, keys, st.just("id")),
    st.builds(Mark, times, keys, st.sampled_from(get_args(Step)), workers),
    st.builds(Attempt, times, keys),
    st.builds(Effect, times, keys),
    st.builds(Answered, times, keys),
    st.builds(WorkerStarted, times, workers, st.booleans()),
    st.builds(WorkerStruck, times, workers, steps, some_keys),
    st.builds(TimeTravel, times, st.sampled_from([60.0, 3600.0, 7.5])),
    st.builds(Remaining, times, keys, st.sampled_from(get_args(Where))),
    st.builds(FaultFired, times, st.sampled_from(["answer 503", "drop the reply", "x"]), some_keys),
)
histories = st.lists(events, max_size=60)
