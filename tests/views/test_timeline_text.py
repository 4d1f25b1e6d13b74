"""A timeline in words: golden text, and nothing in it that changes from run to run."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timeline_bench import crash, done, histories, many, orders, paused, poison, sent

from labapp.checker.history import (
    Answered,
    Attempt,
    Doubt,
    Effect,
    Event,
    FaultFired,
    Mark,
    Remaining,
    Restored,
    Sent,
    TimeTravel,
    WorkerStarted,
    WorkerStruck,
)
from labapp.views.timeline import Timeline
from labapp.views.timeline_tasks import tale
from labapp.views.timeline_text import passing

STARTED = [*sent(["order-1"]), WorkerStarted(0.1, "w1")]
FETCHED = [*STARTED, Mark(1.0, "order-1", "fetched", "w1")]
WORDS = {"paused": "cut off", "woken": "reconnected"}
ACKNOWLEDGED = Mark(2.0, "order-1", "acknowledged", "w1")

GOLDEN: dict[str, tuple[list[Event], str]] = {
    "all went well": (
        [*STARTED, *done("order-1", 1.0, "w1")],
        "1 went well: order-1",
    ),
    "late acknowledgement, worker killed": (
        crash(),
        """\
order-3  duplicated  w1: effect, killed | an hour passes | redelivered | w2: effect, acknowledged
order-4  recovered   w1: killed before the effect | an hour passes | redelivered | \
w2: effect, acknowledged
order-5  recovered   w1: fetched, killed | an hour passes | redelivered | w2: effect, acknowledged
2 went well: order-1, order-2""",
    ),
    "early acknowledgement, worker killed": (
        crash(early=True),
        """\
order-3  happened   w1: acknowledged, effect, killed
order-4  lost       w1: acknowledged, killed before the effect
order-5  recovered  w1: fetched, killed | an hour passes | redelivered | w2: acknowledged, effect
2 went well: order-1, order-2""",
    ),
    "paused": (
        paused(),
        """\
order-1  duplicated  w1: effect, paused | an hour passes | redelivered | w2: effect, acknowledged \
| w1 wakes: acknowledged""",
    ),
    "cut off, and back": (
        [
            replace(e, step=WORDS.get(e.step, e.step)) if isinstance(e, WorkerStruck) else e
            for e in paused()
        ],
        """\
order-1  duplicated  w1: effect, cut off | an hour passes | redelivered | w2: effect, acknowledged \
| w1 reconnected: acknowledged""",
    ),
    "broker killed, and back without what it had": (
        [*FETCHED, WorkerStruck(1.1, "", "broker killed"), WorkerStruck(1.2, "w1", "killed")],
        "order-1  lost  w1: fetched, killed | broker killed",
    ),
    "two copies at one worker": (
        [
            *FETCHED,
            Attempt(1.1, "order-1"),
            Effect(1.2, "order-1"),
            TimeTravel(1.25, 3600.0),
            Restored(1.25, ("order-1",)),
            Mark(1.3, "order-1", "redelivered", "w2"),
            Mark(1.35, "order-1", "fetched", "w1"),
            Answered(1.4, "order-1"),
            Mark(1.5, "order-1", "acknowledged", "w1"),
            Attempt(1.6, "order-1"),
            Effect(1.7, "order-1"),
            Answered(1.8, "order-1"),
            Mark(1.9, "order-1", "acknowledged", "w1"),
        ],
        """\
order-1  duplicated  w1: effect, acknowledged | an hour passes | redelivered | \
w1: effect, acknowledged""",
    ),
    "handed out again to whoever asks first": (
        [
            *STARTED,
            Mark(1.0, "order-1", "fetched", "w1"),
            TimeTravel(1.1, 3601.0),
            Restored(1.1, ("order-1",)),
            WorkerStarted(1.2, "w2"),
            Mark(1.3, "order-1", "redelivered", "w2"),
            *done("order-1", 1.4, "w2"),
            *done("order-1", 2.0, "w1")[1:],
        ],
        """\
order-1  duplicated  w1: effect, acknowledged | an hour passes | redelivered | \
w1 or w2: effect, acknowledged""",
    ),
    "handed out again, and only one worker has room": (
        [
            *sent(orders(1)),
            WorkerStarted(0.1, "w1", room=1),
            Mark(1.0, "order-1", "fetched", "w1"),
            TimeTravel(1.1, 5400.0),
            Restored(1.1, ("order-1",)),
            WorkerStarted(1.2, "w2", room=1),
            Mark(1.3, "order-1", "redelivered", "w2"),
            *done("order-1", 1.4, "w2"),
            *done("order-1", 2.0, "w1")[1:],
        ],
        """\
order-1  duplicated  w1: effect, acknowledged | 90 minutes pass | redelivered | \
w2: effect, acknowledged""",
    ),
    "poison": (
        poison(10),
        """\
order-1  stuck  10 times (w1: child killed before the effect | rejected) | w1: still running""",
    ),
    "one story for many": (
        many(20, every=10),
        """\
