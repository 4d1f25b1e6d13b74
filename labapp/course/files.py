"""The files of an exercise: the learner's, the starter's, and what is missing or changed.

Used by ``labapp.course.check`` and the learner's loop; depends on ``labapp.course.places`` only.
"""

from __future__ import annotations

import filecmp
from pathlib import Path

from labapp.course.places import STARTER
from labapp.errors import LabError

BRIEF = "README.md"
"""Belongs to the course, though it lies among the learner's files and has no starter."""
CACHE = "__pycache__"


def files_in(folder: Path) -> list[Path]:
    """Paths of all files below, from the folder; without hidden ones, caches and the brief."""
    if not folder.is_dir():
        return []
    below = (path.relative_to(folder) for path in folder.rglob("*") if not is_folder(path))
    return sorted(path for path in below if counts(path))


def counts(path: Path) -> bool:
    """Whether a path, from the exercise's folder, is of a file that is part of an answer."""
    passed_over = any(part.startswith(".") or part == CACHE for part in path.parts)
    return not passed_over and path != Path(BRIEF)


def is_folder(path: Path) -> bool:
    """Whether there is a folder of its own; a link to one is a file."""
    return path.is_dir() and not path.is_symlink()


def starter_files(folder: Path) -> list[Path]:
    """The files that the learner begins with, by their paths from the exercise's folder.

    Raises:
        LabError: the course's own copy of them is gone.
    """
    found = files_in(folder / STARTER)
    if not found:
        what = f"exercises/{folder.name}/{STARTER}"
        raise LabError(
            f"there are no starter files in {what}", hint=f"`git checkout {what}` brings them back"
        )
    return found


def is_untouched(folder: Path) -> bool:
    """Whether an exercise is as the learner first finds it.

    Raises:
        LabError: its starter is gone.
    """
    starter = starter_files(folder)
    if files_in(folder) != starter:
        return False
    return all(_same(folder / path, folder / STARTER / path) for path in starter)


def _same(one: Path, other: Path) -> bool:
    regular = one.is_file() and not one.is_symlink()
    return regular and filecmp.cmp(one, other, shallow=False)


def require_files(number: str, folder: Path, main: str) -> None:
    """See that a learner's exercise still has the files that it began with.

    Args:
        number: of the stage.
        folder: the exercise's.
        main: the file that no answer can do without.

    Raises:
        LabError: one was deleted or renamed.
    """
    needed = {Path(main): None, **dict.fromkeys(files_in(folder / STARTER))}
    missing = next((path for path in needed if not (folder / path).is_file()), None)
    if missing is None:
        return
    own = (path for path in files_in(folder) if path.suffix == ".py" and path not in needed)
    others = ", ".join(map(str, own))
    renamed = f"if it is {others} now, give it its name back; " if others else ""
    raise LabError(
        f"there is no exercises/{folder.name}/{missing}",
        hint=f"{renamed}`lab reset {number}` brings the starter back",
    )
