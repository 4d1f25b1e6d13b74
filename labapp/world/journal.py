"""The world's append-only journal: what reached it, in order, on disk before it is answered.

One JSON line per record, written with one ``write`` in append mode, so a killed world loses
nothing that it had answered.  Used within ``labapp.world`` only.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labapp.errors import LabError
from labapp.world.kinds import Kind


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the journal.

    Args:
        scope: whose history it belongs to (one per run; ``live`` for what is sent by hand).
        kind: ``attempt`` (a request arrived), ``effect`` (it took place), ``answered`` (its
            answer left), ``replayed`` (an Idempotency-Key was seen again: no new effect) or
            ``torn`` (a file's stream ended early: what was written of it is there, no effect).
        key: business key.
        at: wall-clock time in seconds since the epoch.
        idempotency_key: as sent by the caller, else empty.
        what: kind of effect: charge, mail or file.
        name: of the file in which a mail or a file is kept, else empty.
        size: bytes written to that file.
        sha256: of a file stored in full.
    """

    scope: str
    kind: str
    key: str
    at: float
    idempotency_key: str = ""
    what: str = Kind.CHARGE
    name: str = ""
    size: int = 0
    sha256: str = ""

    def line(self) -> bytes:
        """The record as a line of the journal."""
        return json.dumps(asdict(self)).encode() + b"\n"


def records(path: Path) -> Iterator[Record]:
    """All records of a journal's file; a torn line is passed over.  Raises OSError."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield Record(**json.loads(line))
            except (ValueError, TypeError, RecursionError):
                continue


class Journal:
    """Append-only file of records.

    Args:
        path: the file; it and its folder are made where missing.

    Raises:
        LabError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._mend_torn_end()
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise LabError(
                f"the world cannot write its journal {path}: {error.strerror}",
                hint="give it a folder that you may write to, with room on its disk",
            ) from error

    def _mend_torn_end(self) -> None:
        """End an unfinished last line (power cut, full disk), so that the next one stands alone."""
        if self.path.exists() and (data := self.path.read_bytes()) and not data.endswith(b"\n"):
            with self.path.open("ab") as file:
                file.write(b"\n")

    def append(self, scope: str, kind: str, key: str, **details: Any) -> Record:
        """Write one record, now, and return it.

        Args:
            scope: whose history it belongs to.
            kind: what happened.
            key: business key.
            details: further fields of the record.

        Raises:
            OSError: the disk refuses.
        """
        record = Record(scope, kind, key, time.time(), **details)
        line = record.line()
        if (written := os.write(self._fd, line)) < len(line):  # full disk: half a record is none
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return record

    def read(self) -> Iterator[Record]:
        """All records so far; a torn line is passed over."""
        return records(self.path)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