order-10, order-20  lost  w1: child killed before the effect, acknowledged
18 went well: order-1 … order-9, order-11 … order-19""",
    ),
    "given back by a worker that stops": (
        [
            *FETCHED,
            WorkerStruck(1.5, "w1", "TERM"),
            Mark(1.6, "order-1", "redelivered", "w1"),
            WorkerStruck(1.7, "w1", "ended"),
            WorkerStarted(1.8, "w2"),
            *done("order-1", 2.0, "w2"),
        ],
        "order-1  happened  w1: fetched, TERM | given back | w2: effect, acknowledged",
    ),
    "a warm shutdown waits for its task": (
        [*STARTED, *done("order-1", 1.0, "w1"), WorkerStruck(1.055, "w1", "TERM")],
        "1 went well: order-1",
    ),
    "taken off the queue and never noted": (
        [*STARTED, WorkerStruck(1.0, "w1", "killed as it fetched", ("order-1",))],
        "order-1  lost  w1: killed as it fetched",
    ),
    "the world did not answer": (
        [
            *FETCHED,
            Attempt(1.1, "order-1"),
            Effect(1.2, "order-1"),
            ACKNOWLEDGED,
            FaultFired(3.0, "drop the reply", ("order-1",)),
        ],
        "order-1  happened  w1: effect, reply dropped, acknowledged",
    ),
    "refused, and tried again later": (
        [
            *FETCHED,
            Attempt(1.1, "order-1"),
            Mark(1.4, "order-1", "queued", "w1"),
            Mark(1.5, "order-1", "acknowledged", "w1"),
            *done("order-1", 2.0, "w1"),
            FaultFired(3.0, "answer 503", ("order-1",)),
        ],
        """\
