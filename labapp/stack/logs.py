"""The services' log files: their tails, and following them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from labapp.errors import LabError

TAIL_BYTES = 200_000  # more than anyone asks for is not read


def log_folder(home: Path) -> Path:
    """Where the logs lie."""
    return home / "logs"


def log_files(home: Path) -> dict[str, Path]:
    """Name → log file of every service and worker that has one, workers in order of their end."""
    folder = log_folder(home)
    workers = sorted((folder / "workers").glob("*.log"), key=lambda path: path.stat().st_mtime)
    files = sorted(folder.glob("*.log")) + workers
    return {path.stem: path for path in files}


def size(path: Path) -> int:
    """Length of a file in bytes; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, lines: int, end: int | None = None) -> str:
    """The last lines of a file, or of its first `end` bytes; empty if there is none."""
    try:
        with path.open("rb") as file:
            return tail_of(file, lines, end)
    except OSError:
        return ""


def tail_of(file: BinaryIO, lines: int, end: int | None = None) -> str:
    """The last lines of an open file, or of its first `end` bytes."""
    end = file.seek(0, os.SEEK_END) if end is None else end
    begin = max(0, end - TAIL_BYTES)
    file.seek(begin)
    text = file.read(end - begin).decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:] if lines else [])


def pick(home: Path, name: str) -> Path:
    """The log of one service or worker.

    Raises:
        LabError: there is none of that name.
    """
    files = log_files(home)
    if name not in files:
        known = ", ".join(files) or "none yet"
        raise LabError(f"no log of {name!r}", hint=f"there are: {known}")
    return files[name]


def follow(path: Path, position: int, poll: float = 0.1) -> Iterator[str]:
    """New text of a file, for ever; starts over when the file was begun anew.

    Args:
        path: the file.
        position: where to begin, in bytes.
        poll: seconds between two looks.
    """
    while True:
        length = size(path)
        position = 0 if length < position else position
        if length > position:
            with path.open("rb") as file:
                file.seek(position)
                text = file.read()
            position += len(text)
            yield text.decode(errors="replace")
        else:
            time.sleep(poll)
