"""Every experiment gives the verdict that is known for it, word for word.

The texts are in ``verdicts.txt``: a changed one is a change to review, never noise.
"""

from __future__ import annotations

from typing import Any

import pytest
from lab_bench import BETWEEN, KNOWN, LATE, SHOPS, experiment

from labapp.faults import (
    Fault,
    answer,
    charge_of,
    crash_broker,
    cut_off,
    drop_reply,
    duplicate,
    kill_child,
    kill_worker,
    late,
    never_answer,
    nth_charge,
    open_charges,
    pause,
    slow_link,
    stop,
)
from labapp.lab.publisher import Module
from labapp.lab.session import Session

ORDER_3, ORDER_4 = charge_of("order-3"), charge_of("order-4")
REJECT = LATE | {"task_reject_on_worker_lost": True}
LOST_RETRY = {"task_retry_on_worker_lost": True}
POISON = kill_child(before=ORDER_3, every_time=True)
IMPATIENT = {"module": Module("impatient", SHOPS)}
RETRYING = {"module": Module("retrying", SHOPS)}
ALONE = {"concurrency": 1}

EXPERIMENTS: dict[str, tuple[Fault | None, dict[str, Any]]] = {
    "no fault": (None, {}),
    "early ack, worker killed": (kill_worker(**BETWEEN), {}),
    "late ack, worker killed": (kill_worker(**BETWEEN), LATE),
    "late ack, worker killed, rescued by a survivor": (
        kill_worker(**BETWEEN),
        LATE
        | {"survivor": True}
        | {
            "broker_transport_options": {
                "visibility_timeout": 3600,
                "unacked_restore_interval": 0.2,
                "unacked_restore_throttle": 1,
                "unacked_mutex_expire": 1,
            }
        },
    ),
    "late ack, worker killed while fetching": (kill_worker(while_fetching=True), LATE),
    "late ack, worker killed, no time passes": (
        kill_worker(**BETWEEN),
        LATE | {"time_passes": False, "deadline": 1.0},
    ),
    "early ack, child killed after": (kill_child(after=ORDER_3), {}),
    "late ack, child killed before": (kill_child(before=ORDER_3), LATE),
    "late ack and reject, child killed before": (kill_child(before=ORDER_3), REJECT),
    "late ack and reject, child killed after": (kill_child(after=ORDER_3), REJECT),
    "late ack, poison": (POISON, LATE),
    "late ack and reject, poison": (POISON, REJECT),
    "retry on worker lost, three minutes later": (POISON, LOST_RETRY),
    "retry on worker lost, twice, poison": (POISON, LOST_RETRY | RETRYING),
    "late ack, paused": (pause(**BETWEEN), LATE | {"worker_prefetch_multiplier": 1}),
    "late ack, TERM": (stop("TERM", **BETWEEN), LATE),
    "early ack, TERM": (stop("TERM", **BETWEEN), {}),
    "late ack, QUIT": (stop("QUIT", **BETWEEN), LATE),
    "early ack, QUIT": (stop("QUIT", **BETWEEN), {}),
    "late ack, TERM then kill": (stop("TERM", **BETWEEN, then_kill=True), LATE),
    "early ack, reply dropped": (drop_reply(after=ORDER_3), {}),
    "retrying, reply dropped": (drop_reply(after=ORDER_3), RETRYING),
    "early ack, refused with 503": (answer(503, before=ORDER_3), {}),
    "retrying, refused with 429 twice": (
        answer(429, before=ORDER_3, retry_after=1, times=2),
        RETRYING,
    ),
    "impatient, never answered before": (never_answer(before=ORDER_3), IMPATIENT),
    "impatient, never answered after": (never_answer(after=ORDER_3), IMPATIENT),
    "patient, answered late": (late(0.2, before=ORDER_3), {}),
    "threads, early ack, worker killed": (kill_worker(**BETWEEN), {"pool": "threads"}),
    "threads, late ack, worker killed": (kill_worker(**BETWEEN), LATE | {"pool": "threads"}),
    "solo, late ack, worker killed": (
        kill_worker(after=ORDER_3),
        LATE | ALONE | {"pool": "solo"},
    ),
    "one process, third charge": (kill_child(after=nth_charge(3)), REJECT | ALONE),
    "any two open charges": (kill_worker(before=open_charges(2)), {}),
    "any two recorded charges": (kill_worker(after=open_charges(2)), LATE),
    "early ack, published again": (duplicate("published", before=ORDER_3), {}),
    "late ack, published again": (duplicate("published", after=ORDER_3), LATE),
    "early ack, redelivered": (duplicate("redelivered", before=ORDER_3), {}),
    "late ack, redelivered": (duplicate("redelivered", before=ORDER_3), LATE),
    "early ack, broker crashed": (crash_broker(**BETWEEN), {}),
    "late ack, broker crashed": (crash_broker(**BETWEEN), LATE),
    "late ack, broker crashed without AOF": (crash_broker(**BETWEEN, aof=False), LATE),
    "early ack, cut off": (cut_off(**BETWEEN), {}),
    "late ack, cut off": (cut_off(**BETWEEN), LATE),
    "late ack, one message at a time, cut off": (
        cut_off(**BETWEEN),
        LATE | {"worker_prefetch_multiplier": 1},
    ),
    "early ack, stalled": (cut_off(**BETWEEN, stall=True), {}),
    "late ack, stalled": (cut_off(**BETWEEN, stall=True), LATE),
    "late ack, slow link": (slow_link(0.02), LATE),
    "the fault never comes": (
        kill_worker(after=charge_of("order-33"), before=charge_of("order-34")),
        LATE,
    ),
    "the answer never comes": (answer(500, before=charge_of("order-33")), {}),
    "the poison never comes": (kill_child(before=charge_of("order-33"), every_time=True), LATE),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_verdict_is_the_known_one(session: Session, name: str) -> None:
    fault, how = EXPERIMENTS[name]

    run = experiment(session, fault, **how)

    logs = "\n".join(run.logs)
    assert str(run.verdict) == KNOWN[name], f"{run.broker}\n{logs}"
    assert session.workers() == []


def test_every_known_verdict_has_its_experiment() -> None:
    assert list(KNOWN) == list(EXPERIMENTS)


def test_a_poison_task_is_given_up_after_as_many_attempts_as_asked_for(session: Session) -> None:
    fault = kill_child(before=ORDER_3, every_time=True, give_up_after=3)
    run = experiment(session, fault, **REJECT)
    assert run.attempts("order-3") == 4
    assert run.verdict.reasons == {"order-3": "running"}


def test_retries_are_counted_by_attempts(session: Session) -> None:
    run = experiment(session, POISON, **LOST_RETRY, **RETRYING)
    assert run.attempts("order-3") == 3


def test_a_worker_killed_at_once_loses_nothing_with_late_ack(session: Session) -> None:
    run = experiment(session, kill_worker(), **LATE)
    assert run.verdict.at_least_once is True


def test_a_trigger_that_comes_by_half_is_given_up(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labapp.lab.strike.TRIGGER_DEADLINE", 1.0)
    run = experiment(session, kill_worker(after=charge_of("order-33"), before=ORDER_4), **LATE)
    assert run.verdict.unknown.startswith("the fault did not fire: kill worker after the charge")
    assert session.workers() == []


def test_two_runs_in_one_session_give_the_same_text(session: Session) -> None:
    texts = {str(experiment(session, kill_worker(**BETWEEN)).verdict) for _ in range(2)}
    assert texts == {KNOWN["early ack, worker killed"]}


def test_two_sessions_at_the_same_time_do_not_disturb_each_other(session: Session) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with Session(session.stack) as other, ThreadPoolExecutor(2) as pool:
        assert session.broker.url != other.broker.url
        early = pool.submit(experiment, session, kill_worker(**BETWEEN))
        late_ack = pool.submit(experiment, other, kill_worker(**BETWEEN), **LATE)
        assert str(early.result().verdict) == KNOWN["early ack, worker killed"]
        assert str(late_ack.result().verdict) == KNOWN["late ack, worker killed"]