order-1  happened  w1: answered 503 before the effect, acknowledged | queued again | \
w1: effect, acknowledged""",
    ),
    "a request that the world had seen before": (
        [*FETCHED, Attempt(1.1, "order-1"), Answered(1.2, "order-1"), ACKNOWLEDGED],
        "order-1  lost  w1: answered without a new effect, acknowledged",
    ),
    "no request at all": ([*FETCHED, ACKNOWLEDGED], "order-1  lost  w1: no request, acknowledged"),
    "left in the queue": (
        [*STARTED, Remaining(9.0, "order-1", "queue")],
        "order-1  stuck  still in the queue",
    ),
    "never fetched": (STARTED, "order-1  lost  never fetched"),
    "not judged": (
        [*STARTED, *done("order-1", 1.0, "w1"), Doubt(3.0, "a worker exited\nby itself")],
        "not judged: a worker exited by itself\n1 went well: order-1",
    ),
    "an effect of nobody's": (
        [*STARTED, *done("order-1", 1.0, "w1"), Effect(5.0, "order-9")],
        "order-9  unexpected  w1: effect\n1 went well: order-1",
    ),
    "a charge and a mail of one order": (
        [
            *STARTED,
            Sent(0.0, "mail of order-1", "id"),
            Mark(1.0, "order-1", "fetched", "w1"),
            Attempt(1.1, "order-1"),
            Effect(1.2, "order-1"),
            Answered(1.3, "order-1"),
            Attempt(1.4, "mail of order-1"),
            WorkerStruck(1.5, "w1", "killed"),
        ],
        "order-1  lost  w1: effect, killed before the mail",
    ),
    "nothing was sent": ([], "not judged: nothing was sent"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_this_to_the_letter(name: str) -> None:
    events, expected = GOLDEN[name]
    assert repr(Timeline(events)) == expected


@given(st.sampled_from(sorted(GOLDEN)), st.floats(0.01, 100.0), st.integers(0, 9))
def test_pace_ids_and_the_order_of_handing_in_leave_no_trace(
    name: str, pace: float, seed: int
) -> None:
    events, expected = GOLDEN[name]
    at_another_pace = [replace(event, at=event.at * pace) for event in events]
    renamed = [replace(e, task_id=f"{seed}") if isinstance(e, Sent) else e for e in at_another_pace]
    random.Random(seed).shuffle(renamed)  # noqa: S311
    assert repr(Timeline(renamed)) == expected


def test_an_early_acknowledgement_may_come_before_or_after_the_effect() -> None:
    def told(acknowledged: float) -> str:
        mark = Mark(acknowledged, "order-1", "acknowledged", "w1")
        started = [*sent(["order-1"]), WorkerStarted(0.1, "w1", early=True)]
        fetched = Mark(1.0, "order-1", "fetched", "w1")
        world = [Attempt(1.2, "order-1"), Effect(1.3, "order-1")]
        killed = WorkerStruck(2.0, "w1", "killed")
        return repr(Timeline([*started, fetched, *world, mark, killed]))

    assert told(1.1) == "order-1  happened  w1: acknowledged, effect, killed"
    assert told(1.25) == told(1.4) == told(1.1)


@pytest.mark.parametrize("takers", [("w1", "w2"), ("w2", "w1"), ("w2", "w2"), ("w1", "w1")])
def test_which_worker_took_a_copy_leaves_no_trace(takers: tuple[str, str]) -> None:
    """Two orders come back; two workers have room for one more, or for both."""
    events: list[Event] = [
        *sent(orders(1, 2)),
        WorkerStarted(0.1, "w1", room=3),
        *(Mark(1.0, key, "fetched", "w1") for key in orders(1, 2)),
        TimeTravel(1.1, 3600.0),
        Restored(1.1, orders(1, 2)),
        WorkerStarted(1.2, "w2", room=3),
        *(Mark(1.3, key, "redelivered", "w2") for key in orders(1, 2)),
    ]
    for number, (key, worker) in enumerate(zip(orders(1, 2), takers, strict=True)):
        events += done(key, 1.4 + number, worker) + done(key, 5.0 + number, "w1")[1:]
    assert repr(Timeline(events)) == (
        "order-1, order-2  duplicated  w1: effect, acknowledged | an hour passes | redelivered | "
        "w1 or w2: effect, acknowledged"
    )


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (60, "a minute passes"),
        (3601, "an hour passes"),
        (1799, "30 minutes pass"),
        (5400, "90 minutes pass"),
        (7201, "2 hours pass"),
        (86400, "a day passes"),
        (7.5, "8 s pass"),
        (0.0, "0 s pass"),
        (100, "100 s pass"),
    ],
)
def test_time_is_told_in_round_numbers(seconds: float, told: str) -> None:
    assert passing(seconds) == told


@given(st.data())
def test_two_copies_side_by_side_have_one_text_in_whatever_order_they_end(
    data: st.DataObject,
) -> None:
    """The first is held after its effect; the second is published, and both end as they may."""
    copies = {
        "first": [Answered, Mark],
        "second": [Mark, Attempt, Effect, Answered, Mark],
    }
    turns = data.draw(st.permutations([name for name in copies for _ in copies[name]]))
    events: list[Event] = [
        *FETCHED,
        Attempt(1.1, "order-1"),
        Effect(1.2, "order-1"),
        Mark(1.3, "order-1", "queued"),
    ]
    steps = {name: iter(kinds) for name, kinds in copies.items()}
    for turn, name in enumerate(turns):
        kind, at = next(steps[name]), 2.0 + turn
        fetched = name == "second" and all(name != before for before in turns[:turn])
        if kind is Mark:
            events.append(Mark(at, "order-1", "fetched" if fetched else "acknowledged", "w1"))
        else:
            events.append(kind(at, "order-1"))
    assert repr(Timeline(events)) == (
        "order-1  duplicated  w1: effect, acknowledged | queued again | w1: effect, acknowledged"
    )
    tries = [one for delivery in tale(events).tasks[0].deliveries for one in delivery.tries]
    assert all(one.effect and one.answered and one.effect < one.answered for one in tries)


def test_who_made_an_attempt_is_told_by_the_messages_not_by_the_order_of_attempts() -> None:
    """A worker that wakes up runs what it had fetched before another one did."""
    events = [
        *sent(["order-1"]),
        WorkerStarted(0.1, "w1"),
        Mark(1.0, "order-1", "fetched", "w1"),
        WorkerStruck(1.3, "w1", "paused"),
        WorkerStarted(1.5, "w2"),
        Mark(2.0, "order-1", "redelivered", "w2"),
        *done("order-1", 2.1, "w2"),
        WorkerStruck(3.0, "w1", "woken"),
        Attempt(3.1, "order-1"),
        Effect(3.2, "order-1"),
        Answered(3.3, "order-1"),
        Mark(3.4, "order-1", "acknowledged", "w1"),
    ]
    (task,) = tale(events).tasks
    first, second = task.deliveries
    assert (first.worker, [t.begun for t in first.tries]) == ("w1", [3.1])
    assert (second.worker, [t.begun for t in second.tries]) == ("w2", [2.15])


def test_a_step_without_an_address_is_that_of_whoever_was_running() -> None:
    unknown = [replace(e, worker="") if isinstance(e, Mark) else e for e in crash()]
    assert repr(Timeline(unknown)) == repr(Timeline(crash()))


@given(histories)
def test_any_history_has_a_text_and_every_task_is_in_it_once(history: list[Event]) -> None:
    told = tale(history)
    text = repr(Timeline(history))
    assert text
    shown = [task.key for task in told.tasks]
    assert len(shown) == len(set(shown))
    assert sum(task.went_well for task in told.tasks) == _went_well(text)


def _went_well(text: str) -> int:
    last = text.splitlines()[-1]
    return int(last.split()[0]) if " went well: " in last else 0


def test_no_line_breaks_come_in_with_keys() -> None:
    text = repr(Timeline([*sent(["two\nlines", *orders(1)]), *done("order-1", 1.0, "w1")]))
    assert text.splitlines() == ["'two\\nlines'  lost  never fetched", "1 went well: order-1"]
