"""One lab per folder: a lock that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from labapp.stack.home import make_private


class FolderLock:
    """An exclusive flock on `lock` in the state folder; the file's descriptor is not inherited."""

    def __init__(self, home: Path) -> None:
        self._path = make_private(home) / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False if another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
