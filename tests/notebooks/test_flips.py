"""Every experiment of every lesson turns red when its one setting is flipped, and for that reason.

The experiments of one lesson run in one small notebook, the last one first: each flipped, then, in
a main lesson, as it stands.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import nbformat
import pytest
from nbformat.v4 import new_notebook
from nbruns import ROOT, Item, Run, cell, run_nbval, write

from labapp.course.flips import CONTROL, Experiment, cut_out, experiments, stray_runs
from labapp.course.notebooks import code_cells, is_main_lesson, notebooks_in, read
from labapp.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from labapp.course.notebooks import Node

LESSONS = notebooks_in(ROOT / "notebooks")
BY_COMPARISON = ("outputs differ", "assertion")
SETUP = ("", False)
"""Whose a cell is that belongs to no experiment."""


class Case(NamedTuple):
    """One experiment of one lesson."""

    lesson: Path
    experiment: Experiment

    @property
    def name(self) -> str:
        """What the test says of it."""
        return f"{self.lesson.stem}--{self.experiment.name}"


def cases(lessons: Iterable[Path]) -> list[Case]:
    """Every experiment of these lessons."""
    return [Case(lesson, one) for lesson in lessons for one in experiments(read(lesson))]


def mini_of(lesson: Path) -> Node:
    """Its experiments flipped; and as they stand, but for appendices and case files, in which
    hardly anything is built upon what was before."""
    notebook = read(lesson)
    return cut_out(notebook, experiments(notebook), control=is_main_lesson(lesson))


def write_mini(folder: Path, lesson: Path) -> None:
    nbformat.write(mini_of(lesson), folder / lesson.name)


@cache
def owners(lesson: Path) -> dict[str, tuple[str, bool]]:
    """Of each cell of the small notebook, by nbval's name for it: the name of its experiment, empty
    for setup, and whether it is of the control."""
    return {
        f"Cell {cell.number}": (cell.lab.get("experiment", ""), cell.node.id.endswith(CONTROL))
        for cell in code_cells(mini_of(lesson))
    }


def own_cells(case: Case) -> set[str]:
    """nbval's names of the experiment's flipped cells."""
    flipped = (case.experiment.name, False)
    return {name for name, owner in owners(case.lesson).items() if owner == flipped}


def split(run: Run, case: Case) -> tuple[dict[str, Item], dict[str, Item]]:
    """What ran for this experiment: setup with its cells flipped, and its control."""
    owner = owners(case.lesson)
    items = run.of(case.lesson.stem)
    assert owner.keys() <= items.keys()

    def those(*wanted: tuple[str, bool]) -> dict[str, Item]:
        return {name: item for name, item in items.items() if owner.get(name, SETUP) in wanted}

    control = those((case.experiment.name, True))
    assert bool(control) == is_main_lesson(case.lesson)
    return those(SETUP, (case.experiment.name, False)), control


def complaint(items: Mapping[str, Item], own: set[str]) -> str:
    """What is wrong with how a flipped notebook turned red; empty if it is as it should be."""
    red = {name: item for name, item in items.items() if item.outcome != "passed"}
    if not red:
        return "the flip changes nothing that a cell compares"
    for name, item in red.items():
        if name not in own:
            return f"{name} is red, which is no cell of the experiment ({item.why})\n{item.text}"
        if item.why not in BY_COMPARISON:
            return f"{name} crashed instead of comparing: {item.why}\n{item.text}"
    return ""


CASES = cases(LESSONS)
all_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
all_lessons = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)


@pytest.fixture(name="runs", scope="module")
def _runs() -> dict[Path, Run]:
    """The run of each lesson so far; the first test of a lesson runs it."""
    return {}


@pytest.fixture(name="run")
def _run(case: Case, runs: dict[Path, Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    if case.lesson not in runs:
        folder = tmp_path_factory.mktemp("flips")
        write_mini(folder, case.lesson)
        runs[case.lesson] = run_nbval(folder, f"--kernel-cwd={case.lesson.parent}")
    return runs[case.lesson]


@pytest.mark.parametrize(
    "case", [case for case in CASES if is_main_lesson(case.lesson)], ids=lambda case: case.name
)
def test_an_experiment_alone_is_green(run: Run, case: Case) -> None:
    """Without what the lesson ran before it, and after its own flip."""
    red = [item for item in split(run, case)[1].values() if item.outcome != "passed"]
    if red:
        pytest.fail(f"{red[0].name}: {red[0].why}\n{red[0].text}", pytrace=False)


@all_cases
def test_a_flipped_experiment_is_red_by_comparison(run: Run, case: Case) -> None:
    said = complaint(split(run, case)[0], own_cells(case))
    if said:
        pytest.fail(said, pytrace=False)


@all_lessons
def test_every_run_belongs_to_an_experiment(lesson: Path) -> None:
    stray = stray_runs(read(lesson))
    assert not stray, f"cells {stray} call lab.run( but belong to no experiment and are not free"


@all_lessons
def test_every_lesson_has_an_experiment(lesson: Path) -> None:
    assert experiments(read(lesson)), "a lesson without an experiment proves nothing"


# --- the machinery itself, on lessons that need no stack ------------------------------------------

SETUP_CELL = cell("late = False\nanswer = 1", lab={"setup": True})


def sketch(folder: Path, name: str, source: str, flip: list[str], stdout: str = "lost\n") -> Case:
    """A lesson of a setup cell, a cell that breaks if it is run, and one experiment."""
    experiment = cell(source, stdout, lab={"experiment": "one", "flip": flip})
    lesson = write(folder, name, cell("late = False", lab={"setup": True}), cell("1/0"), experiment)
    return cases([lesson])[0]


def test_machinery_tells_a_proof_from_a_crash_and_from_nothing(tmp_path: Path) -> None:
    verdict = "print('kept' if late else 'lost')"
    proof = sketch(tmp_path, "00_proof", f"late = False\n{verdict}", ["= False", "= True"])
    nothing = sketch(tmp_path, "00_nothing", f"x = 1\n{verdict}", ["x = 1", "x = 2"])
    crash = sketch(tmp_path, "00_crash", verdict, ["late", "later"])
    asserts = sketch(tmp_path, "00_assert", "assert not late\nprint('lost')", ["not ", ""])
    folder = tmp_path / "minis"
    folder.mkdir()
    for case in (proof, nothing, crash, asserts):
        write_mini(folder, case.lesson)
    run = run_nbval(folder, "--no-stack")

    def said(case: Case) -> str:
        flipped, control = split(run, case)
        assert {item.outcome for item in control.values()} == {"passed"}, run.output
        return complaint(flipped, own_cells(case))

    assert said(proof) == ""
    assert said(asserts) == ""
    assert said(nothing).startswith("the flip changes nothing")
    assert "crashed instead of comparing: exception NameError" in said(crash)


def test_an_experiment_that_leans_on_an_earlier_one_is_found(tmp_path: Path) -> None:
    first = cell("print('lost')", "lost\n", lab={"experiment": "first", "flip": ["lost", "kept"]})
    tells = cell("told = 'lost'\nlate = 1", lab={"experiment": "tells", "flip": ["= 1", "= 2"]})
    leans = cell("told if 1 else 0", lab={"experiment": "leans", "flip": ["if 1", "if 0"]})
    lesson = write(tmp_path, "00_leans", SETUP_CELL, first, tells, leans)
    folder = tmp_path / "mini"
    folder.mkdir()
    write_mini(folder, lesson)
    run = run_nbval(folder, "--no-stack")

    in_lesson = {case.experiment.name: split(run, case) for case in cases([lesson])}
    assert [item.why for item in in_lesson["leans"][1].values()] == ["exception NameError"]
    assert [item.outcome for item in in_lesson["first"][1].values()] == ["passed"]
    assert complaint(in_lesson["first"][0], own_cells(cases([lesson])[0])) == ""


def test_red_outside_the_experiment_is_no_proof() -> None:
    red = Item("x", "Cell 0", "failed", "outputs differ", "", 0.0)
    assert "no cell of the experiment" in complaint({"Cell 0": red}, {"Cell 1"})


def lab_cell(source: str, **lab: object) -> object:
    """A cell with `lab` metadata."""
    return cell(source, "", lab=lab)


def test_a_run_outside_experiments_and_free_cells_is_found() -> None:
    text = "run = lab.run(charge)"
    cells = [lab_cell(text, experiment="a"), lab_cell(text, free=True), lab_cell(text), SETUP_CELL]
    assert stray_runs(new_notebook(cells=cells)) == [2]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (lambda: [lab_cell("a = 1", experiment="e")], "has 0 cells with a flip"),
        (lambda: [lab_cell("a", experiment="e", flip=["a", "b"]) for _ in "12"], "has 2 cells"),
        (lambda: [lab_cell("a = 1", experiment="e", flip=["b", "c"])], "stands 0 times"),
        (lambda: [lab_cell("a = a", experiment="e", flip=["a", "c"])], "stands 2 times"),
        (lambda: [lab_cell("a = 1", experiment="e", flip=["a", "a"])], "two different texts"),
        (lambda: [lab_cell("a = 1", experiment="e", flip="a")], "two different texts"),
    ],
)
def test_an_experiment_needs_one_flip_that_matches_once(
    cells: Callable[[], list[object]], said: str
) -> None:
    with pytest.raises(LabError, match=said):
        experiments(new_notebook(cells=cells()))
