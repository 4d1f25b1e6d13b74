"""`lab watch`: every save is noticed, whatever editor makes it, and each is answered."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from loop_bench import COMMAND, EXERCISES, PASSED, Project

from labapp.course.watch import WAITING, saves
from labapp.lab.publisher import Module
from labapp.stack.state import Stack
from labapp.stack.testing import wait_until

QUEUE, CRASH = EXERCISES[:2]
PATIENCE = 200.0
"""Seconds that a round may take on an overloaded machine."""
CALLS_NOBODY = """
from celery import Celery
app = Celery("shop", broker="redis://localhost:6379/0", backend="redis://localhost:6379/0")
@app.task
def charge(order):
    return "charged"
"""
"""An answer that fails at its first trial, so that a round is short."""


@pytest.fixture
def exercise(tmp_path: Path) -> Path:
    """A folder with a shop.py, beside that of another exercise."""
    for name in ("02_crash", "03_duplicates"):
        (tmp_path / "exercises" / name).mkdir(parents=True)
        (tmp_path / "exercises" / name / "shop.py").write_text("first = 1\n")
    return (tmp_path / "exercises" / "02_crash").resolve()


# --- what a save is


def in_place(file: Path) -> None:
    """Write as vi does with `backupcopy=yes`, nano, VS Code."""
    file.write_text("second = 2\n")
    later(file)


def by_rename(file: Path) -> None:
    """Write as JupyterLab, vim and PyCharm do: a draft beside it, then a rename."""
    draft = file.with_name(f".~{file.name}")
    draft.write_text("second = 2\n")
    later(draft)
    draft.replace(file)


def with_backup(file: Path) -> None:
    """Write as emacs does: the old one is renamed, a new one is made."""
    file.rename(file.with_name(f"{file.name}~"))
    in_place(file)


def later(file: Path) -> None:
    """Date a file after all others: whoever polls goes by whole seconds."""
    moment = file.stat().st_mtime + 10
    os.utime(file, (moment, moment))


def delete(file: Path) -> None:
    """Remove it."""
    file.unlink()


@pytest.fixture(params=["told", "polling"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How watchfiles learns of changes: from the system, or by looking again and again."""
    if request.param == "polling":
        monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "1")
    return str(request.param)


def next_save(saved: Iterator[list[str]]) -> list[str]:
    """The names in the next answer that has any."""
    return next(names for names in saved if names)


@pytest.mark.parametrize("save", [in_place, by_rename, with_backup, delete])
def test_each_way_to_save_is_noticed(
    save: Callable[[Path], None], way: str, exercise: Path
) -> None:
    with closing(saves(exercise)) as saved:
        assert next(saved) == []
        save(exercise / "shop.py")
        assert next_save(saved) == ["shop.py"]


def test_what_is_saved_while_nobody_asks_is_not_missed(way: str, exercise: Path) -> None:
    with closing(saves(exercise)) as saved:
        next(saved)
        in_place(exercise / "shop.py")
        (exercise / "helper.py").write_text("new = 1\n")
        seen = set(next_save(saved))
        while seen != {"helper.py", "shop.py"}:  # a slow machine: two saves in two answers
            seen |= set(next_save(saved))


def test_what_is_no_save_of_the_exercise_is_passed_over(way: str, exercise: Path) -> None:
    beside = exercise.parent / "03_duplicates" / "shop.py"
    with closing(saves(exercise)) as saved:
        next(saved)
        for folder in (".starter", "__pycache__", ".ipynb_checkpoints"):
            (exercise / folder).mkdir()
            (exercise / folder / "shop.py").write_text("no\n")
        for name in (".#shop.py", "shop.pyc", "shop.py~", "4913", "README.md"):
            (exercise / name).write_text("no\n")
        in_place(beside)
        (exercise / "last.py").write_text("yes\n")
        assert next_save(saved) == ["last.py"]


def test_a_folder_that_was_replaced_is_still_watched(way: str, exercise: Path) -> None:
    with closing(saves(exercise)) as saved:
        next(saved)
        away = exercise.rename(exercise.with_name("away"))
        shutil.copytree(away, exercise)
        later(exercise / "shop.py")
        seen = set(next_save(saved))
        while "new.py" not in seen:  # the new folder is watched a moment after it is there
            (exercise / "new.py").write_text(f"{len(seen)}\n")
            seen |= set(next(saved))
        assert seen & {"02_crash", "shop.py"}


