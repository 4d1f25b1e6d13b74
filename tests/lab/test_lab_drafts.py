"""Files that are written aside and renamed, and tasks that send others of their own."""

from __future__ import annotations

import pytest
from lab_bench import HERE

from labapp.checker.history import Note
from labapp.faults import Fault, charge_of, file_of, kill_worker
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session
from labapp.world.kinds import Kind

LESSON = HERE.parent.parent / "solutions" / "04_idempotency" / "lesson"
ONE = WorkerSettings(concurrency=1)
TORN = file_of("order-2", after_bytes=4096)
BOOKINGS = [(f"order-{number}", "customer-1", 120) for number in range(1, 6)]


def stored(session: Session, module: str, fault: Fault) -> Run:
    where = Module(module, LESSON)
    return conduct(
        session, Plan(where, f"{module}.store", orders(3), ONE, fault, expect=(Kind.FILE,))
    )


@pytest.mark.parametrize("effect", [TORN, file_of("order-2")], ids=["torn", "renamed"])
def test_a_file_that_is_renamed_is_whole_and_is_one(session: Session, effect: object) -> None:
    run = stored(session, "renamed", kill_worker(after=effect))  # type: ignore[arg-type]
    assert run.judged.exactly_once, run.judged
    assert [(file.name, file.complete) for file in run.stored] == [
        (f"order-{number}.pdf", True) for number in (1, 2, 3)
    ]


def test_a_file_that_is_only_looked_for_stays_torn(session: Session) -> None:
    run = stored(session, "exists_first", kill_worker(after=TORN))
    assert run.judged.lost == ("file of order-2",)
    assert [file.name for file in run.stored if not file.complete] == ["order-2.pdf"]


def test_a_worker_comes_to_rest_beside_tasks_that_nobody_has_sent(session: Session) -> None:
    fault = kill_worker(after=charge_of("order-3"))
    expect = (Kind.CHARGE, Kind.BOOKING)
    plan = Plan(Module("outbox", LESSON), "outbox.place", BOOKINGS, ONE, fault, expect=expect)
    run = conduct(session, plan)
    assert run.judged.exactly_once, run.judged
    assert not run.history.of(Note)
