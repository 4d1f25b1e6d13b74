"""What every stage of the course has: one test per rule, and each failure says what to do."""

from __future__ import annotations

import ast
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from answers import ROOT, WITH_EXERCISE, Wrong, wrong_answers

from labapp.course.stage import Stage
from labapp.course.stages import STAGES, stage_named
from labapp.errors import LabError

LONGEST_TEXT = 340  # characters of a diagnosis: it is read by somebody in trouble
FEWEST_WRONG_ANSWERS = 4
each_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.number)
each_exercise = pytest.mark.parametrize("stage", WITH_EXERCISE, ids=lambda stage: stage.number)


def modules(folder: Path) -> dict[str, str]:
    """Each module of a folder as a program: without docstrings, comments and layout."""
    return {source.name: program(source.read_text()) for source in sorted(folder.glob("*.py"))}


def program(source: str) -> str:
    """What the source does."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.unparse(tree)


@each_stage
def test_a_stage_is_known_by_its_number_and_by_its_names(stage: Stage) -> None:
    for name in (stage.number, str(int(stage.number)), stage.name, stage.folder, f" {stage.name} "):
        assert stage_named(name) is stage
    assert STAGES[stage.number] is stage, f"list {stage.folder} under {stage.number!r} in STAGES"


@pytest.mark.parametrize("name", ["", "99", "02_", "crash.ipynb", "-1", "٢"])
def test_an_unknown_stage_is_answered_with_those_that_there_are(name: str) -> None:
    with pytest.raises(LabError) as caught:
        stage_named(name)
    assert "there is no stage" in caught.value.message
    assert "02_crash" in caught.value.hint


@each_stage
def test_a_stage_has_its_lesson(stage: Stage) -> None:
    lesson = ROOT / "notebooks" / f"{stage.folder}.ipynb"
    assert lesson.is_file(), f"write {lesson.relative_to(ROOT)}, or rename the stage"


@each_exercise
def test_an_exercise_has_a_brief_and_a_starter(stage: Stage) -> None:
    folder = ROOT / "exercises" / stage.folder
    for name in ("README.md", f"{stage.module}.py"):
        assert (folder / name).is_file(), f"add {name} to exercises/{stage.folder}/"


@each_exercise
def test_a_brief_names_every_fault(stage: Stage) -> None:
    brief = (ROOT / "exercises" / stage.folder / "README.md").read_text()
    for trial in stage.trials:
        assert f"| {trial.name} |" in brief, f"say in the brief what {trial.name!r} asks"
    assert f"lab check {stage.number}" in brief, "say how the answer is checked"


@each_exercise
def test_a_solution_has_its_reasons(stage: Stage) -> None:
    folder = ROOT / "solutions" / stage.folder
    for name in ("README.md", f"{stage.module}.py"):
        assert (folder / name).is_file(), f"add {name} to solutions/{stage.folder}/"


@pytest.mark.parametrize(
    ("before", "after"),
    [pair for pair in pairwise(STAGES.values()) if pair[1].trials],
    ids=lambda stage: stage.number,
)
def test_a_solution_is_the_starting_point_of_the_next_stage(before: Stage, after: Stage) -> None:
    solved, starter = (ROOT / "solutions" / before.folder, ROOT / "exercises" / after.folder)
    begun, ended = modules(starter), modules(solved)
    both = begun.keys() & ended.keys()  # a stage may add a module, or leave one aside
    assert both, f"start exercises/{after.folder}/ from a module of solutions/{before.folder}/"
    assert {name: begun[name] for name in both} == {name: ended[name] for name in both}, (
        f"make {', '.join(sorted(both))} in exercises/{after.folder}/ the same as in "
        f"solutions/{before.folder}/"
    )


@each_exercise
def test_the_first_trial_has_no_fault_and_demands_exactly_once(stage: Stage) -> None:
    first, *others = stage.trials
    assert first.fault is None, "put a trial without a fault first"
    assert first.exactly_once, "without a fault, demand exactly once"
    assert all(trial.fault for trial in others), "give every other trial a fault"


@each_exercise
def test_names_and_codes_are_unique(stage: Stage) -> None:
    names = [trial.name for trial in stage.trials]
    codes = [diagnosis.code for diagnosis in stage.diagnoses]
    assert len(set(names)) == len(names), "two trials have one name"
    assert len(set(codes)) == len(codes), "two diagnoses have one code"


@each_exercise
def test_a_diagnosis_is_short_and_made_of_sentences(stage: Stage) -> None:
    for diagnosis in stage.diagnoses:
        assert len(diagnosis.says) <= LONGEST_TEXT, f"shorten {diagnosis.code!r}"
        assert diagnosis.says.endswith("."), f"end {diagnosis.code!r} with a full stop"
        assert not diagnosis.look.endswith("."), f"the report adds the stop: {diagnosis.code!r}"


@each_exercise
def test_a_diagnosis_sends_its_reader_to_places_that_exist(stage: Stage) -> None:
    for diagnosis in stage.diagnoses:
        text = f"{diagnosis.says} {diagnosis.look}"
        for file in re.findall(r"[\w/]+\.(?:ipynb|md)", text):
            assert (ROOT / file).is_file(), f"{diagnosis.code!r} names {file}, which is not there"
        if lesson := re.search(r"[\w/]+\.ipynb", diagnosis.look):
            known = headings(ROOT / lesson[0])
            for section in re.findall(r"'([A-Z][^']*)'", diagnosis.look):
                assert section in known, f"{diagnosis.code!r}: {lesson[0]} has no {section!r}"


def headings(notebook: Path) -> set[str]:
    """The headings of a notebook."""
    cells = json.loads(notebook.read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


@each_exercise
def test_there_are_enough_wrong_answers_of_different_kinds(stage: Stage) -> None:
    found = [wrong for wrong in wrong_answers() if wrong.stage is stage]
    kinds = {wrong.diagnosis for wrong in found}
    assert len(kinds) >= FEWEST_WRONG_ANSWERS, "add wrong answers that differ in mechanism"
    folders = {path.name for path in found[0].folder.parent.iterdir() if path.is_dir()}
    assert folders == {wrong.name for wrong in found}, "list each wrong answer in course.toml"


@pytest.mark.parametrize("wrong", list(wrong_answers()), ids=str)
def test_what_the_course_says_of_a_wrong_answer_is_known(wrong: Wrong) -> None:
    codes = [diagnosis.code for diagnosis in wrong.stage.diagnoses]
    assert wrong.trial in [trial.name for trial in wrong.stage.trials], "name one of the trials"
    assert wrong.diagnosis in codes, f"name a diagnosis of the stage: {', '.join(codes)}"
    source = wrong.folder / f"{wrong.stage.module}.py"
    assert ast.get_docstring(ast.parse(source.read_text())), f"say in {source} what it believes"


@each_exercise
def test_the_table_of_wrong_answers_agrees_with_the_course(stage: Stage) -> None:
    text = (ROOT / "solutions" / stage.folder / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| `(.+)` \|$", text, re.MULTILINE)
    told = {name: (trial, diagnosis) for name, _, trial, diagnosis in rows}
    beside = {w.name: (w.trial, w.diagnosis) for w in wrong_answers() if w.stage is stage}
    assert told == beside, f"bring the table in solutions/{stage.folder}/README.md up to date"
