"""Publishes a learner's tasks from a process of their own, as a web application would.

The process imports the module just as a worker does, and sends with the module's own app, routes
and options.  A module that hangs, crashes or prints cannot hurt the notebook's kernel, and a module
that was edited is imported afresh.  Used by ``labapp.lab``; the process's own code is
``labapp.sender``.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labapp.errors import LabError
from labapp.sender import MIGRATE
from labapp.stack.environment import for_module

IMPORT_DEADLINE = 20.0
"""Seconds that a learner's module may take to import."""
SEND_DEADLINE = 20.0
"""Seconds that publishing may take."""
MIGRATE_DEADLINE = 20.0
"""Seconds that a module may take to make the shop's tables."""


@dataclass(frozen=True, slots=True)
class Module:
    """A learner's module.

    Args:
        name: importable name.
        path: folder it lies in.
    """

    name: str
    path: Path

    @property
    def file(self) -> Path:
        """Its source file."""
        return self.path / f"{self.name}.py"

    def require_file(self) -> None:
        """Raises LabError where there is no such file."""
        if not self.file.exists():
            raise LabError(
                f"there is no {self.file.name} in {self.path.name}/",
                hint="put it back: `git checkout` brings the starter, solutions/ has the answer",
            )

    def version(self) -> tuple[tuple[str, int, int], ...]:
        """Changes whenever a Python file in its folder does.

        Not an editor's own, as ``.#shop.py`` is, which for emacs is a link to nothing."""
        found = []
        for file in sorted(self.path.glob("*.py")):
            with contextlib.suppress(FileNotFoundError):  # just renamed or deleted
                if not file.name.startswith("."):
                    about = file.stat()
                    found.append((file.name, about.st_mtime_ns, about.st_size))
        return tuple(found)


def first_shop() -> Module:
    """The shop with Celery's defaults that the live worker runs, too."""
    from labapp.stack.home import project_root
    from labapp.stack.services import SHOP_FOLDER, shop_folder

    root = project_root()
    return Module("shop", shop_folder(root) or root / SHOP_FOLDER)


class Publisher:
    """A process that has imported one module.

    Args:
        module: what to import.
        env: its broker, result backend and partner's address.

    Raises:
        LabError: the module does not import (with file and line), or not in time.
    """

    def __init__(self, module: Module, env: Mapping[str, str]) -> None:
        self.module = module
        module.require_file()
        self.version = module.version()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed in close()
        self._process = self._spawn(env)
        try:
            told = self._hear("to import", IMPORT_DEADLINE)
        except BaseException:  # interrupted: the process must not stay behind
            self.close()
            raise
        if "error" in told:
            self.close()
            raise LabError(f"{module.file.name} does not import: {told['error']}", told["hint"])
        self.tasks: list[str] = told["tasks"]
        self.migrates: bool = told["migrates"]
        """Whether the module has a ``migrate()``."""

    def _spawn(self, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "labapp.sender", self.module.name],
            cwd=self.module.path,
            env={**for_module(), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # the kernel's interrupt button is not meant for it
        )

    def send(
        self,
        task: str,
        calls: Sequence[tuple[Any, ...]],
        ids: Sequence[str] | None = None,
        countdown: float = 0.0,
    ) -> list[str]:
        """Publish the task once for each tuple of arguments; the task ids, in order.

        Args:
            task: its name.
            calls: arguments of each.
            ids: task ids to use, as many as calls; by default new ones.
            countdown: seconds before which they must not run; 0 for none.

        Raises:
            LabError: the module has no such task, or publishing failed.
        """
        if task not in self.tasks:
            known = ", ".join(self.tasks) or "none"
            raise LabError(
                f"{self.module.file.name} has no task {task!r} (its tasks: {known})",
                hint="keep the task's name as the starter has it",
            )
        try:
            wanted = list(ids) if ids is not None else [None] * len(calls)
            sent = {"task": task, "calls": [list(call) for call in calls], "ids": wanted}
            self._say({**sent, "countdown": countdown or None})
            told = self._hear("to publish", SEND_DEADLINE)
        except BaseException:  # interrupted: a late answer must not be taken for the next one's
            self.close()
            raise
        if "error" in told:
            raise LabError(f"{self.module.file.name} could not publish: {told['error']}")
        return list(told["ids"])

    def migrate(self) -> None:
        """Let the module make the shop's tables, where it has a ``migrate()``.

        Raises:
            LabError: that failed (with file and line), or took too long.
        """
        if not self.migrates:
            return
        try:
            self._say({MIGRATE: True})
            told = self._hear("to migrate", MIGRATE_DEADLINE)
        except BaseException:  # interrupted: a late answer must not be taken for the next one's
            self.close()
            raise
        if "error" in told:
            raise LabError(
                f"{self.module.file.name} could not migrate: {told['error']}", told["hint"]
            )

    def _say(self, request: dict[str, Any]) -> None:
        pipe = self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # _hear finds the process gone and says so
            if pipe is not None:
                pipe.write(json.dumps(request).encode() + b"\n")
                pipe.flush()

    def _hear(self, what: str, seconds: float) -> dict[str, Any]:
        """Its next line; closes the process where none comes."""
        line = read_line(self._process, seconds)
        if line:
            told: dict[str, Any] = json.loads(line)
            return told
        status = self._process.poll()
        said = self._last_words()
        self.close()
        if status is not None:
            raise LabError(
                f"{self.module.file.name} ended its process (status {status}) when asked {what}",
                hint=f"it said last: {said}" if said else "look for sys.exit or os._exit in it",
            )
        raise LabError(
            f"{self.module.file.name} took more than {seconds:.0f} s {what}",
            hint="a module must only define things when imported; work belongs into tasks",
        )

    def _last_words(self) -> str:
        """The last line that the process printed."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def fresh(self) -> bool:
        """Whether the process lives and its module has not been edited since."""
        return self._process.poll() is None and self.version == self.module.version()

    def close(self) -> None:
        """End the process and wait for it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its session: what the module forked, too
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            with contextlib.suppress(BrokenPipeError):  # what was not sent yet is not wanted
                if pipe is not None:
                    pipe.close()


def read_line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """One line of the process's output; empty if it ends or takes longer than ``seconds``."""
    if process.stdout is None:
        raise ValueError("the process has no pipe to read from")
    deadline = time.monotonic() + seconds
    line = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return b""
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                process.wait()
                return b""
            line += piece
    return bytes(line)
