"""Copies of a task, and charges that happen at the same moment."""

from __future__ import annotations

import pytest
from lab_bench import HERE, SHOP, experiment

from labapp.errors import LabError
from labapp.faults import charge_of, open_charges, together
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, WorkerSettings
from labapp.lab.session import Session

LESSON = HERE.parent.parent / "solutions" / "04_idempotency" / "lesson"
RACE = Module("check_then_act", LESSON)
ONE = WorkerSettings(concurrency=1)


def test_copies_are_run_and_owe_nothing_of_their_own(session: Session) -> None:
    run = conduct(session, Plan(SHOP, "shop.charge", orders(2), ONE, copies=3))
    verdict = run.judged
    assert (verdict.sent, verdict.effects) == (2, 6)
    assert verdict.duplicated == ("order-1", "order-2")


def test_charges_happen_together_and_once(session: Session) -> None:
    both = together(before=[charge_of("order-1"), charge_of("order-2")])
    verdict = experiment(session, both, count=4).judged
    assert verdict.exactly_once, verdict


def test_who_looks_before_it_acts_is_as_many_as_there_are_processes(session: Session) -> None:
    four = together(before=open_charges(4))
    plan = Plan(
        RACE, "check_then_act.charge", orders(1), WorkerSettings(concurrency=4), four, copies=8
    )
    run = conduct(session, plan)
    assert (run.attempts("order-1"), run.judged.duplicated) == (4, ("order-1",))


def test_a_rendezvous_of_more_than_the_worker_runs_is_refused(session: Session) -> None:
    with pytest.raises(LabError, match="names 3 in flight"):
        experiment(session, together(before=open_charges(3)))


@pytest.mark.parametrize("copies", [0, -1, True, 1.5])
def test_a_number_of_copies_that_is_none_is_refused(session: Session, copies: int) -> None:
    with pytest.raises(LabError, match="is not sent"):
        conduct(session, Plan(SHOP, "shop.charge", orders(1), ONE, copies=copies))
