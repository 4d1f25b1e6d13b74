"""What a learner has done, stage by stage, in a file that outlives an update of the course.

The file is ``.lab-progress.json`` beside ``course.toml``, or where ``$LAB_PROGRESS`` says.  It is
replaced in one step and changed by one process at a time; what this version of the course does
not know in it stays as it is.  Progress is a convenience: where it cannot be written, that is one
line on stderr and no more.

Used by the rest of ``labapp.course``; depends on ``labapp.course.course`` and
``labapp.stack.home`` only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from labapp.course.places import project_root
from labapp.errors import LabError
from labapp.stack.home import PROGRESS_VARIABLE, unused, write_private

FILE = ".lab-progress.json"
"""In the project's folder."""
VERSION = 1
"""Of the file's form.  A higher one may mean things that must not be overwritten."""


@dataclass(frozen=True)
class StageProgress:
    """What a learner has done in one stage.

    Args:
        checks: verdicts on an answer of theirs.
        hints: how many of the stage's hints they have seen.
        passed: when it was passed for the first time, as ISO 8601 in UTC; None if it was not.
        diagnosis: code of what the last check said; None if it passed, or there was none.
    """

    checks: Annotated[int, Field(ge=0)] = 0
    hints: Annotated[int, Field(ge=0)] = 0
    passed: str | None = None
    diagnosis: str | None = None

    @property
    def begun(self) -> bool:
        """Whether anything was done at all."""
        return self != StageProgress()


_STAGES = TypeAdapter(dict[str, StageProgress])


class _Broken(Exception):
    """The file was cut short, or is something else."""


def progress_file() -> Path:
    """Where the progress is kept; the file may not exist yet.

    Raises:
        LabError: no project is here, and the environment names no file.
    """
    given = os.environ.get(PROGRESS_VARIABLE)
    return Path(given).resolve() if given else project_root() / FILE


def read() -> dict[str, StageProgress]:
    """What was done in each stage, by the name of its folder; a stage that is missing is untouched.

    A broken file is moved aside, and a line on stderr says where to.

    Raises:
        LabError: the file is of a newer version of the lab, or cannot be read.
    """
    path = progress_file()
    try:
        try:
            return _STAGES.validate_python(_load(path)["stages"])
        except _Broken:
            with _alone(path):
                return _STAGES.validate_python(_sound(path)["stages"])
    except OSError as error:
        raise LabError(
            f"{path} cannot be read: {error.strerror}",
            hint="mend that, or move the file away: a new one begins",
        ) from None


def of(stage_folder: str) -> StageProgress:
    """What was done in the stage of this folder (``02_crash``).  Raises as ``read`` does."""
    return read().get(stage_folder, StageProgress())


def note_check(folder: str, passed: bool, diagnosis: str | None) -> None:
    """A check has come to a verdict.

    Args:
        folder: of the stage.
        passed: whether the answer passed.
        diagnosis: its code, if it did not.

    Raises:
        LabError: the file is of a newer version of the lab; it was not changed.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    _change(
        folder,
        lambda before: replace(
            before,
            checks=before.checks + 1,
            passed=before.passed or (now if passed else None),
            diagnosis=diagnosis,
        ),
    )


def note_hint(folder: str, shown: int) -> None:
    """This many of a stage's hints have been seen.  It never becomes fewer.

    Raises:
        LabError: the file is of a newer version of the lab; it was not changed.
    """
    _change(folder, lambda before: replace(before, hints=max(before.hints, shown)))


def forget(copy: Path) -> bool:
    """Move the file to ``copy``, whatever it holds; False where there is none.

    Raises:
        OSError: it could not be copied; then it is where it was.
    """
    path = progress_file()
    if not path.exists():
        return False
    with _alone(path):
        shutil.copy2(path, copy)
        path.unlink()
    return True


def _change(folder: str, change: Callable[[StageProgress], StageProgress]) -> None:
    """Replace a stage's entry; where that cannot be written, say so."""
    path = progress_file()
    try:
        with _alone(path):
            raw = _sound(path)
            entry = raw["stages"].setdefault(folder, {})
            before = _STAGES.validate_python({folder: entry})[folder]
            entry.update(asdict(change(before)))
            write_private(path, json.dumps(raw, indent=2) + "\n")
    except OSError as error:
        _say(f"progress was not noted in {path}: {error.strerror}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Inside, no other process and no other thread changes the file.

    The lock is on a file beside it, since the file itself is replaced at each change."""
    beside = path.with_name(f"{path.name}.lock")
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sound(path: Path) -> dict[str, Any]:
    """What the file says, after a broken one has been moved aside.  Only while alone with it."""
    try:
        return _load(path)
    except _Broken:
        aside = unused(path.with_name(f"{path.name}.broken"))
        path.rename(aside)
        _say(f"{path.name} was broken: it is {aside.name} now, and a new one begins")
        return _load(path)


def _load(path: Path) -> dict[str, Any]:
    """What the file says, with all that is unknown in it; no stages where there is no file.

    Raises:
        _Broken: it is not what this module writes.
        LabError: it is of a newer version.
        OSError: it cannot be read.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {"version": VERSION, "stages": {}}
    try:
        raw = json.loads(text)
        version = raw["version"]
        if version > VERSION:
            raise LabError(
                f"{path.name} is of a newer version of the lab ({version}, this one knows "
                f"{VERSION}): left as it is",
                hint=f"update the lab, or name another file in ${PROGRESS_VARIABLE}",
            )
        _STAGES.validate_python(raw["stages"])
    except (ValueError, TypeError, LookupError, RecursionError):  # pydantic's is a ValueError
        raise _Broken from None
    return dict(raw)


def _say(line: str) -> None:
    """One line beside whatever is being shown."""
    print(f"lab: {line}", file=sys.stderr, flush=True)
