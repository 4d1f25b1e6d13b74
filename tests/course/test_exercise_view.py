"""`lab.exercise("02")`: the exercise in one cell, driven as its buttons drive it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from answers import ROOT, WITH_EXERCISE

from labapp import LabError
from labapp.course.classroom import connect
from labapp.course.course import course
from labapp.course.exercise_view import Desk, ExerciseView, brief_of
from labapp.course.progress import of
from labapp.course.stage import Stage
from labapp.stack.state import Stack

LINK = re.compile(r"\]\(([^)#]+)")
each_exercise = pytest.mark.parametrize("stage", WITH_EXERCISE, ids=lambda stage: stage.number)


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the learner's own, with its progress."""
    for name in ("exercises", "solutions"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "course.toml", tmp_path)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setenv("LAB_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.delenv("LAB_ANSWERS", raising=False)
    return tmp_path


def shown(output: object) -> str:
    """All texts of an Output widget."""
    return "\n".join(o["data"]["text/plain"] for o in output.outputs)  # type: ignore[attr-defined]


@each_exercise
def test_the_text_is_the_same_whatever_was_done(stage: Stage, project: Path) -> None:
    view = ExerciseView(stage.number)
    before = repr(view)
    view.hint()
    assert repr(ExerciseView(stage.name)) == before
    assert course().lesson(stage.number).file in before
    assert all(trial.name in before for trial in stage.trials)


@each_exercise
def test_the_links_of_a_brief_lead_from_the_notebooks_to_files(stage: Stage) -> None:
    brief = brief_of(course().lesson(stage.number))
    links = [link for link in LINK.findall(brief) if "://" not in link]
    assert links
    for link in links:
        assert (ROOT / "notebooks" / link).is_file(), f"{link} leads nowhere"
    assert "## How to check" not in brief


def test_the_check_notes_progress_and_shows_what_happened(lab_here: Stack, project: Path) -> None:
    view = connect().exercise("02")
    desk = Desk(view)
    assert "not checked yet" in desk._standing.value
    desk.check()
    said = shown(desk._verdict)
    assert "Stage 02, crash: not yet (acknowledged-early)" in said
    assert "What happened: worker killed" in said
    assert "order-4" in said.partition("What happened")[2]
    assert "checked once, last time: not yet (acknowledged-early)" in desk._standing.value
    shutil.copy(ROOT / "solutions" / "02_crash" / "shop.py", project / "exercises" / "02_crash")
    desk.check()
    assert "Stage 02, crash: passed" in shown(desk._verdict)
    assert "not yet" not in shown(desk._verdict)
    assert of("02_crash").passed
    assert not desk._check.disabled


def test_hints_come_one_at_a_time_and_stay(project: Path) -> None:
    view = ExerciseView("02")
    desk = Desk(view)
    for _ in range(5):
        desk.hint()
    told = [o["data"]["text/markdown"] for o in desk._hints.outputs]
    assert [text[:15] for text in told] == ["**Hint 1 of 3.*", "**Hint 2 of 3.*", "**Hint 3 of 3.*"]
    assert of("02_crash").hints == 3
    assert "hints taken: 3" in view.standing or "not checked yet" in view.standing


def test_a_deleted_file_is_one_line_and_the_buttons_stay(lab_here: Stack, project: Path) -> None:
    (project / "exercises" / "02_crash" / "shop.py").unlink()
    desk = Desk(ExerciseView("02"))
    desk.check()
    assert shown(desk._verdict).startswith("lab: there is no exercises/02_crash/shop.py")
    assert not desk._check.disabled


def test_a_progress_file_of_a_newer_lab_stands_where_progress_stood(project: Path) -> None:
    (project / "progress.json").write_text('{"version": 99, "stages": {}}')
    assert "newer" in Desk(ExerciseView("02"))._standing.value


def test_a_stage_without_an_exercise_says_which_have_one() -> None:
    with pytest.raises(LabError, match="has no exercise") as caught:
        ExerciseView("00")
    assert "02" in caught.value.hint
