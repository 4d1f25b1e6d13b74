"""In which order lessons run, how often, and on which stack; `--stage` chooses among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from nbruns import Run, cell, run_nbval, write

if TYPE_CHECKING:
    from pathlib import Path

SEED = 7


@pytest.fixture(name="shelf")
def _shelf(tmp_path: Path) -> Path:
    """Three notebooks that need no stack."""
    for name in ("00_start", "02_crash", "02a_more"):
        write(tmp_path, name, cell("print('a')", "a\n"))
    return tmp_path


def order(run: Run) -> list[str]:
    """The notebooks in the order in which they ran, once each time."""
    return [item.notebook for item in run.items if item.name == "rules"]


def test_a_stage_is_its_lesson_and_its_appendix(shelf: Path) -> None:
    run = run_nbval(shelf, "--no-stack", "--stage=02")
    assert run.status == 0, run.output
    assert order(run) == ["02_crash", "02a_more"]


def test_a_stage_without_notebook_is_one_clear_line(shelf: Path) -> None:
    run = run_nbval(shelf, "--no-stack", "--stage=77")
    assert run.status == 4
    assert "no notebook of stage '77'" in run.output
    assert "00, 02" in run.output
    assert "Traceback" not in run.output


def test_rounds_are_shuffled_each_for_itself_and_appendices_have_one(shelf: Path) -> None:
    run = run_nbval(shelf, "--no-stack", "--rounds=2", f"--shuffle-seed={SEED}")
    assert run.status == 0, run.output
    ran = [name.partition("@")[0].removesuffix(".ipynb") for name in order(run)]
    assert sorted(ran[:3]) == ["00_start", "02_crash", "02a_more"] != ran[:3]
    assert sorted(ran[3:]) == ["00_start", "02_crash"]


def test_xdist_gives_a_notebook_to_one_worker_whole(tmp_path: Path) -> None:
    for name in ("00_state", "03_state"):
        write(tmp_path, name, cell("x = 1"), *(cell("print(x)", "1\n") for _ in range(6)))
    run = run_nbval(tmp_path, "--no-stack", "-n2")
    assert run.status == 0, run.output


def test_xdist_gives_all_rounds_of_all_lessons_to_one_worker(tmp_path: Path) -> None:
    """So they can be run twice in a row, in any order, on the same stack."""
    seen = tmp_path / "seen"
    seen.mkdir()
    mine = f"pathlib.Path({str(seen)!r}, os.environ['PYTEST_XDIST_WORKER'])"
    who = f"import os, pathlib\n{mine}.touch()"
    for name in ("03_who", "04_who_else", "04a_who_more"):
        write(tmp_path, name, cell(who), cell("print('a')", "a\n"))
    run = run_nbval(tmp_path, "--no-stack", "-n2", "--rounds=2", f"--shuffle-seed={SEED}")
    assert run.status == 0, run.output
    assert len(order(run)) == 5
    assert len(list(seen.iterdir())) == 1


def test_xdist_gives_the_tests_of_one_lesson_of_a_long_file_to_one_worker(tmp_path: Path) -> None:
    """Here to four lessons' worth; more than one worker has had some of them."""
    (tmp_path / "test_flips.py").write_text(
        """
import os, pathlib, pytest
cases = pytest.mark.parametrize("case", [f"0{n}_x--{e}" for n in range(4) for e in "abc"])

def seen(case):
    mine = pathlib.Path(__file__).parent / case[:4] / os.environ["PYTEST_XDIST_WORKER"]
    mine.mkdir(parents=True, exist_ok=True)

@cases
def test_flipped(case):
    seen(case)

@cases
def test_alone(case):
    seen(case)
"""
    )
    run = run_nbval(tmp_path, "--no-stack", "-n2")
    assert run.status == 0, run.output
    workers = [{one.name for one in (tmp_path / f"0{n}_x").iterdir()} for n in range(4)]
    assert [len(one) for one in workers] == [1] * 4
    assert len(set().union(*workers)) == 2


def test_neither_nbval_nor_lax_on_the_command_line_changes_anything(tmp_path: Path) -> None:
    write(tmp_path, "00_good", cell("print('a')", "a\n"))
    write(tmp_path, "04_bad", cell("print('b')", "a\n"))
    for option in ("--nbval", "--nbval-lax"):
        run = run_nbval(tmp_path, "--no-stack", option)
        assert len(run.items) == 4, run.output
        assert run.red("04_bad") == {"Cell 0": "outputs differ"}


def test_ignoring_differences_by_a_pattern_is_refused(shelf: Path) -> None:
    run = run_nbval(shelf, "--no-stack", "--nbval-sanitize-with=x.cfg")
    assert run.status == 4
    assert "wholesale" in run.output


def test_a_red_cell_shows_the_ends_of_the_stacks_logs(tmp_path: Path) -> None:
    """Also: the kernel finds the stack, and is told to take the solutions."""
    finds = (
        "import os, redis\nfrom labapp.stack.state import find_stack\n"
        "url = os.environ['CELERY_BROKER_URL']\n"
        "assert find_stack().broker_url(0) == url == os.environ['CELERY_RESULT_BACKEND']\n"
        "assert os.environ['PARTNER_URL'] == find_stack().world_url + '/live'\n"
        "print(redis.Redis.from_url(url).ping(), os.environ['LAB_ANSWERS'])"
    )
    write(tmp_path, "00_stack", cell(finds, "True solutions\n"), cell("assert False"))
    run = run_nbval(tmp_path)
    assert run.red("00_stack") == {"Cell 1": "assertion"}, run.output
    assert "end of broker.log" in run.output
