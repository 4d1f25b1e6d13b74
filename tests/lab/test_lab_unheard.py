"""SIGQUIT at a worker whose main has not heard yet that a task has begun."""

from __future__ import annotations

from typing import Any

import pytest
from lab_bench import LATE, SHOP

from labapp.errors import LabError
from labapp.faults import Fault, charge_of, mail_of, open_charges, quit_unheard, stop
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session

FIRST = charge_of("order-1")
ALL = ("order-1", "order-2", "order-3")
KILLED = [("w1", "-", "waited for its task, and was killed")]
ENDED = [("w1", "0", "ended")]


def quit_worker(session: Session, fault: Fault, worker: WorkerSettings, **plan: Any) -> Run:
    """Three orders, one process; no time passes."""
    plan = {"deadline": 40.0, "time_passes": False, **plan}
    return conduct(session, Plan(SHOP, "shop.charge", orders(3), worker, fault, **plan))


def test_a_cold_shutdown_waits_for_a_task_of_which_main_has_not_heard(session: Session) -> None:
    worker = WorkerSettings(1, settings=LATE)
    run = quit_worker(session, quit_unheard(before=FIRST), worker, deadline=1.0)
    assert run.outcomes == KILLED
    assert run.judged.stuck == ALL, run.verdict
    assert session.workers() == []


@pytest.mark.parametrize(("signals", "outcomes", "stuck"), [(1, KILLED, ALL[1:]), (2, ENDED, ())])
def test_with_early_acknowledgement_it_is_lost_either_way(
    session: Session, signals: int, outcomes: list[tuple[str, str, str]], stuck: tuple[str, ...]
) -> None:
    fault = quit_unheard(before=FIRST, signals=signals)
    deadline = 1.0 if stuck else 40.0
    run = quit_worker(session, fault, WorkerSettings(1), deadline=deadline)
    assert run.outcomes == outcomes
    assert run.judged.lost == ("order-1",), run.verdict
    assert run.judged.stuck == stuck


def test_a_second_sigquit_cancels_it_and_gives_its_message_back(session: Session) -> None:
    fault = quit_unheard(before=FIRST, signals=2)
    run = quit_worker(session, fault, WorkerSettings(1, settings=LATE))
    assert run.outcomes == ENDED
    assert run.verdict.exactly_once is True, run.verdict
    assert run.judged.recovered == ALL


def test_a_task_of_which_main_has_heard_is_cancelled_at_once(session: Session) -> None:
    run = quit_worker(session, stop("QUIT", before=FIRST), WorkerSettings(1, settings=LATE))
    assert run.outcomes == []
    assert run.verdict.exactly_once is True, run.verdict


def test_a_charge_that_is_never_begun_makes_the_verdict_unknown(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labapp.lab.unheard.DEADLINE", 3.0)
    fault = quit_unheard(before=charge_of("order-33"))
    run = quit_worker(session, fault, WorkerSettings(1, settings=LATE))
    assert run.judged.unknown == "the fault did not fire: the charge was never begun"
    assert session.workers() == []


@pytest.mark.parametrize(
    ("worker", "told"),
    [
        (WorkerSettings(1, "threads"), "needs a pool with child processes, and threads has none"),
        (WorkerSettings(2), "the worker runs 2 tasks at a time, but the fault names 1"),
    ],
)
def test_a_worker_that_does_not_fit_is_refused_before_anything_starts(
    session: Session, worker: WorkerSettings, told: str
) -> None:
    with pytest.raises(LabError, match=told):
        quit_worker(session, quit_unheard(before=FIRST), worker)
    assert session.workers() == []


def test_a_run_has_to_expect_what_the_fault_names(session: Session) -> None:
    with pytest.raises(LabError, match="the fault strikes at a mail"):
        quit_worker(session, quit_unheard(before=mail_of("order-1")), WorkerSettings(1))


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ({"before": open_charges(1)}, "quit_unheard strikes one charge"),
        ({"before": FIRST, "signals": 3}, "a worker ends at once at the third SIGQUIT"),
    ],
)
def test_a_mistake_is_one_clear_line(mistake: dict[str, Any], told: str) -> None:
    with pytest.raises(LabError, match=told):
        quit_unheard(**mistake)
