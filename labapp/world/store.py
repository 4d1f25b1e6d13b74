"""Where mails and files lie on disk, one folder per scope, and which names are allowed.

A file is written in place, as on a shared folder: whoever writes half of it leaves half of it
there.  Used within ``labapp.world`` only.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from labapp.world.journal import Record
from labapp.world.kinds import Kind

LONGEST_NAME = 200
"""Bytes of a file's name; file systems allow 255."""
SCOPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
DRAFT = re.compile(r"\.part(-\w+)?$")
"""How the name of a file ends that is not whole yet."""
PRIVATE = 0o600


def scope_name(name: str) -> str:
    """The name of a scope that may have a folder.  Raises ValueError for another."""
    if not SCOPE.fullmatch(name):
        raise ValueError("a scope's name is up to 128 letters, digits, dots, dashes, underscores")
    return name


def file_name(name: str) -> str:
    """The name of a file in a scope's folder.  Raises ValueError for one that leads elsewhere."""
    if not name or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        raise ValueError("a file's name has no slash, no control character, and no leading dot")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"a file's name has at most {LONGEST_NAME} bytes")
    return name


def final_name(name: str) -> str:
    """The name that a draft is to get: ``order-3.pdf`` of ``order-3.pdf.part``; any other name is
    final already.

    A draft may carry a mark of its writer: ``order-3.pdf.part-5f3a``."""
    return DRAFT.sub("", name) or name


def is_draft(name: str) -> bool:
    """Whether a file of this name is not to be read yet."""
    return final_name(name) != name


def key_of(name: str) -> str:
    """The business key of a file, or of a draft of it: its final name without the last suffix."""
    return Path(final_name(name)).stem


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it lies there.

    Args:
        name: of the file.
        key: business key.
        size: bytes.
        sha256: of its content.
        complete: whether this is what the world recorded as stored; otherwise it is torn.
    """

    name: str
    key: str
    size: int
    sha256: str
    complete: bool

    def to_json(self) -> dict[str, Any]:
        """What the conductor sees of it."""
        return asdict(self)


class Upload:
    """A file that is being written.

    Args:
        path: where; a file that is there is overwritten from its first byte on.

    Raises:
        OSError: the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)

    def write(self, data: bytes) -> None:
        """Write all of ``data``.  Raises OSError; what fitted stays."""
        self._digest.update(data)
        while data:
            written = os.write(self._fd, data)
            self.size += written
            data = data[written:]

    @property
    def sha256(self) -> str:
        """Of what was to be written so far."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the writing."""
        os.close(self._fd)

    def remove(self) -> None:
        """Keep nothing of it."""
        self.path.unlink(missing_ok=True)


class Store:
    """Mails and files of all scopes.

    Args:
        folder: the world's; what it needs is made in it.
    """

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.mails = folder / "mails"

    def path(self, scope: str, name: str) -> Path:
        """Where a file is.  Raises ValueError for a name that is not allowed."""
        return self.files / scope_name(scope) / file_name(name)

    def listing(self, scope: str, records: Iterable[Record]) -> list[StoredFile]:
        """The files of a scope, by name, held against what is recorded of them."""
        stored = {
            record.name: (record.size, record.sha256)
            for record in records
            if record.kind == "effect" and record.what == Kind.FILE
        }
        folder = self.files / scope_name(scope)
        return [look(path, stored.get(path.name)) for path in sorted(folder.glob("*"))]

    def keep_mail(self, scope: str, content: bytes) -> str:
        """Store a mail; the name of its file.  Raises OSError; then nothing of it is left."""
        name = f"{time.time_ns()}.eml"
        upload = Upload(self.mails / scope_name(scope) / name)
        try:
            upload.write(content)
        except OSError:
            upload.remove()
            raise
        finally:
            upload.close()
        return name

    def mail(self, scope: str, name: str) -> Message:
        """Headers of the mail of this file; none where it is gone."""
        try:
            content = (self.mails / scope_name(scope) / name).read_bytes()
            return BytesHeaderParser().parsebytes(content)
        except OSError:
            return Message()

    def forget_all_but(self, scopes: Iterable[str]) -> None:
        """Delete the folders of all other scopes."""
        kept = set(scopes)
        for folder in [*self.files.glob("*"), *self.mails.glob("*")]:
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def look(path: Path, recorded: tuple[int, str] | None) -> StoredFile:
    """One file as it lies there, held against the size and SHA-256 recorded of it."""
    content = path.read_bytes()
    found = (len(content), sha256_of(content))
    return StoredFile(path.name, key_of(path.name), *found, complete=found == recorded)


def sha256_of(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
