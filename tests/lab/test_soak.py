"""The soak: one seed decides all of it, and a shop that is wrong comes out red, by name."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_bench import PATIENCE

from labapp.course.stage_04 import work
from labapp.errors import LabError
from labapp.lab.matrix import cells
from labapp.lab.publisher import Module
from labapp.lab.run import Plan
from labapp.lab.soak import CRASHES, CRASHING, DELIVERIES, Tally, rounds, soak
from labapp.stack.state import Stack
from labapp.world.kinds import Kind

ROOT = Path(__file__).parents[2]
SOLUTION = ROOT / "solutions" / "04_idempotency"
SCRIPT = (sys.executable, str(ROOT / "scripts" / "soak.py"))


def plan(folder: Path = SOLUTION) -> Plan:
    """One round without a fault."""
    expect = (Kind.CHARGE, Kind.BOOKING)
    return Plan(Module("shop", folder), "shop.charge", work(), expect=expect, deadline=PATIENCE)


@given(seed=st.integers(), deliveries=st.integers(1, 1000), crashes=st.integers(0, 100))
def test_a_seed_gives_the_same_rounds_and_enough_of_them(
    seed: int, deliveries: int, crashes: int
) -> None:
    found = rounds(plan(), seed, deliveries, crashes)

    assert [cell.name for cell in found] == [
        cell.name for cell in rounds(plan(), seed, deliveries, crashes)
    ]
    faults = [cell.plan.fault for cell in found]
    assert sum(bool(fault and fault.action in CRASHING) for fault in faults) >= crashes
    assert len(found) * len(plan().work) >= deliveries
    assert [int(cell.name.split()[0]) for cell in found] == list(range(1, len(found) + 1))
    for cell, fault in zip(found, faults, strict=True):
        assert cell.name.endswith(str(fault and fault.moments[0]))


def test_a_soak_strikes_in_every_way_that_the_matrix_knows() -> None:
    names = {cell.plan.fault.name for cell in rounds(plan(), 1, 20_000, 0) if cell.plan.fault}
    every = {cell.plan.fault.name for cell in cells(plan()) if cell.plan.fault}
    assert names == every


def test_another_seed_gives_other_rounds() -> None:
    one, other = (rounds(plan(), seed, DELIVERIES, CRASHES) for seed in (1, 2))
    assert [cell.name for cell in one] != [cell.name for cell in other]


def test_the_solution_survives_a_short_soak(stack: Stack) -> None:
    lines: list[str] = []
    found = soak(stack, plan(), seed=3, deliveries=40, crashes=3, progress=lines.append)

    assert found.bad == {}, f"{found.table!r}"
    assert found.tally.rounds == len(lines) == len(rounds(plan(), 3, 40, 3))
    assert found.tally.crashes >= 3
    assert found.tally.deliveries >= 40
    assert all(line.endswith(": exactly once") for line in lines)


def test_a_wrong_answer_comes_out_red_and_its_round_is_run_again_by_name(stack: Stack) -> None:
    wrong = plan(SOLUTION / "wrong_answers" / "row_without_key")
    every = rounds(wrong, 1, DELIVERIES, CRASHES)
    name = next(cell.name for cell in every if " kill worker after " in cell.name)
    number = name.partition(" ")[0]

    by_name = soak(stack, wrong, seed=1, only=name)
    by_number = soak(stack, wrong, seed=1, only=number)

    order = name.rsplit(maxsplit=1)[-1]
    assert by_name.bad[name].judged.duplicated == (order,)
    assert by_name.tally == by_number.tally
    assert str(by_name.tally).endswith("1 crashes · lost 0 · duplicated 1 · stuck 0")


def test_a_round_of_which_nothing_is_known_is_no_proof(stack: Stack) -> None:
    """With early acknowledgement a message cannot be redelivered: the fault never strikes."""
    early = plan(ROOT / "tests" / "lab" / "shops")
    every = rounds(early, 1, 20_000, 0)
    name = next(cell.name for cell in every if " redeliver before " in cell.name)
    books = replace(early, module=Module("books", early.module.path), task="books.charge")
    found = soak(stack, books, seed=1, only=name, deliveries=20_000, crashes=0)
    assert list(found.bad) == [name]
    assert found.tally.unknown == 1
    assert str(found.tally).endswith("1 unknown")


def test_a_round_that_is_not_there_is_told_with_the_nearest_one(stack: Stack) -> None:
    with pytest.raises(LabError, match="the soak has no round 'kill the worker'") as caught:
        soak(stack, plan(), only="kill the worker")
    assert "did you mean" in caught.value.hint


def test_a_tally_is_one_line() -> None:
    assert (
        str(Tally(1, 12, 1))
        == "1 round · 12 deliveries · 1 crashes · lost 0 · duplicated 0 · stuck 0"
    )


def test_the_script_runs_one_round_on_a_lab_of_its_own() -> None:
    name = next(
        cell.name for cell in rounds(plan(), 1, DELIVERIES, CRASHES) if " kill child " in cell.name
    )
    good = subprocess.run([*SCRIPT, "--only", name], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    assert "soak: seed 1: 1 round · " in good.stdout
    wrong = SOLUTION / "wrong_answers" / "key_before_work"
    red = subprocess.run(
        [*SCRIPT, "--only", name, "--answers", str(wrong)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert red.returncode == 1, red.stdout
    assert f"--only '{name}'" in red.stdout


def test_the_script_says_what_it_cannot_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [*SCRIPT, "--answers", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("lab: there is no shop.py in ")
