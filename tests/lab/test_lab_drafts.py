"""Files that are written aside and renamed, and files that are only looked for."""

from __future__ import annotations

import pytest
from lab_bench import HERE

from labapp.faults import Fault, file_of, kill_worker
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session
from labapp.world.kinds import Kind

LESSON = HERE.parent.parent / "solutions" / "04_idempotency" / "lesson"
ONE = WorkerSettings(concurrency=1)
TORN = file_of("order-2", after_bytes=4096)


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
