"""``lab reset``: an exercise as the learner first found it; a copy is kept of what was there.

First all copies are made, then anything is changed: whatever goes wrong, nothing is lost.  Used by
``labapp.cli``; depends on the course as data and on files only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from labapp.course import progress
from labapp.course.course import Lesson, course
from labapp.course.files import CACHE, files_in, is_folder, is_untouched, starter_files
from labapp.course.loop import chosen
from labapp.course.places import STARTER, project_root
from labapp.errors import LabError
from labapp.stack.home import lab_home, make_private, unused

KEPT = "kept"
"""Folder in the lab's state folder."""
NOT_RESET = "not reset: notebooks and their stored outputs, and what a running lab holds"


def reset(name: str) -> list[str]:
    """Put one exercise's starter back; what was done.

    Args:
        name: number or name of the stage.

    Raises:
        LabError: no such stage, its starter is gone, or a file cannot be written.
    """
    lesson, _ = chosen(name)
    return _reset([lesson])


def reset_all() -> list[str]:
    """Put every starter back and forget all progress; what was done, and what was not.

    Raises:
        LabError: a starter is gone, or a file cannot be written.
    """
    told = _reset(list(course().exercises))
    with _in_one_line("progress was not forgotten"):
        kept = _kept("progress.json")
        if progress.forget(kept):
            told.append(f"progress: forgotten; a copy is {shown(kept)}")
        else:
            told.append("progress: there is none")
    return [*told, NOT_RESET]


def _reset(lessons: list[Lesson]) -> list[str]:
    exercises = project_root() / "exercises"
    changed = [one for one in lessons if not is_untouched(exercises / one.folder)]
    with _in_one_line("nothing was reset"):
        copies = {one.number: _copy(exercises / one.folder) for one in changed}
    told = []
    for lesson in lessons:
        if lesson.number in copies:
            told += _reset_one(lesson, exercises / lesson.folder, shown(copies[lesson.number]))
        else:
            told.append(f"stage {lesson.number}: nothing to reset, the files are the starter's")
    return told


def _reset_one(lesson: Lesson, folder: Path, kept: str) -> list[str]:
    with _in_one_line(f"stage {lesson.number} is reset in part; all of yours is in {kept}"):
        removed = list(_bring_back(folder))
    told = [f"stage {lesson.number}: the starter is back; your copy is {kept}"]
    return [*told, f"  only in the copy: {', '.join(removed)}"] if removed else told


@contextmanager
def _in_one_line(failed: str) -> Iterator[None]:
    """Inside, a file that cannot be read or written becomes a LabError."""
    try:
        yield
    except shutil.Error as error:  # of a whole folder: (from, to, why) of each file
        source, _, why = error.args[0][0]
        raise LabError(f"{failed}: {source}: {why}", hint="mend that, then reset again") from None
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise LabError(f"{failed}: {what}", hint="mend that, then reset again") from None


def _copy(folder: Path) -> Path:
    """Keep a copy of the whole folder; half a copy does not stay.  Raises OSError."""
    kept = _kept(folder.name)
    try:
        shutil.copytree(folder, kept, symlinks=True, ignore=shutil.ignore_patterns(CACHE))
    except OSError:
        shutil.rmtree(kept, ignore_errors=True)
        raise
    return kept


def _kept(name: str) -> Path:
    """A path for a copy, at which nothing is yet: its name with the time of day."""
    home = make_private(lab_home(project_root()))
    now = datetime.now().astimezone()
    stem, dot, suffix = name.partition(".")
    return unused(make_private(home / KEPT) / f"{stem}-{now:%Y%m%d-%H%M%S}{dot}{suffix}")


def _bring_back(folder: Path) -> Iterator[str]:
    """Replace the answer by the starter; names of the files that the starter does not have."""
    wanted = starter_files(folder)
    for path in files_in(folder):
        if path not in wanted:
            (folder / path).unlink()
            yield str(path)
    _remove_empty_folders(folder)
    for path in wanted:
        _put(folder / STARTER / path, folder / path)


def _put(source: Path, target: Path) -> None:
    """Write one file anew, whatever is in its place.  At once, since an editor may look."""
    if is_folder(target):
        shutil.rmtree(target)  # files below it are gone already; this is what is hidden in it
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(source, draft)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _remove_empty_folders(folder: Path) -> None:
    """Folders of the learner's that have lost their last file; not those that begin with a dot."""
    for path in sorted(folder.rglob("*"), reverse=True):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not is_folder(path):
            continue
        if path.name == CACHE:
            shutil.rmtree(path)
        elif not any(path.iterdir()):
            path.rmdir()


def shown(path: Path) -> str:
    """A path as a learner reads it: from the project's folder, where it is in there."""
    root = project_root().resolve()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
