"""A worker that loses its broker and is left to itself; one that is asked to stop as it fetches."""

from __future__ import annotations

from typing import Any

import pytest
from lab_bench import LATE, SHOP

from labapp.errors import LabError
from labapp.faults import Fault, charge_of, crash_broker, stop
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session

ORDERS_1_AND_2 = {"after": charge_of("order-1"), "before": charge_of("order-2")}
LOST_BROKER = crash_broker(**ORDERS_1_AND_2, kill_worker=False)
UNRECOVERABLE = ("w1", "1", "AttributeError(\"'NoneType' object has no attribute 'hostname'\")")
"""What becomes of a worker that holds a message and waits for another (kombu 5.7.0)."""
FOUND_AGAIN = ("w1", "-", "found its broker again")
ALL = ("order-1", "order-2", "order-3", "order-4")


def lose(session: Session, fault: Fault = LOST_BROKER, **how: Any) -> Run:
    """Four orders, two of them in flight; ``how`` are the plan's parts, and Celery's settings."""
    plan = {name: how.pop(name) for name in ("supervised", "time_passes") if name in how}
    settings = WorkerSettings(settings=LATE | how)
    return conduct(
        session,
        Plan(SHOP, "shop.charge", orders(4), settings, fault, drawing=True, deadline=40.0, **plan),
    )


def test_a_worker_that_waits_for_a_message_ends_with_its_broker(session: Session) -> None:
    run = lose(session)
    assert run.outcomes == [UNRECOVERABLE]
    assert run.judged.duplicated == ("order-1", "order-2"), run.verdict
    assert run.judged.recovered == ("order-3", "order-4")
    assert session.workers() == []


def test_without_a_supervisor_nothing_comes_back(session: Session) -> None:
    plan = Plan(
        SHOP,
        "shop.charge",
        orders(4),
        WorkerSettings(settings=LATE),
        LOST_BROKER,
        deadline=1.0,
        supervised=False,
    )
    run = conduct(session, plan)
    assert run.outcomes == [UNRECOVERABLE]
    assert run.judged.stuck == ALL
    assert len(run.commands) == 1


def test_a_worker_that_waits_for_nothing_finds_its_broker_again(session: Session) -> None:
    run = lose(session, worker_prefetch_multiplier=1)
    assert run.outcomes == [FOUND_AGAIN]
    assert run.verdict.exactly_once is True, run.verdict
    assert len(run.commands) == 1, "nobody had to start a worker"


def test_an_idle_worker_finds_its_broker_again(session: Session) -> None:
    """Early acknowledgement, and as many tasks as processes: nothing is unacknowledged."""
    plan = Plan(SHOP, "shop.charge", orders(2), fault=LOST_BROKER, deadline=40.0)
    run = conduct(session, plan)
    assert run.outcomes == [FOUND_AGAIN]
    assert run.verdict.exactly_once is True, run.verdict


def test_what_a_broker_without_aof_forgot_is_lost(session: Session) -> None:
    run = lose(session, crash_broker(**ORDERS_1_AND_2, kill_worker=False, aof=False))
    assert run.outcomes == [UNRECOVERABLE]
    assert run.judged.lost == ("order-3", "order-4"), run.verdict


def test_a_worker_that_is_asked_to_stop_as_it_fetches_gives_the_message_back(
    session: Session,
) -> None:
    run = lose(session, stop("TERM", while_fetching=True), time_passes=False)
    assert run.verdict.exactly_once is True, run.verdict
    assert repr(run.timeline) == (
        "order-1  happened  w1: fetched | given back | w2: effect, acknowledged\n"
        "3 went well: order-2 … order-4"
    )


@pytest.mark.parametrize(
    "how", [{"signal": "QUIT"}, {"signal": "TERM", "then_kill": True}, ORDERS_1_AND_2]
)
def test_only_a_plain_term_comes_as_a_worker_fetches(how: dict[str, Any]) -> None:
    with pytest.raises(LabError, match="has no charge in flight, and gets a plain TERM") as refused:
        stop(**{"signal": "TERM", **how}, while_fetching=True)
    assert refused.value.hint == 'stop("TERM", while_fetching=True)'
