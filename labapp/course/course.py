"""The course as data: what ``course.toml`` says of each stage.

What a check tries, and what it says, is code (``labapp.course.stages``); all that people and
programs want to know beside that is here: titles, minutes, files, hints, the wrong answers with
their diagnoses.  ``labapp.course.verify`` holds the two, and the files, against each other.

Used by the rest of ``labapp.course``; depends on pydantic and ``labapp.errors`` only.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from labapp.course.places import project_root
from labapp.errors import LabError

FILE = "course.toml"
"""In the project's folder."""

Name = Annotated[str, Field(min_length=1, pattern=r"\S")]
Seconds = PositiveInt


class Part(BaseModel):
    """A table of the file: nothing may be missing, misspelt or of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WrongAnswer(Part):
    """What the check must say of a wrong answer.

    Args:
        fault: the one that decides.
        diagnosis: its code.
    """

    fault: Name
    diagnosis: Name


class Exercise(Part):
    """What the learner is to do in a stage.

    Args:
        minutes: that it takes.
        files: what the learner edits, the first of them mainly.
        starter: code of the diagnosis that the untouched files get.
        faults: what the check tries, in order.
        hints: Markdown; from a nudge to nearly the answer.
        wrong_answers: by the name of their folder.
        grows: whether the starter has more in it than the solution before: its task has new work.
    """

    minutes: PositiveInt
    files: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    starter: Name
    faults: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    hints: Annotated[tuple[Name, ...], Field(strict=False)]
    wrong_answers: dict[str, WrongAnswer]
    grows: bool = False


class Lesson(Part):
    """A stage of the course, as far as it is no code.

    Args:
        number: two digits.
        name: as in file names.
        title: as in headings.
        question: what it asks.
        minutes: that the lesson takes, without its exercise and its appendices.
        notebooks: seconds under nbval, by the name of the notebook; the lesson is the first.
        exercise: None where there is none.
    """

    number: Annotated[str, Field(pattern=r"^\d\d$")]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: Name
    question: Name
    minutes: PositiveInt
    notebooks: Annotated[dict[str, Seconds], Field(min_length=1)]
    exercise: Exercise | None = None

    @property
    def folder(self) -> str:
        """Its folder in ``exercises/`` and ``solutions/``, and the name of its notebook."""
        return f"{self.number}_{self.name}"

    @property
    def notebook(self) -> str:
        """Path of the lesson's notebook, from the project's folder."""
        return f"notebooks/{next(iter(self.notebooks))}.ipynb"

    @property
    def file(self) -> str:
        """Path of the file that the learner edits mainly, from the project's folder; "" for none.

        The brief is README.md beside it."""
        return f"exercises/{self.folder}/{self.exercise.files[0]}" if self.exercise else ""


class Course(Part):
    """All stages, in order.

    Args:
        stage: the stages.
        cases: seconds that each case file may take under nbval, by its name.
    """

    stage: Annotated[tuple[Lesson, ...], Field(strict=False, min_length=1)]
    cases: dict[str, Seconds] = {}

    def lesson(self, number: str) -> Lesson:
        """The stage of this number.  Raises LabError where the file has none."""
        for found in self.stage:
            if found.number == number:
                return found
        raise LabError(
            f"{FILE} has no stage {number}", hint="restore it: `git checkout course.toml`"
        )

    @property
    def exercises(self) -> tuple[Lesson, ...]:
        """The stages that have an exercise, in order."""
        return tuple(lesson for lesson in self.stage if lesson.exercise)


def course(root: Path | None = None) -> Course:
    """The course of the project here, or there; read once, and again when the file has changed.

    Args:
        root: the project's folder; by default as `project_root` finds it.

    Raises:
        LabError: the file is missing, is no TOML, or lacks something.
    """
    path = (root or project_root()) / FILE
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        raise LabError(f"there is no {FILE}", hint=f"`git checkout {FILE}`") from None
    return _read(path, changed)


@lru_cache(maxsize=1)
def _read(path: Path, changed: int) -> Course:
    try:
        return parsed(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise LabError(
            f"{FILE} is not UTF-8: {error.reason} at byte {error.start}", hint="save it as UTF-8"
        ) from None


def parsed(text: str) -> Course:
    """The course in this text.

    Raises:
        LabError: it is no TOML, or something is missing, misspelt or of another type.
    """
    try:
        return Course.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise LabError(f"{FILE} is not TOML: {error}", hint="mend that line") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LabError(f"{FILE}: {where}: {first['msg']}", hint=f"mend {where}") from None
