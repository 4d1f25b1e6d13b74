"""Duplicates that meet at the partner, and orders that are sent twice: no race is left in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lab_bench import LATE, PATIENCE, SHOP, experiment

from labapp.checker.history import Attempt, Effect
from labapp.errors import LabError
from labapp.faults import charge_of, duplicate
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session

ORDER = "order-3"
LOOKING = """
import os

import httpx
from celery import Celery
from redis import Redis

app = Celery("looking")
keys = Redis.from_url(os.environ["CELERY_BROKER_URL"])

@app.task(bind=True, max_retries=20)
def charge(self, order):
    if keys.exists(f"done:{order}"):
        return "done already"
    LOCK
    httpx.post(os.environ["PARTNER_URL"] + "/charges", json={"order": order}, timeout=60)
    keys.set(f"done:{order}", 1)
"""
LOCK = """if not keys.set(f"lock:{order}", 1, nx=True):
        raise self.retry(countdown=1)"""


def steps(run: Run) -> list[type]:
    """What the partner saw of the order that was copied, in its order."""
    seen = [*run.history.of(Attempt), *run.history.of(Effect)]
    return [type(event) for event in sorted(seen, key=lambda e: e.at) if event.key == ORDER]


@pytest.mark.parametrize("kind", ["published", "redelivered"])
def test_both_copies_are_at_the_partner_before_either_is_charged(
    session: Session, kind: str
) -> None:
    fault = duplicate(kind, before=charge_of(ORDER), together=True)
    run = experiment(session, fault, deadline=PATIENCE, **LATE)
    assert run.judged.duplicated == (ORDER,), run.verdict
    assert steps(run) == [Attempt, Attempt, Effect, Effect]


@pytest.mark.parametrize(("together", "twice"), [(True, (ORDER,)), (False, ())])
def test_who_looks_first_and_acts_then_is_caught_when_copies_meet(
    session: Session, module_in: Callable[..., Module], together: bool, twice: tuple[str, ...]
) -> None:
    """Apart, the copy is at the end of the queue, and one process takes one after the other."""
    module = module_in(LOOKING.replace("LOCK", ""))
    fault = duplicate("published", before=charge_of(ORDER), together=together)
    concurrency = 2 if together else 1
    run = experiment(
        session, fault, module=module, concurrency=concurrency, deadline=PATIENCE, **LATE
    )
    assert run.judged.duplicated == twice, run.verdict


def test_a_copy_that_puts_itself_off_is_not_waited_for(
    session: Session, module_in: Callable[..., Module]
) -> None:
    module = module_in(LOOKING.replace("LOCK", LOCK))
    fault = duplicate("published", before=charge_of(ORDER), together=True)
    run = experiment(session, fault, module=module, deadline=PATIENCE, **LATE)
    assert run.judged.exactly_once, run.verdict
    assert "did not come to rest" not in "".join(run.history.to_lines())


def test_a_copy_for_which_no_process_is_free_is_not_waited_for(session: Session) -> None:
    fault = duplicate("published", before=charge_of(ORDER), together=True)
    run = experiment(session, fault, concurrency=1, deadline=PATIENCE, **LATE)
    assert run.judged.duplicated == (ORDER,)
    assert steps(run) == [Attempt, Effect, Attempt, Effect]


@pytest.mark.parametrize("settings", [LATE, {}])
def test_an_order_that_is_sent_again_begins_when_the_first_one_has_ended(
    session: Session, settings: dict[str, bool]
) -> None:
    fault = duplicate("sent", after=charge_of(ORDER))
    worker = WorkerSettings(settings=settings)
    plan = Plan(SHOP, "shop.charge", orders(10), worker, fault, deadline=PATIENCE, drawing=True)
    run = conduct(session, plan)
    assert (run.judged.sent, run.judged.duplicated) == (10, (ORDER,)), run.verdict
    assert steps(run) == [Attempt, Effect, Attempt, Effect]
    assert [row[:3] for row in run.messages.rows] == [
        (ORDER, "published", "#1"),
        (ORDER, "published", "#2"),
    ]
    assert run.states[ORDER] == "SUCCESS"


def test_states_of_two_tasks_of_an_order_stand_together(
    session: Session, module_in: Callable[..., Module]
) -> None:
    ignoring = LOOKING.replace("LOCK", "").replace(
        'return "done already"', "from celery.exceptions import Ignore; raise Ignore"
    )
    fault = duplicate("sent", after=charge_of(ORDER))
    run = experiment(session, fault, module=module_in(ignoring), deadline=PATIENCE, **LATE)
    assert run.judged.exactly_once
    assert run.states[ORDER] == "PENDING, SUCCESS"
    assert run.states["order-4"] == "SUCCESS"


def test_what_is_sent_again_later_cannot_be_there_together_with_itself() -> None:
    with pytest.raises(LabError, match="not there together with itself") as caught:
        duplicate("sent", after=charge_of(ORDER), together=True)
    assert "published" in caught.value.hint
