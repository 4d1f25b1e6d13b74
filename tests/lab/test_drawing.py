"""What a drawing is made of: the broker's steps from MONITOR, and Celery's task events."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from labapp.checker.history import Mark, TaskEvent
from labapp.errors import LabError
from labapp.faults import (
    Fault,
    charge_of,
    crash_broker,
    cut_off,
    duplicate,
    kill_child,
    kill_worker,
    pause,
    slow_partner,
    stop,
)
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.monitor import Monitor, Steps, parse
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session
from labapp.stack.state import Stack
from labapp.stack.testing import wait_until

SHOP = Module("shop", Path(__file__).parents[2] / "solutions" / "00_start_here")


def drawn(session: Session, **settings: object) -> Run:
    """An experiment with a drawing: order-3 is killed after its charge, order-4 before."""
    fault = kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))
    worker = WorkerSettings(settings=settings)
    plan = Plan(SHOP, "shop.charge", orders(10), worker, fault, drawing=True, deadline=40.0)
    return conduct(session, plan)


def steps(run: Run, key: str) -> list[str]:
    """What the broker did with this order's message, in order."""
    return [mark.step for mark in run.history.of(Mark) if mark.key == key]


def test_late_acknowledgement_is_redelivered_and_fetched_again(stack: Stack) -> None:
    with Session(stack) as session:
        run = drawn(session, task_acks_late=True)
    again = ["queued", "fetched", "redelivered", "fetched", "acknowledged"]
    assert steps(run, "order-3") == steps(run, "order-4") == again
    assert steps(run, "order-1") == ["queued", "fetched", "acknowledged"]
    assert run.judged.duplicated == ("order-3",)


def test_early_acknowledgement_is_gone_before_the_crash(stack: Stack) -> None:
    with Session(stack) as session:
        run = drawn(session, task_acks_late=False)
    assert steps(run, "order-4") == ["queued", "fetched", "acknowledged"]
    assert run.judged.lost == ("order-4",)


def test_a_rejected_message_goes_back_to_the_queue(stack: Stack) -> None:
    worker = WorkerSettings(settings={"task_acks_late": True, "task_reject_on_worker_lost": True})
    fault = kill_child(before=charge_of("order-3"))
    plan = Plan(SHOP, "shop.charge", orders(4), worker, fault, drawing=True, deadline=40.0)
    with Session(stack) as session:
        run = conduct(session, plan)
    assert steps(run, "order-3") == ["queued", "fetched", "rejected", "fetched", "acknowledged"]


def test_celery_events_are_there_and_the_verdict_does_without(stack: Stack) -> None:
    with Session(stack) as session:
        run = drawn(session, task_acks_late=True)
        plain = conduct(
            session,
            Plan(SHOP, "shop.charge", orders(10), run.plan.worker, run.plan.fault, deadline=40.0),
        )
    names = {event.name for event in run.history.of(TaskEvent)}
    assert {"task-received", "task-started", "task-succeeded"} <= names
    assert not plain.history.of(TaskEvent)
    assert repr(run.verdict) == repr(plain.verdict)


# The timeline of a run