def test_what_an_editor_lays_beside_a_file_makes_no_new_version_of_it(exercise: Path) -> None:
    module = Module("shop", exercise)
    before = module.version()
    (exercise / ".#shop.py").symlink_to("somebody@somewhere.1234")  # emacs, while it edits
    (exercise / ".~shop.py").write_text("a draft of JupyterLab's\n")
    assert module.version() == before
    in_place(exercise / "shop.py")
    assert module.version() != before


# --- the command


class Watch:
    """A running `lab watch`, and what it has said."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def said(self) -> str:
        """All that it has printed."""
        return self._log.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until it has said this so many times."""
        found = lambda: self.said.count(text) >= times or self.process.poll() is not None  # noqa: E731
        wait_until(found, f"{text!r} {times} times", PATIENCE, self._log)
        assert self.said.count(text) >= times, self.said

    def end(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(timeout=PATIENCE)


@contextmanager
def watching(project: Project, stack: Stack, *arguments: str) -> Iterator[Watch]:
    """`lab watch` in the project, on this stack; killed at the end if it has not ended."""
    env = project.environment(
        LAB_BROKER_URL=stack.broker_url(0),
        LAB_WORLD_URL=stack.world_url,
        LAB_NODE_URLS=",".join(stack.node_urls),
        LAB_CONTROL_TOKEN=stack.control_token,
    )
    log = project.folder / "watch.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, "watch", *arguments],
            cwd=project.folder,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A shell starts its background jobs with SIGINT ignored, and pytest may be one.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
    try:
        yield Watch(process, log)
    finally:
        process.kill()
        process.wait()


def save(file: Path, text: str) -> None:
    """Save as JupyterLab does."""
    draft = file.with_name(f".~{file.name}")
    draft.write_text(text)
    draft.replace(file)


def test_watch_answers_each_save_until_the_answer_passes(project: Project, stack: Stack) -> None:
    file = project.exercise(CRASH) / "shop.py"
    solution = (project.folder / "solutions" / CRASH / "shop.py").read_text()
    file.write_text(CALLS_NOBODY)
    project.note({QUEUE: PASSED})

    with watching(project, stack) as watch:
        watch.wait_for(WAITING)
        assert "── stage 02, Crash · " in watch.said
        assert "1/5 no fault: not yet" in watch.said
        assert "Stage 02, crash: not yet (no-charge)." in watch.said

        save(file, CALLS_NOBODY + "def broken(:\n")
        watch.wait_for(WAITING, 2)
        assert "lab: shop.py does not import: SyntaxError" in watch.said
        assert "look at shop.py, line 7" in watch.said

        save(file, "import no_such_thing\n")
        watch.wait_for(WAITING, 3)
        assert "No module named 'no_such_thing'" in watch.said

        file.rename(file.with_name("my_shop.py"))
        watch.wait_for(WAITING, 4)
        assert "lab: there is no exercises/02_crash/shop.py\n" in watch.said
        assert "if it is my_shop.py now, give it its name back" in watch.said

        save(file, solution)
        assert watch.end() == 0
        assert "Traceback" not in watch.said
        assert "Stage 02, crash: passed.\n\nNext: stage 03, Duplicates" in watch.said

    noted = project.progress[CRASH]
    assert (noted["checks"], noted["diagnosis"]) == (2, None), "two verdicts"
    assert noted["passed"]


def test_a_save_during_a_check_is_checked_next_and_ctrl_c_ends_all(
    project: Project, stack: Stack
) -> None:
    file = project.exercise(CRASH) / "shop.py"
    solution = (project.folder / "solutions" / CRASH / "shop.py").read_text()
    file.write_text(solution)
    with watching(project, stack, "crash") as watch:
        watch.wait_for("1/5 no fault: passed")
        save(file, f"{solution}# the same\n")
        watch.wait_for("saved: shop.py ──")
        first = watch.said.split("saved: shop.py")[0]
        watch.wait_for("1/5 no fault: passed", 2)
        watch.process.send_signal(signal.SIGINT)

        assert watch.end() == 130, watch.said
        assert "5/5 poison order: passed" in first, "the check went on"
        assert "lab: saved while it was checked: this is of neither version" in first
        assert WAITING not in watch.said
        assert "Traceback" not in watch.said
    assert not project.progress_file.exists(), "no verdict on one version"


# --- bad input


def test_watch_needs_a_lab_that_runs(project: Project) -> None:
    told = project.refuses("watch", "02")
    assert "no lab is running here" in told
    assert "make lab" in told


def test_watch_does_not_wait_for_a_folder_that_is_gone(project: Project) -> None:
    shutil.rmtree(project.exercise(CRASH))
    assert "`git checkout exercises/02_crash/.starter`" in project.refuses("watch", "02")
