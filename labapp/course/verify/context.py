"""What an invariant gets and gives: the course with its files, read once; problems.

Depends on ``labapp.course``; the invariants beside it depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeAlias

from labapp.course.course import FILE, Course, Exercise, Lesson, course
from labapp.course.documents import Document, document
from labapp.course.notebooks import CASES, Node, notebooks_in, read
from labapp.course.places import STARTER
from labapp.course.stage import Stage
from labapp.course.stages import STAGES
from labapp.errors import LabError

DOCUMENTS = (
    "README.md",
    "docs/*.md",
    "exercises/**/*.md",
    "solutions/**/*.md",
    "notebooks/**/*.md",
)
"""Where Markdown for readers is, beside the cells of the notebooks."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not hold.

    Args:
        where: a file from the project's folder, and the place in it where there is one.
        what: what is wrong there.
        fix: how to mend it.
    """

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    {self.fix}"


class Exercised(NamedTuple):
    """A stage with an exercise, as data and as code."""

    lesson: Lesson
    exercise: Exercise
    stage: Stage

    @property
    def entry(self) -> str:
        """How its place in course.toml is called."""
        return f"{FILE}, stage {self.lesson.number}"

    @property
    def brief(self) -> str:
        """Path of what the learner is told, from the project's folder."""
        return f"exercises/{self.lesson.folder}/README.md"

    @property
    def reasons(self) -> str:
        """Path of what is said of the solution, from the project's folder."""
        return f"solutions/{self.lesson.folder}/README.md"

    @property
    def wrong_answers(self) -> str:
        """Folder of the wrong answers, from the project's folder."""
        return f"solutions/{self.lesson.folder}/wrong_answers"

    @property
    def starter(self) -> str:
        """Folder of the untouched files, from the project's folder."""
        return f"exercises/{self.lesson.folder}/{STARTER}"

    @property
    def modules(self) -> list[str]:
        """The files that an answer cannot do without: what is edited, what is checked."""
        return list(dict.fromkeys([*self.exercise.files, f"{self.stage.module}.py"]))


@dataclass(frozen=True)
class Context:
    """A course and its files.

    Args:
        root: the project's folder.
        stages: the stages as code, by number.
    """

    root: Path
    stages: Mapping[str, Stage] = field(default_factory=lambda: STAGES)

    @cached_property
    def course(self) -> Course:
        """What course.toml says.  Raises LabError where it cannot be read."""
        return course(self.root)

    @cached_property
    def exercised(self) -> list[Exercised]:
        """The stages that have an exercise as data and trials as code."""
        both = ((lesson, self.stages.get(lesson.number)) for lesson in self.course.stage)
        return [
            Exercised(lesson, lesson.exercise, stage)
            for lesson, stage in both
            if lesson.exercise and stage and stage.trials
        ]

    @cached_property
    def listed(self) -> dict[str, int]:
        """Seconds that each notebook may take, by its path from the project's folder."""
        lessons = {
            f"notebooks/{name}.ipynb": seconds
            for lesson in self.course.stage
            for name, seconds in lesson.notebooks.items()
        }
        cases = {f"notebooks/{CASES}/{name}.ipynb": s for name, s in self.course.cases.items()}
        return lessons | cases

    @cached_property
    def _read(self) -> dict[str, Node | LabError]:
        return {
            self.name(path): _notebook_or_why(path)
            for path in notebooks_in(self.root / "notebooks")
        }

    @property
    def notebooks(self) -> dict[str, Node]:
        """Every notebook that can be read, by its path from the project's folder."""
        return {path: one for path, one in self._read.items() if not isinstance(one, LabError)}

    @property
    def unreadable(self) -> dict[str, LabError]:
        """Why a notebook cannot be read, by its path."""
        return {path: one for path, one in self._read.items() if isinstance(one, LabError)}

    @cached_property
    def cells(self) -> dict[str, list[Document]]:
        """The Markdown cells of each notebook, by its path."""
        return {
            path: [
                document(f"{path}, cell {cell.get('id', '?')}", path, str(cell.source))
                for cell in notebook.cells
                if cell.cell_type == "markdown"
            ]
            for path, notebook in self.notebooks.items()
        }

    @cached_property
    def files(self) -> dict[str, Document]:
        """The Markdown files for readers, by their path."""
        found = sorted({path for pattern in DOCUMENTS for path in self.root.glob(pattern)})
        names = [self.name(path) for path in found if ".ipynb_checkpoints" not in path.parts]
        return {name: document(name, name, self.text(name)) for name in names}

    @property
    def documents(self) -> Iterator[Document]:
        """All Markdown: the files, then the cells."""
        yield from self.files.values()
        for cells in self.cells.values():
            yield from cells

    def name(self, path: Path) -> str:
        """A path as problems name it: from the project's folder."""
        return path.relative_to(self.root).as_posix()

    def text(self, name: str) -> str:
        """The text of a file; nothing where it is missing, which other invariants tell.

        Raises:
            LabError: it is no text.
        """
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return ""
        except UnicodeDecodeError as error:
            raise LabError(
                f"{name} is not UTF-8: {error.reason} at byte {error.start}",
                hint="save it as UTF-8",
            ) from None

    def modules(self, folder: str) -> dict[str, Path]:
        """The Python files of a folder, by their name."""
        found = sorted((self.root / folder).glob("*.py"))
        return {path.name: path for path in found if path.is_file()}


Invariant: TypeAlias = Callable[[Context], Iterator[Problem]]
"""What must hold; gives a problem for each place where it does not."""


def _notebook_or_why(path: Path) -> Node | LabError:
    try:
        return read(path)
    except LabError as error:
        return error
