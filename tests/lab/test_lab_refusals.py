"""A partner that is away, a process that hangs, and what is put aside: whole experiments."""

from __future__ import annotations

from dataclasses import replace

from lab_bench import PATIENCE, SHOPS

from labapp.checker.history import Attempt, DeadLettered, Effect, Mark
from labapp.faults import Fault, answer, charge_of, freeze_child, kill_worker, outage
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session

KEEPING = Module("keeping", SHOPS)
SECOND = charge_of("order-2")
PLAN = Plan(KEEPING, "keeping.charge", orders(3), WorkerSettings(), deadline=PATIENCE)


def experiment(session: Session, fault: Fault | None, **changes: object) -> Run:
    """Charge three orders in the shop that keeps what failed."""
    return conduct(session, replace(PLAN, fault=fault, **changes))  # type: ignore[arg-type]


def left(run: Run) -> list[str]:
    """Orders that were put aside, one for each letter."""
    return [letter.key for letter in run.letters]


def test_an_outage_refuses_every_charge_until_its_time_is_over(session: Session) -> None:
    run = experiment(session, outage(seconds=1.5))

    assert run.judged.exactly_once, run
    begun = min(one.at for one in run.history.of(Attempt))
    assert all(effect.at - begun >= 1.4 for effect in run.history.of(Effect))
    assert all(run.attempts(order) > 1 for (order,) in PLAN.work)
    assert left(run) == []


def test_what_is_refused_for_good_is_put_aside_once(session: Session) -> None:
    run = experiment(session, answer(402, before=SECOND, times=0))

    assert run.judged.dead_lettered == ("order-2",)
    assert not run.judged.at_least_once
    assert repr(run.dead_letters).splitlines()[2].startswith("order-2  keeping.charge('order-2')")
    assert run.attempts("order-2") == 1


def test_a_frozen_process_ends_by_the_hard_limit_and_its_task_is_told_twice(
    session: Session,
) -> None:
    """Celery fires task_failure twice: a hash, by task id, has one letter all the same."""
    run = experiment(session, freeze_child(before=SECOND))

    assert run.judged.dead_lettered == ("order-2",)
    assert left(run) == ["order-2"]
    (letter,) = run.letters
    assert "TimeLimitExceeded" in letter.error
    assert int(session.broker.redis.get(f"told:{letter.id}") or 0) == 2


def test_replayed_letters_have_their_effect_and_are_gone(session: Session) -> None:
    run = experiment(session, answer(402, before=SECOND, times=0), then_replay=True)

    assert run.judged.exactly_once, run
    assert left(run) == ["order-2"], "the letters of before"
    assert not run.history.of(DeadLettered)
    assert session.broker.redis.exists("dead_letters") == 0


def test_work_that_comes_by_replay_is_struck_like_any_other(session: Session) -> None:
    both = kill_worker(after=charge_of("order-1"), before=SECOND)
    run = experiment(session, both, by_replay=True)

    assert run.judged.at_least_once, run
    assert run.judged.duplicated == ("order-1",)


def test_a_drawn_run_knows_for_how_long_each_retry_is_to_wait(session: Session) -> None:
    run = experiment(session, answer(503, before=SECOND, times=2), drawing=True)

    waits = [mark.wait for mark in run.history.of(Mark) if mark.wait]
    assert len(waits) == 2
    assert all(0.15 < wait <= 0.3 for wait in waits), waits
