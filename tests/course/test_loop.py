"""The learner's loop as typed: what is next, hints, reset, the diff, progress, and bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from answers import ROOT
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from loop_bench import EXERCISES, PASSED, Project

from labapp.cli import main
from labapp.course.course import course
from labapp.course.loop import wrapped
from labapp.course.progress import FILE

QUEUE, CRASH, DUPLICATES = EXERCISES[:3]
HINTS = {lesson.folder: lesson.exercise.hints for lesson in course().stage if lesson.exercise}
FAILED = {"checks": 2, "hints": 1, "passed": None, "diagnosis": "no-bound"}


def words(text: str) -> list[str]:
    """A text without its line ends."""
    return text.split()


# --- lab next


def test_a_beginner_is_sent_to_the_first_notebook(project: Project) -> None:
    told = project.says("next")
    assert "Next: stage 00, Start here" in told
    assert course().stage[0].question in told
    assert "notebooks/00_start_here.ipynb (10 min)" in told
    assert "then  stage 01, First queue: notebooks/01_first_queue.ipynb" in told


def test_next_is_the_first_exercise_that_was_not_passed(project: Project) -> None:
    project.note({DUPLICATES: PASSED, CRASH: FAILED, QUEUE: PASSED})
    told = project.says("next")
    lesson = course().lesson("02")
    assert lesson.exercise is not None
    for part in (
        "Next: stage 02, Crash",
        lesson.question,
        f"notebooks/02_crash.ipynb ({lesson.minutes} min)",
        "notebooks/02a_shutdown.ipynb",
        f"exercises/02_crash/README.md ({lesson.exercise.minutes} min)",
        "exercises/02_crash/shop.py\n",
        "`lab check 02`",
        "`lab hint 02` (1 of 3 hints seen)",
        "2 checks, the last one: no-bound",
    ):
        assert part in told, part


def test_next_says_that_the_file_to_edit_is_missing(project: Project) -> None:
    project.note({QUEUE: FAILED})
    (project.exercise(QUEUE) / "api.py").unlink()
    assert "exercises/01_first_queue/api.py (missing: `lab reset 01`)" in project.says("next")


def test_nothing_is_next_when_all_is_passed(project: Project) -> None:
    project.note(dict.fromkeys(EXERCISES, PASSED))
    assert f"all {len(EXERCISES)} exercises are passed" in project.says("next")
    assert "lab: no stage is next: all are passed" in project.refuses("hint")


# --- lab hint


def test_hints_come_one_at_a_time_and_the_last_one_again(project: Project) -> None:
    total = len(HINTS[CRASH])
    for number in range(1, total + 1):
        told = project.says("hint", "crash")
        assert told.startswith(f"Stage 02, hint {number} of {total}\n")
        assert words(HINTS[CRASH][number - 1])[-8:] == words(told)[-8:]
        assert project.progress[CRASH]["hints"] == number

    told = project.says("hint", "2")
    assert told.startswith(f"Stage 02, hint {total} of {total}: there is no further one\n")
    assert project.progress[CRASH]["hints"] == total
    assert project.progress[CRASH]["checks"] == 0


def test_a_hint_is_for_the_stage_that_is_next_if_none_is_named(project: Project) -> None:
    project.note({QUEUE: PASSED})
    assert project.says("hint").startswith("Stage 02, hint 1 of 3\n")


def test_hints_are_shown_again_without_a_new_one(project: Project) -> None:
    assert "no hint given yet" in project.says("hint", "02", "--again")
    assert not project.progress_file.exists()
    project.note({CRASH: {"checks": 0, "hints": 2}})

    told = project.says("hint", "02", "--again")

    assert "hint 1 of 3" in told
    assert "hint 2 of 3" in told
    assert "hint 3 of 3" not in told
    assert project.progress == {CRASH: {"checks": 0, "hints": 2}}


def test_a_hint_fits_the_terminal(project: Project) -> None:
    for columns in (40, 60, 200):
        told = project.lab("hint", "02", COLUMNS=str(columns)).stdout
        assert max(map(len, told.splitlines())) <= min(columns, 88)


def test_more_hints_seen_than_there_are_is_no_mistake(project: Project) -> None:
    project.note({CRASH: {"hints": 7}})
    assert "hint 3 of 3: there is no further one" in project.says("hint", "02")
    assert "3 of 3" in project.says("progress")
    assert project.progress[CRASH]["hints"] == 7


@given(st.text(alphabet="ab `\n-*|#1.\u00a0", max_size=80), st.integers(1, 30))
def test_wrapping_loses_no_word_and_adds_none(text: str, width: int) -> None:
    assert words(wrapped(text, width)) == words(text)


@given(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1), st.integers(10, 40))
def test_plain_text_is_never_wider_than_asked_for(text: list[str], width: int) -> None:
    assert all(len(line) <= width for line in wrapped("\n".join(text), width).splitlines())


def test_code_and_lists_are_not_wrapped() -> None:
    code = "```python\nif True:\n\n    charge.delay()  # and a long comment\n```"
    items = "- one thing\n- another thing that is long"
    span = "set `task_acks_late = True` now"
    assert wrapped(f"{items}\n\n{code}\n\n{span}", 12) == (
        f"{items}\n\n{code}\n\nset\n`task_acks_late = True`\nnow"
    )


# --- lab reset


def test_reset_keeps_a_copy_and_brings_the_starter_back(project: Project) -> None:
    here = project.exercise(CRASH)
    project.note({CRASH: FAILED})
    (here / "shop.py").write_text("mine = 1\n")
    (here / "README.md").write_text("my notes\n")
    (here / "helper.py").write_text("help = 2\n")
    (here / "data" / "deep").mkdir(parents=True)
    (here / "data" / "deep" / "orders.csv").write_text("order-1\n")
    (here / ".env").write_text("A=1\n")
    (here / "__pycache__").mkdir()

    told = project.says("reset", "02")

    (copy,) = project.kept
    assert f"the starter is back; your copy is .lab/kept/{copy.name}" in told
    assert "only in the copy: data/deep/orders.csv, helper.py" in told
    assert (copy / "shop.py").read_text() == "mine = 1\n"
    assert (copy / "helper.py").read_text() == "help = 2\n"
    assert (copy / "data" / "deep" / "orders.csv").read_text() == "order-1\n"
    assert sorted(path.name for path in here.iterdir()) == [
        *(".env", ".starter", "README.md", "shop.py")
    ]
    assert (here / "shop.py").read_bytes() == (here / ".starter" / "shop.py").read_bytes()
    assert (here / "README.md").read_text() == "my notes\n"
    assert project.progress == {CRASH: FAILED}


def test_two_resets_in_a_second_keep_two_copies(project: Project) -> None:
    for text in ("first\n", "second\n", "third\n"):
        (project.exercise(CRASH) / "shop.py").write_text(text)
        project.says("reset", "02")
    assert {(copy / "shop.py").read_text() for copy in project.kept} == {
        *("first\n", "second\n", "third\n")
    }


def test_an_exercise_that_was_not_changed_is_not_copied(project: Project) -> None:
    assert "stage 02: nothing to reset" in project.says("reset", "02")
    assert project.kept == []


@pytest.mark.parametrize("done", ["deleted", "renamed", "a folder", "a link"])
def test_reset_mends_whatever_became_of_a_file(project: Project, done: str) -> None:
    file = project.exercise(CRASH) / "shop.py"
    starter = file.read_bytes()
    moved = file.rename(file.with_name("my_shop.py"))
    if done == "deleted":
        moved.unlink()
    elif done == "a folder":
        (file / ".hidden").mkdir(parents=True)
    elif done == "a link":
        file.symlink_to(project.folder / "course.toml")

    project.says("reset", "02")

    assert file.read_bytes() == starter
    assert not file.is_symlink()
    assert not moved.exists()
    assert (project.kept[0] / "my_shop.py").exists() == (done != "deleted")
    assert (project.folder / "course.toml").read_bytes() == (ROOT / "course.toml").read_bytes()


def test_without_a_copy_nothing_is_reset(project: Project) -> None:
    (project.exercise(CRASH) / "shop.py").write_text("mine\n")
    (project.folder / ".lab").mkdir()
    (project.folder / ".lab" / "kept").write_text("in the way\n")
    assert "lab: nothing was reset: " in project.refuses("reset", "02")
    assert (project.exercise(CRASH) / "shop.py").read_text() == "mine\n"


def test_half_a_copy_does_not_stay(project: Project) -> None:
    here = project.exercise(CRASH)
    (here / "shop.py").write_text("mine\n")
    os.mkfifo(here / "pipe")
    assert "is a named pipe" in project.refuses("reset", "02")
    assert project.kept == []
    assert (here / "shop.py").read_text() == "mine\n"


def test_a_starter_that_is_gone_comes_back_with_git(project: Project) -> None:
    (project.exercise(CRASH) / "shop.py").write_text("mine\n")
    shutil.rmtree(project.exercise(DUPLICATES))
    for arguments in (["reset", "03"], ["reset", "--all"]):
        told = project.refuses(*arguments)
        assert "no starter files in exercises/03_duplicates/.starter" in told
        assert "`git checkout exercises/03_duplicates/.starter`" in told
    assert (project.exercise(CRASH) / "shop.py").read_text() == "mine\n"
    assert "`git checkout exercises/03_duplicates`" in project.refuses("check", "03")


def test_a_clean_room_in_one_command(project: Project) -> None:
    noted = {QUEUE: PASSED, "09_gone": FAILED}
    project.note(noted)
    for exercise in (QUEUE, CRASH):
        (project.exercise(exercise) / "shop.py").write_text(f"{exercise}\n")

    told = project.says("reset", "--all")

    copies = {copy.name.split("-")[0]: copy for copy in project.kept}
    assert set(copies) == {QUEUE, CRASH, "progress"}
    assert (copies[CRASH] / "shop.py").read_text() == f"{CRASH}\n"
    assert json.loads(copies["progress"].read_text())["stages"] == noted
    assert not project.progress_file.exists()
    assert "stage 03: nothing to reset" in told
    assert "progress: forgotten; a copy is .lab/kept/progress-" in told
    assert "not reset: notebooks" in told
    assert "Next: stage 00" in project.says("next")
    assert "progress: there is none" in project.says("reset", "--all")
    assert len(project.kept) == 3


@pytest.mark.parametrize("arguments", [[], ["02", "--all"]])
def test_reset_wants_one_stage_or_all(project: Project, arguments: list[str]) -> None:
    assert "reset which stage?" in project.refuses("reset", *arguments)


# --- lab diff


def test_the_solution_is_shown_once_yours_has_passed(project: Project) -> None:
    project.note({CRASH: FAILED})
    told = project.refuses("diff", "02")
    assert "the solution of stage 02 is shown when yours has passed" in told
    assert "`lab check 02`" in told

    project.note({CRASH: {**PASSED, "diagnosis": "no-bound"}})
    (project.exercise(CRASH) / "helper.py").write_text("help = 2\n")
    told = project.says("diff", "02")

    assert told.startswith("--- exercises/02_crash/shop.py\n+++ solutions/02_crash/shop.py\n@@ ")
    assert any(line.startswith("+") and "task_acks_late" in line for line in told.splitlines())
    assert "only in yours: helper.py\n" in told
    assert "why it is done that way: solutions/02_crash/README.md" in told
    assert "wrong_answers" not in told
    assert "\x1b" not in told, "colours are for terminals"


def test_the_same_answer_is_said_to_be_the_same(project: Project) -> None:
    project.note({QUEUE: PASSED})
    for file in ("api.py", "shop.py"):
        shutil.copy(project.folder / "solutions" / QUEUE / file, project.exercise(QUEUE))
    told = project.says("diff", "01")
    assert told.startswith("api.py, shop.py: the same as in the solution\n")
    assert "only in the solution: events.py\n" in told
    assert "@@" not in told


def test_a_terminal_shows_the_diff_in_colours(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.note({CRASH: PASSED})
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("LAB_PROGRESS", str(project.progress_file))
    told = CliRunner().invoke(main, ["diff", "02"], color=True).output
    assert "\x1b[31m--- exercises/02_crash/shop.py" in told
    assert "\x1b[32m+++ solutions/02_crash/shop.py" in told


def test_there_is_no_diff_of_a_file_that_is_gone(project: Project) -> None:
    project.note({CRASH: PASSED})
    (project.exercise(CRASH) / "shop.py").unlink()
    told = project.refuses("diff", "02")
    assert "there is no exercises/02_crash/shop.py" in told
    assert "`lab reset 02`" in told


# --- lab progress


def test_progress_is_a_row_for_each_stage_and_the_totals(project: Project) -> None:
    project.note({QUEUE: {**PASSED, "hints": 2}, CRASH: FAILED, "09_gone": {**PASSED, "new": 1}})
    lines = project.says("progress").splitlines()
    assert lines[0].split() == ["stage", "title", "passed", "checks", "hints", "last", "diagnosis"]
    assert lines[1].split() == ["00", "Start", "here", "no", "exercise", "-", "-", "-"]
    assert lines[2].split()[3:] == ["2026-11-21", "15:00", "1", "2", "of", "3", "-"]
    assert lines[3].split() == ["02", "Crash", "not", "yet", "2", "1", "of", "3", "no-bound"]
    assert f"1 of {len(EXERCISES)} exercises passed · 3 checks · 3 hints" in lines
    assert lines[-2:] == [
        "Of another version of the course:",
        "  09_gone: passed 2026-11-21 15:00, 1 check, 0 hints",
    ]


def test_progress_for_programs(project: Project) -> None:
    project.note({CRASH: FAILED, "09_gone": PASSED})
    told = json.loads(project.says("progress", "--json"))
    stages = {stage["stage"]: stage for stage in told["stages"]}
    assert list(stages) == [lesson.number for lesson in course().stage]
    named = {"stage": "02", "folder": CRASH, "title": "Crash"}
    assert stages["02"] == {**named, "exercise": True, "hints_there_are": 3, **FAILED}
    assert stages["00"]["exercise"] is False
    assert (told["passed"], told["exercises"]) == (0, len(EXERCISES))
    assert told["unknown"] == {"09_gone": PASSED}


def test_a_moment_that_is_none_is_shown_as_it_is(project: Project) -> None:
    project.note({CRASH: {"passed": "long ago"}})
    assert "long ago" in project.says("progress")


# --- bad input


@pytest.mark.parametrize("command", ["hint", "reset", "diff", "watch", "check"])
def test_each_command_says_what_is_wrong_with_a_stage(project: Project, command: str) -> None:
    told = project.refuses(command, "99")
    assert "there is no stage '99'" in told
    assert "stages: 00_start_here, 01_first_queue" in told

    told = project.refuses(command, "00")
    assert "stage 00_start_here has no exercise" in told
    assert "stages with one: 01, 02" in told


@pytest.mark.parametrize("command", [["next"], ["hint", "02"], ["progress"], ["diff", "02"]])
def test_progress_of_a_newer_version_is_left_alone(project: Project, command: list[str]) -> None:
    project.note({CRASH: PASSED}, version=2)
    before = project.progress_file.read_bytes()
    assert f"{FILE} is of a newer version of the lab" in project.refuses(*command)
    assert project.progress_file.read_bytes() == before


def test_progress_that_was_cut_short_is_moved_aside(project: Project) -> None:
    project.progress_file.write_text('{"version": 1, "sta')
    done = project.lab("next")
    assert done.returncode == 0
    assert "Next: stage 00" in done.stdout
    assert done.stderr == f"lab: {FILE} was broken: it is {FILE}.broken now, and a new one begins\n"


def test_a_check_says_which_file_of_the_exercise_is_gone(project: Project) -> None:
    file = project.exercise(CRASH) / "shop.py"
    file.rename(file.with_name("my_shop.py"))
    told = project.refuses("check", "02")
    assert "there is no exercises/02_crash/shop.py" in told
    assert "if it is my_shop.py now" in told
    assert "`lab reset 02` brings the starter back" in told

    (project.exercise(QUEUE) / "shop.py").unlink()
    assert "there is no exercises/01_first_queue/shop.py" in project.refuses("check", "01")
    assert not project.progress_file.exists(), "no verdict, nothing noted"


# --- make clean


def test_make_clean_removes_no_work_of_the_learners(project: Project) -> None:
    shutil.copy(ROOT / "Makefile", project.folder)
    project.note({CRASH: PASSED})
    for folder in ("logs", "kept/02_crash-1", "build"):
        (project.folder / ".lab" / folder).mkdir(parents=True)

    subprocess.run(["make", "clean"], cwd=project.folder, check=True, capture_output=True)

    assert [path.name for path in (project.folder / ".lab").iterdir()] == ["kept"]
    assert project.kept == [project.folder / ".lab" / "kept" / "02_crash-1"]
    assert project.progress == {CRASH: PASSED}
    assert Path(project.exercise(CRASH), "shop.py").exists()
