"""Dead letters: read, replayed in one step, discarded; whatever lies there, whoever is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labapp.errors import LabError
from labapp.lab.broker import Broker
from labapp.lab.dead_letters import (
    KEY,
    DeadLetters,
    Letter,
    OnRedis,
    letter,
    message_of,
    move,
    pick,
    put_aside,
    read_letters,
    replay,
    replay_all,
)
from labapp.lab.session import Session

GOOD = {"id": "id-1", "task": "shop.charge", "args": ["order-1"], "kwargs": {}, "error": "no"}
REPLAYER = """
import sys
from labapp.lab.broker import Broker
from labapp.lab.dead_letters import OnRedis, replay_all
for one in replay_all(OnRedis(Broker(sys.argv[1]))):
    print(one.id, flush=True)
"""
TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(name="broker")
def _broker(session: Session) -> Broker:
    """An empty database of the stack."""
    session.broker.clear()
    return session.broker


def orders(count: int) -> list[tuple[str]]:
    """Calls of so many orders."""
    return [(f"order-{number}",) for number in range(1, count + 1)]


def queued(broker: Broker) -> list[str]:
    """Task ids in the queue."""
    return [message.task_id for message in broker.contents().queued]


# Reading


@given(TEXT | JSON.map(json.dumps))
def test_whatever_lies_there_is_a_letter_or_says_why_it_is_none(raw: str) -> None:
    found = letter("here", raw)
    assert found.problem
    assert found.problem in found.trouble
    assert found.raw == raw


@given(TEXT.filter(bool), TEXT.filter(bool), st.lists(JSON, max_size=3), TEXT)
def test_a_letter_is_read_as_it_was_written(
    task_id: str, task: str, args: list[Any], error: str
) -> None:
    told = {"id": task_id, "task": task, "args": args, "kwargs": {}, "error": error}
    found = letter(task_id, json.dumps(told))
    assert not found.problem
    assert found.to_json() == {**told, "queue": "celery"}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"id": 7}, "its 'id' is not a text"),
        ({"args": "('order-1',)"}, "its 'args' is not a list"),
        ({"kwargs": []}, "its 'kwargs' is not an object"),
        ({"queue": 3}, "its 'queue' is not a text"),
        ({"task": ""}, "its 'task' is empty"),
    ],
)
def test_a_field_of_another_type_is_named(changed: dict[str, Any], problem: str) -> None:
    assert letter("here", json.dumps({**GOOD, **changed})).problem == problem


@pytest.mark.parametrize("field", GOOD)
def test_a_field_that_is_missing_is_named(field: str) -> None:
    rest = {name: value for name, value in GOOD.items() if name != field}
    assert letter("here", json.dumps(rest)).problem == f"it has no {field!r}"


def test_a_hash_and_a_list_are_read_alike(broker: Broker) -> None:
    put_aside(broker, "shop.charge", orders(11))
    from_hash = read_letters(broker)
    broker.redis.delete(KEY)
    broker.redis.rpush(KEY, *(one.raw for one in from_hash))
    assert read_letters(broker) == from_hash
    assert [one.key for one in from_hash] == [order for (order,) in orders(11)]


def test_a_key_of_another_type_is_told_in_one_line(broker: Broker) -> None:
    broker.redis.set(KEY, "order-1")
    with pytest.raises(LabError, match="the key 'dead_letters' is a string"):
        read_letters(broker)


@pytest.mark.parametrize("kind", ["hash", "list"])
def test_bytes_that_are_no_text_are_listed_and_can_be_discarded(broker: Broker, kind: str) -> None:
    put_aside(broker, "shop.charge", orders(1))
    (good,) = read_letters(broker)
    if kind == "hash":
        broker.redis.hset(KEY, mapping={b"\xff": b"\xfe{}"})
    else:
        broker.redis.delete(KEY)
        broker.redis.rpush(KEY, b"\xfe{}", good.raw)

    (bad,) = [one for one in read_letters(broker) if one.problem]

    assert bad.problem == "it is no UTF-8"
    assert repr(DeadLetters(lambda: OnRedis(broker), lambda: None)).encode()
    assert OnRedis(broker).discard(bad)
    assert read_letters(broker) == [good]


# Replaying


@pytest.mark.parametrize("kind", ["hash", "list"])
def test_a_replayed_letter_is_a_message_and_no_letter(broker: Broker, kind: str) -> None:
    put_aside(broker, "shop.charge", orders(2))
    if kind == "list":
        entries = [one.raw for one in read_letters(broker)]
        broker.redis.delete(KEY)
        broker.redis.rpush(KEY, *entries)
    one, other = read_letters(broker)

    assert replay(OnRedis(broker), one, {"shop.charge"})

    (message,) = broker.contents().queued
    assert (message.task_id, message.task, message.first) == (one.id, "shop.charge", "order-1")
    assert read_letters(broker) == [other]
    assert not replay(OnRedis(broker), one)
    assert queued(broker) == [one.id]


def test_a_letter_that_has_changed_meanwhile_is_left_alone(broker: Broker) -> None:
    put_aside(broker, "shop.charge", orders(1))
    (before,) = read_letters(broker)
    broker.redis.hset(KEY, before.name, before.raw.replace("order-1", "order-2"))
    assert not replay(OnRedis(broker), before)
    assert not OnRedis(broker).discard(before)
    assert [one.key for one in read_letters(broker)] == ["order-2"]


def test_a_queue_that_cannot_be_written_costs_no_letter(broker: Broker) -> None:
    put_aside(broker, "shop.charge", orders(1))
    (one,) = read_letters(broker)
    broker.redis.set("celery", "not a list")
    with pytest.raises(LabError):
        move(broker, one, message_of(one))
    assert read_letters(broker) == [one]


def test_two_replayers_at_once_move_each_letter_once(broker: Broker) -> None:
    ids = put_aside(broker, "shop.charge", orders(300))
    with ThreadPoolExecutor(4) as pool:
        moved = list(pool.map(lambda _: [one.id for one in replay_all(OnRedis(broker))], range(4)))
    assert sorted(task_id for ours in moved for task_id in ours) == sorted(ids)
    assert sorted(queued(broker)) == sorted(ids)
    assert read_letters(broker) == []


@pytest.mark.parametrize("progress", [1, 50, 299])
def test_a_replayer_that_is_killed_leaves_each_letter_in_one_place(
    broker: Broker, progress: int
) -> None:
    ids = put_aside(broker, "shop.charge", orders(600))
    words = [sys.executable, "-c", REPLAYER, broker.url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as replayer:
        assert replayer.stdout is not None
        said = [replayer.stdout.readline().strip() for _ in range(progress)]
        replayer.kill()
        said += [line.strip() for line in replayer.stdout if line.endswith("\n")]

    in_queue, put_by = queued(broker), [one.id for one in read_letters(broker)]
    assert Counter(in_queue + put_by) == Counter(ids)
    assert put_by, "it was killed too late to show anything"
    assert set(said) <= set(in_queue)


# What cannot be done


def letters(count: int) -> list[Letter]:
    """Letters of so many orders, with ids that begin alike."""
    return [
        letter(f"abcd-{n}", json.dumps({**GOOD, "id": f"abcd-{n}", "args": [f"order-{n}"]}))
        for n in range(1, count + 1)
    ]


def test_a_letter_goes_by_its_id_the_beginning_of_it_or_its_order() -> None:
    one, other = letters(2)
    assert pick([one, other], "order-2") is other
    assert pick([one, other], "abcd-1") is one
    assert pick([other], "abcd") is other


@pytest.mark.parametrize(
    ("wanted", "there", "message", "hint"),
    [
        ("order-1", 0, "there are no dead letters", "gone"),
        ("ordre-1", 2, "there is no dead letter 'ordre-1'", "did you mean order-1?"),
        ("zzz", 2, "there is no dead letter 'zzz'", "lab dead-letters list"),
        ("abcd", 2, "2 dead letters go by 'abcd'", "abcd-1, abcd-2"),
    ],
)
def test_a_name_that_is_no_letters_is_told_with_the_nearest(
    wanted: str, there: int, message: str, hint: str
) -> None:
    with pytest.raises(LabError) as told:
        pick(letters(there), wanted)
    assert told.value.message == message
    assert hint in told.value.hint


def test_a_task_that_no_longer_exists_keeps_its_letter(broker: Broker) -> None:
    put_aside(broker, "shop.chrage", orders(1))
    (one,) = read_letters(broker)
    with pytest.raises(LabError) as told:
        replay(OnRedis(broker), one, {"shop.charge"})
    assert told.value.lines == [
        "lab: there is no task 'shop.chrage' any more, so order-1 cannot be replayed",
        "     did you mean shop.charge?",
    ]
    assert read_letters(broker) == [one]


def test_what_can_be_replayed_is_not_kept_back_by_what_cannot(broker: Broker) -> None:
    ids = put_aside(broker, "shop.charge", orders(2))
    broker.redis.hset(KEY, "broken", "{")
    with pytest.raises(LabError, match="the dead letter broken cannot be read: it is no JSON"):
        list(replay_all(OnRedis(broker), {"shop.charge"}))
    assert sorted(queued(broker)) == sorted(ids)
    assert [one.name for one in read_letters(broker)] == ["broken"]


# In a notebook


def test_a_notebook_sees_them_as_a_table_that_is_the_same_on_every_run(broker: Broker) -> None:
    shown = DeadLetters(lambda: OnRedis(broker), lambda: {"shop.charge"})
    assert repr(shown).splitlines()[0] == "Dead letters: none"
    put_aside(broker, "shop.charge", orders(2), "402 for url 'http://localhost:4711/run-1'\nno")
    assert repr(shown).splitlines() == [
        "Dead letters",
        "order    call                    why",
        "order-1  shop.charge('order-1')  402 for url '…' no",
        "order-2  shop.charge('order-2')  402 for url '…' no",
    ]
    assert len(shown) == 2


def test_a_notebook_replays_one_and_discards_the_rest(broker: Broker) -> None:
    shown = DeadLetters(lambda: OnRedis(broker), lambda: {"shop.charge"})
    put_aside(broker, "shop.charge", orders(3))
    assert "order-2" in repr(shown.show("order-2"))
    assert "order-2" in repr(shown.replay("order-2"))
    assert [message.first for message in broker.contents().queued] == ["order-2"]
    assert "order-3" in repr(shown.discard(everything=True))
    assert len(shown) == 0


@pytest.mark.parametrize("names", [(), ("order-1",)])
def test_it_has_to_be_said_which_letters_are_meant(broker: Broker, names: tuple[str, ...]) -> None:
    shown = DeadLetters(lambda: OnRedis(broker), lambda: None)
    for verb in (shown.replay, shown.discard):
        with pytest.raises(LabError, match="which dead letters"):
            verb(*names, everything=bool(names))
