"""The crash matrix: every fault at every position, and the same verdict alone and together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_bench import LATE, SHOP

from labapp.checker.verdict import Verdict
from labapp.errors import LabError
from labapp.lab import orders
from labapp.lab.matrix import cells, run_matrix, strikes
from labapp.lab.run import Plan, WorkerSettings
from labapp.stack.state import Stack
from labapp.world.kinds import SERVED, Kind

REJECT = LATE | {"task_reject_on_worker_lost": True}
BY_NATURE = ("publish again", "redeliver", "pause", "cut off", "stall")
"""Faults that make late ack do its work twice, wherever they strike."""


def plan(count: int = 5, expect: tuple[Kind, ...] = (Kind.CHARGE,), **settings: Any) -> Plan:
    """Charges without a fault."""
    worker = WorkerSettings(2, "prefork", settings)
    return Plan(SHOP, "shop.charge", orders(count), worker, expect=expect)


@given(st.integers(), st.lists(st.sampled_from(SERVED), unique=True, min_size=1))
def test_a_row_is_named_by_all_there_is_to_know(seed: int, kinds: list[Kind]) -> None:
    rows = cells(plan(expect=tuple(kinds)), seed)
    names = [row.name for row in rows]
    per_kind = 2 * len(strikes()) + 1
    torn = len(strikes()) if Kind.FILE in kinds else 0
    assert len(set(names)) == len(names) == per_kind * len(kinds) + torn
    assert [row.plan.fault for row in cells(plan(expect=tuple(kinds)), seed)] == [
        row.plan.fault for row in rows
    ]
    for row in rows:
        assert row.plan.fault is not None
        assert row.name.endswith(str(row.plan.fault.moments[0]))


def test_another_seed_strikes_other_orders() -> None:
    assert {row.name for row in cells(plan(), 1)} != {row.name for row in cells(plan(), 2)}


def test_the_matrix_of_late_ack_and_reject(stack: Stack) -> None:
    lines: list[str] = []
    matrix = run_matrix(stack, plan(**REJECT), progress=lines.append)

    assert matrix.summary == "25 rows · at least once 23 · exactly once 8"
    for name, verdict in matrix.verdicts.items():
        assert told(name, verdict) == expected(name), f"{name}: {verdict}"
    assert lines == [f"{n}/25 {name}" for n, name in enumerate(matrix.runs, start=1)]
    assert repr(matrix).splitlines()[0] == matrix.summary
    assert len(repr(matrix).splitlines()) == 27


def told(name: str, verdict: Verdict) -> str:
    """What happened to the order that was struck."""
    struck = name.rsplit(maxsplit=1)[-1]
    assert not verdict.unknown
    if struck in verdict.lost:
        return "lost"
    return "twice" if struck in verdict.duplicated else "once"


def expected(name: str) -> str:
    """What late ack and reject make of a fault."""
    before = " before " in name
    if name.startswith("answer") or (name.startswith("drop reply") and before):
        return "lost"  # the task fails, and is acknowledged
    if name.startswith(BY_NATURE):
        return "twice"
    return "once" if before or name.startswith(("TERM after", "drop reply")) else "twice"


def test_a_row_alone_has_the_verdict_that_it_has_in_the_matrix(stack: Stack) -> None:
    rows = [row.name for row in cells(plan()) if row.name.startswith(("kill", "crash"))]
    together = run_matrix(stack, plan(), only=rows)
    alone = [run_matrix(stack, plan(), only=[name]).verdicts[name] for name in rows]
    assert list(together.verdicts.values()) == alone


def test_a_row_is_replayed_by_its_name(stack: Stack) -> None:
    name = cells(plan())[0].name
    matrix = run_matrix(stack, plan(), only=[name])
    again = matrix.replay(name)
    assert again.judged == matrix[name].judged
    assert again.plan.drawing


def test_a_row_that_cannot_strike_says_why(stack: Stack) -> None:
    name = next(row.name for row in cells(plan()) if row.name.startswith("redeliver before"))
    matrix = run_matrix(stack, plan(), only=[name])
    assert matrix.summary == "1 row · at least once 0 · exactly once 0 · 1 unknown"
    assert "was acknowledged before its work" in repr(matrix)


def test_an_unknown_row_is_named_with_the_nearest_one(stack: Stack) -> None:
    with pytest.raises(LabError) as refused:
        run_matrix(stack, plan(), only=["kill childs before the charge of order-4"])
    assert refused.value.message.startswith("the matrix has no row 'kill childs")
    assert "kill child before the charge of order-" in refused.value.hint


def test_an_experiment_that_cannot_begin_ends_the_matrix(stack: Stack, tmp_path: Any) -> None:
    from dataclasses import replace

    from labapp.lab.publisher import Module

    broken = replace(plan(), module=Module("nothing", tmp_path))
    with pytest.raises(LabError, match=r"there is no nothing.py"):
        run_matrix(stack, broken)
