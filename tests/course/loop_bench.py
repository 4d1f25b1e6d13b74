"""A small copy of the project for the tests of the learner's loop, and its commands as typed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from answers import ROOT

from labapp.course.course import course
from labapp.course.progress import FILE
from labapp.stack.environment import without_lab
from labapp.stack.home import PROGRESS_VARIABLE

Done = subprocess.CompletedProcess[str]
PASSED = {"checks": 1, "hints": 0, "passed": "2026-11-21T15:00:00+00:00", "diagnosis": None}
COMMAND = (sys.executable, "-m", "labapp")
EXERCISES = [lesson.folder for lesson in course().exercises]


@contextmanager
def progress_in(folder: Path) -> Iterator[Path]:
    """Inside, this process notes progress in the folder; the path of the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROGRESS_VARIABLE, str(folder / FILE))
        yield folder / FILE


class Project:
    """A copy of the course in a folder of its own, as a learner has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(ROOT / "course.toml", folder)
        for part in ("exercises", "solutions"):
            shutil.copytree(
                ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        for exercise in EXERCISES:
            self.start_again(exercise)

    def start_again(self, exercise: str) -> None:
        """The starter, whatever whoever runs the tests has made of it in the real project."""
        here = self.folder / "exercises" / exercise
        for file in here.glob("*.py"):
            file.unlink()
        shutil.copytree(here / ".starter", here, dirs_exist_ok=True)

    @property
    def progress_file(self) -> Path:
        """Where its progress is kept."""
        return self.folder / FILE

    @property
    def progress(self) -> dict[str, Any]:
        """What the file says of each stage."""
        stages: dict[str, Any] = json.loads(self.progress_file.read_text())["stages"]
        return stages

    def note(self, stages: Mapping[str, Mapping[str, Any]], version: int = 1) -> None:
        """Write the progress file."""
        self.progress_file.write_text(json.dumps({"version": version, "stages": stages}))

    def exercise(self, name: str) -> Path:
        """The folder of an exercise."""
        return self.folder / "exercises" / name

    @property
    def kept(self) -> list[Path]:
        """The copies that `lab reset` has kept."""
        return sorted((self.folder / ".lab" / "kept").glob("*"))

    def environment(self, **env: str) -> dict[str, str]:
        """The environment of its commands: no lab but the one in `env`."""
        fixed = {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "TZ": "UTC"}
        return {**without_lab(), **fixed, **env}

    def lab(self, *arguments: str, **env: str) -> Done:
        """A command, run to its end in the project's folder."""
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment(**env),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def says(self, *arguments: str) -> str:
        """What a command prints that ends well and has nothing to complain of."""
        done = self.lab(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def refuses(self, *arguments: str) -> str:
        """The two lines of a command that cannot run: what is wrong, and the remedy."""
        done = self.lab(*arguments)
        lines = done.stderr.splitlines()
        assert done.returncode == 2, done.stdout + done.stderr
        assert done.stdout == ""
        assert len(lines) == 2, done.stderr
        assert lines[0].startswith("lab: ")
        assert lines[1].startswith("     ")
        return done.stderr