STORIES = {
    "late": """\
order-3             duplicated  w1: effect, killed | an hour passes | redelivered | \
w2: effect, acknowledged
order-4             recovered   w1: killed before the effect | an hour passes | redelivered | \
w2: effect, acknowledged
order-5 … order-10  recovered   w1: fetched, killed | an hour passes | redelivered | \
w2: effect, acknowledged
2 went well: order-1, order-2""",
    "early": """\
order-3             happened   w1: acknowledged, effect, killed
order-4             lost       w1: acknowledged, killed before the effect
order-5 … order-10  recovered  w1: fetched, killed | an hour passes | redelivered | \
w2: acknowledged, effect
2 went well: order-1, order-2""",
    "paused": """\
order-3             duplicated  w1: effect, paused | an hour passes | redelivered | \
w2: effect, acknowledged | w1 wakes: acknowledged
order-4             duplicated  w1: paused before the effect | an hour passes | redelivered | \
w2: effect, acknowledged | w1 wakes: effect, acknowledged
order-5 … order-10  duplicated  w1: fetched, paused | an hour passes | redelivered | \
w2: effect, acknowledged | w1 wakes: effect, acknowledged
2 went well: order-1, order-2""",
    "QUIT": """\
order-3             duplicated  w1: effect, QUIT | given back | w2: effect, acknowledged
order-4             recovered   w1: QUIT before the effect | given back | w2: effect, acknowledged
order-5 … order-10  recovered   w1: fetched, QUIT | given back | w2: effect, acknowledged
2 went well: order-1, order-2""",
    "child": """\
order-3  lost  w1: child killed before the effect, acknowledged
9 went well: order-1, order-2, order-4 … order-10""",
    "poison": """\
order-3  stuck  10 times (w1: child killed before the effect | rejected) | w1: still running
9 went well: order-1, order-2, order-4 … order-10""",
    "fetching": """\
order-1  lost  w1: killed as it fetched
9 went well: order-2 … order-10""",
    "broker": """\
order-3             duplicated  w1: effect, killed | broker killed | an hour passes | \
redelivered | w2: effect, acknowledged
order-4             recovered   w1: killed before the effect | broker killed | an hour passes | \
redelivered | w2: effect, acknowledged
order-5 … order-10  recovered   w1: fetched, killed | broker killed | an hour passes | \
redelivered | w2: effect, acknowledged
2 went well: order-1, order-2""",
    "cut off": """\
order-3             duplicated  w1: effect, cut off | an hour passes | redelivered | \
w2: effect, acknowledged | w1 reconnected: acknowledged
order-4             duplicated  w1: cut off before the effect | an hour passes | redelivered | \
w2: effect, acknowledged | w1 reconnected: effect, acknowledged
order-5 … order-10  recovered   w1: fetched, cut off | an hour passes | redelivered | \
w2: effect, acknowledged
2 went well: order-1, order-2""",
}
IN_FLIGHT = {"after": charge_of("order-3"), "before": charge_of("order-4")}
LATE = {"task_acks_late": True}
EXPERIMENTS: dict[str, tuple[Fault, dict[str, object]]] = {
    "late": (kill_worker(**IN_FLIGHT), LATE),
    "early": (kill_worker(**IN_FLIGHT), {}),
    "paused": (pause(**IN_FLIGHT), LATE),
    "QUIT": (stop("QUIT", **IN_FLIGHT), LATE),
    "child": (kill_child(before=charge_of("order-3")), LATE),
    "poison": (
        kill_child(before=charge_of("order-3"), every_time=True),
        LATE | {"task_reject_on_worker_lost": True},
    ),
    "fetching": (kill_worker(while_fetching=True), LATE),
    "broker": (crash_broker(**IN_FLIGHT), LATE),
    "cut off": (cut_off(**IN_FLIGHT), LATE),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_timeline_tells_what_happened_word_for_word(stack: Stack, name: str) -> None:
    fault, settings = EXPERIMENTS[name]
    worker = WorkerSettings(settings=settings)
    plan = Plan(SHOP, "shop.charge", orders(10), worker, fault, drawing=True, deadline=40.0)
    with Session(stack) as session:
        run = conduct(session, plan)
    assert repr(run.timeline) == STORIES[name]
    assert "<desc>order-" in run.timeline._repr_svg_()


COPIES: dict[str, tuple[Fault, int, str]] = {
    "published again, side by side": (
        duplicate("published", after=charge_of("order-3")),
        2,
        """\
order-3  duplicated  w1: effect, acknowledged | queued again | w1: effect, acknowledged
3 went well: order-1, order-2, order-4""",
    ),
    "redelivered to the only one with room": (
        duplicate("redelivered", after=charge_of("order-3")),
        1,
        """\
order-3  duplicated  w1: effect, acknowledged | an hour passes | redelivered | \
w2: effect, acknowledged
3 went well: order-1, order-2, order-4""",
    ),
    "two slow ones, redelivered to another worker": (
        slow_partner(minutes=90, before=[charge_of("order-3"), charge_of("order-4")]),
        2,
        """\
order-3, order-4  duplicated  w1: effect, acknowledged | an hour passes | redelivered | \
w2: effect, acknowledged
2 went well: order-1, order-2""",
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_that_end_at_once_have_one_story(stack: Stack, name: str) -> None:
    fault, concurrency, told = COPIES[name]
    settings = LATE | {"worker_prefetch_multiplier": 1}
    worker = WorkerSettings(concurrency, settings=settings)
    plan = Plan(SHOP, "shop.charge", orders(4), worker, fault, drawing=True, deadline=40.0)
    with Session(stack) as session:
        run = conduct(session, plan)
    assert repr(run.timeline) == told


def test_every_step_of_a_worker_is_known_by_its_connection(stack: Stack) -> None:
    """So who fetched and who acknowledged is no guess."""
    with Session(stack) as session:
        run = drawn(session, task_acks_late=True)
    by_workers = [mark for mark in run.history.of(Mark) if mark.step != "queued"]
    assert {mark.worker for mark in by_workers} == {"w1", "w2"}
    assert {m.worker for m in by_workers if m.step == "redelivered"} == {"w2"}
    assert {m.worker for m in run.history.of(Mark) if m.step == "queued"} == {""}


def test_without_a_drawing_the_timeline_says_how_to_get_one(stack: Stack) -> None:
    with Session(stack) as session:
        run = conduct(session, Plan(SHOP, "shop.charge", orders(2), deadline=40.0))
    with pytest.raises(LabError, match=r"kept nothing to draw.*drawing=True"):
        run.timeline  # noqa: B018  the access is what is tested


# Reading MONITOR


def test_monitor_hears_its_own_database_only(stack: Stack) -> None:
    message = '{"headers": {"id": "t-1"}, "properties": {"delivery_tag": "d-1"}}'
    monitor = Monitor(stack.broker_url(60))
    for database in (60, 61):
        client = redis.Redis.from_url(stack.broker_url(database))
        client.lpush("celery", message)
        client.delete("celery")
        client.close()
    wait_until(lambda: len(monitor._lines) >= 4, "MONITOR to show four commands")
    assert [(seen.task_id, seen.step) for seen in monitor.stop()] == [("t-1", "queued")]


def quoted(text: str) -> str:
    """Redis's own quoting (sdscatrepr) of a text of single bytes."""
    plain = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b"}
    plain |= {"\\": "\\\\", '"': '\\"'}
    shown = (plain.get(c) or (c if " " <= c <= "~" else f"\\x{ord(c):02x}") for c in text)
    return '"' + "".join(shown) + '"'


@given(st.lists(st.text(st.characters(max_codepoint=255)), max_size=4))
def test_a_line_of_monitor_is_read_back(arguments: list[str]) -> None:
    words = " ".join(quoted(word) for word in ("lpush", *arguments))
    command = parse(f"+1700000000.123456 [3 127.0.0.1:5] {words}\r\n")
    assert command is not None
    assert (command.at, command.db, command.name) == (1700000000.123456, 3, "LPUSH")
    assert list(command.arguments) == arguments


@pytest.mark.parametrize("line", ["", "+OK\r\n", "-ERR unknown", "+1.0 [0 lua]"])
def test_other_lines_are_passed_over(line: str) -> None:
    assert parse(line) is None


def test_steps_survive_messages_that_are_no_tasks() -> None:
    command = parse('+1.0 [0 127.0.0.1:5] "LPUSH" "reply" "not json"')
    assert command is not None
    assert list(Steps().feed(command)) == []
