"""When time travels, keys with a time to live age as well: locks, leases, results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_bench import BETWEEN, LATE, PATIENCE, experiment

from labapp.faults import Fault, charge_of, duplicate, kill_worker, pause, slow_partner
from labapp.lab import orders
from labapp.lab.broker import REPLIES, Broker
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, WorkerSettings
from labapp.lab.session import Session
from labapp.stack.state import Stack

LEASING = """
import os

import httpx
from celery import Celery
from redis import Redis

app = Celery("leasing")
keys = Redis.from_url(os.environ["CELERY_BROKER_URL"])

@app.task
def charge(order):
    keys.set(f"lease:{order}", "mine", ex=1800)
    keys.set(f"mark:{order}", "mine", ex=7 * 24 * 3600)
    keys.set(f"done:{order}", "mine")
    httpx.post(os.environ["PARTNER_URL"] + "/charges", json={"order": order}, timeout=60)
"""
TWO_HOURS = {"visibility_timeout": 7200}
WEEK = 7 * 24 * 3600
TRAVELLING: dict[str, tuple[Fault, dict[str, Any]]] = {
    "worker killed": (kill_worker(**BETWEEN), {}),
    "so many seconds": (kill_worker(**BETWEEN), {"time_passes": 3601.0}),
    "redelivered": (duplicate("redelivered", after=charge_of("order-3")), {}),
    "paused": (pause(**BETWEEN), {}),
    "slow partner": (
        slow_partner(minutes=61, before=[charge_of("order-1"), charge_of("order-2")]),
        {"worker": WorkerSettings(settings=LATE | {"broker_transport_options": TWO_HOURS})},
    ),
}


@pytest.fixture(name="broker")
def _broker(session: Session) -> Broker:
    return session.broker


@settings(max_examples=20)
@given(lives=st.lists(st.integers(1, 10**7), max_size=5), hours=st.integers(0, 48))
def test_a_key_has_so_much_less_to_live_or_is_gone(
    stack: Stack, lives: list[int], hours: int
) -> None:
    with Session(stack) as session:
        redis, seconds = session.broker.redis, hours * 3600
        for life in lives:
            redis.set(f"key-of-{life}", "", ex=life)
        redis.set("for ever", "")

        assert session.broker.age_keys(seconds) == len(set(lives))

        assert redis.exists("for ever")
        for life in set(lives):
            left = redis.ttl(f"key-of-{life}")
            if life <= seconds:
                assert left == -2
            else:
                assert life - seconds - 60 <= left <= life - seconds


def test_answers_to_inspect_do_not_age(broker: Broker) -> None:
    reply = f"1{REPLIES}"
    broker.redis.lpush(reply, "an answer on its way")
    broker.redis.expire(reply, 10)
    assert broker.age_keys(3600) == 0
    assert broker.redis.exists(reply)


@pytest.mark.parametrize("name", TRAVELLING)
def test_they_age_however_time_travels(
    session: Session, module_in: Callable[..., Module], name: str
) -> None:
    fault, how = TRAVELLING[name]
    plan = {"worker": WorkerSettings(settings=LATE), "deadline": PATIENCE, **how}
    module = module_in(LEASING)
    run = conduct(session, Plan(module, "answer.charge", orders(10), fault=fault, **plan))

    assert run.judged.unknown == ""
    redis = session.broker.redis
    gone = [order for (order,) in orders(10) if not redis.exists(f"lease:{order}")]
    assert {"order-1", "order-2"} <= set(gone)
    assert all(0 < redis.ttl(f"mark:{order}") <= WEEK - 3600 for order in gone)
    assert all(redis.exists(f"done:{order}") for (order,) in orders(10))


def test_nothing_ages_where_no_time_passes(
    session: Session, module_in: Callable[..., Module]
) -> None:
    run = experiment(session, module=module_in(LEASING), deadline=PATIENCE, **LATE)
    assert run.judged.exactly_once
    assert all(session.broker.redis.exists(f"lease:{order}") for (order,) in orders(10))
