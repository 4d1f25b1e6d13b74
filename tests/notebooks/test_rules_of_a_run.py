"""What nbval lets pass when a notebook runs is red here: one small notebook per rule, one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from nbformat.v4 import new_output
from nbruns import Run, cell, run_nbval, write

if TYPE_CHECKING:
    from pathlib import Path

PRINT_A = "print('a')"
REDRAWN = """
from IPython.display import clear_output, display, update_display
print('gone')
clear_output(wait=True)
display({'text/plain': '1 of 2'}, raw=True, display_id='bar')
update_display({'text/plain': '2 of 2'}, raw=True, display_id='bar')
"""


def error(name: str, value: str = "") -> object:
    """A stored error, as `make outputs` keeps it."""
    return new_output("error", ename=name, evalue=value, traceback=[f"{name}: {value}"])


@pytest.fixture(name="run", scope="module")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("rules")
    _write_green(folder)
    _write_red(folder)
    _write_raising(folder)
    return run_nbval(folder, "--no-stack", "--nbval-cell-timeout=2")


def _write_green(folder: Path) -> None:
    write(folder, "good", cell(PRINT_A, "a\n"), cell("# NBVAL_IGNORE_OUTPUT\nprint(id(1))"))
    shown = cell(REDRAWN)
    shown.outputs = [new_output("display_data", data={"text/plain": "2 of 2"})]
    write(folder, "redrawn", shown)


def _write_red(folder: Path) -> None:
    write(folder, "differs", cell(PRINT_A, "b\n"), cell("assert 1 == 2, 'no'"))
    write(folder, "dies", cell(PRINT_A, "a\n"), cell("import os; os._exit(1)"), cell("1"))
    write(folder, "slow", cell(PRINT_A, "a\n"), cell("import time; time.sleep(60)"), cell("1"))
    write(folder, "skipped", cell(PRINT_A, "a\n"), cell("1 / 0  # x\n# NBVAL_SKIP"))
    write(folder, "no_name", cell("undefined", "a\n"))


def _write_raising(folder: Path) -> None:
    marked = {"tags": ["raises-exception"]}
    good, wrong, none = cell("1/0", **marked), cell("int('x')", **marked), cell("x = 1", **marked)
    good.outputs = [error("ZeroDivisionError", "division by zero")]
    wrong.outputs = [error("ZeroDivisionError", "division by zero")]
    write(folder, "raises", cell(PRINT_A, "a\n"), good, wrong, none)


def test_the_whole_run_is_red(run: Run) -> None:
    assert run.status == 1, run.output


def test_a_good_notebook_is_green_without_nbval_on_the_command_line(run: Run) -> None:
    assert run.red("good") == {}
    assert list(run.of("good")) == ["rules", "Cell 0", "Cell 1"]


def test_redrawn_and_cleared_outputs_are_compared_as_they_look_in_the_end(run: Run) -> None:
    assert run.red("redrawn") == {}, run.output


def test_each_red_cell_says_why(run: Run) -> None:
    assert run.red("differs") == {"Cell 0": "outputs differ", "Cell 1": "assertion"}
    assert run.red("no_name") == {"Cell 0": "exception NameError"}


def test_a_dead_kernel_is_noticed_within_three_seconds(run: Run) -> None:
    assert run.red("dies") == {"Cell 1": "kernel died", "Cell 2": "kernel died"}
    assert run.of("dies")["Cell 1"].seconds < 3


def test_a_time_out_is_red_and_so_is_all_that_follows(run: Run) -> None:
    assert run.red("slow") == {"Cell 1": "time-out", "Cell 2": "time-out"}
    assert run.of("slow")["Cell 1"].seconds < 10


def test_a_skipped_cell_is_red(run: Run) -> None:
    assert set(run.red("skipped")) == {"rules", "Cell 1"}


def test_a_cell_that_must_raise_does_raise_the_stored_exception(run: Run) -> None:
    assert run.red("raises") == {"Cell 2": "exception ValueError", "Cell 3": "nothing raised"}
