"""Warm starts: workers forked from processes that have imported Celery already.

A worker's start falls from about a second to a quarter of one, and two thirds of its work are
saved.  The outcome is the command line's; where it would not be (a pool that patches the
interpreter, an environment that libraries read when they are imported), the command is run.

Two servers take turns: processes forked from one server share the seed of ``hash()``, as the
children of one worker do and two workers do not.  So a worker never has the seed of the worker
that was started before it.  Used by ``labapp.node.workers``; may depend on
``labapp.node.forkserver`` and ``labapp.stack``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from labapp.node.forkserver import MARK, MARK_LENGTH, ROOM
from labapp.node.probe import FD_VARIABLE
from labapp.node.procs import die_with_parent, send
from labapp.stack.environment import for_module

SERVERS = 2
"""Fork servers of a node."""
POOLS = ("prefork", "threads", "solo")
"""Pools whose worker may be forked; the others patch the interpreter before anything else."""
REPLY_SECONDS = 10.0
"""Seconds that a fork may take (it takes milliseconds)."""


LARGE = ("sqlalchemy",)
"""Libraries that only some modules import, and that take as long as the rest of a start."""


def large_libraries(folder: Path) -> list[str]:
    """Those of ``LARGE`` that a module in this folder names: worth importing before the fork."""
    found = ""
    with contextlib.suppress(OSError):  # whoever imports the module says what is wrong with it
        found = "\n".join(path.read_text(errors="replace") for path in folder.glob("*.py"))
    imported = r"^\s*(?:from|import) {}\b"
    return [name for name in LARGE if re.search(imported.format(name), found, re.MULTILINE)]


class Forked:
    """A worker's main process that was forked: what is used of ``subprocess.Popen``.

    Args:
        pid: pid of a child of this process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, once it has ended; it is reaped then."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it has not ended."""
        if self.poll() is None:
            send(self.pid, number)


class ForkServer:
    """One warm process; it warms up while other things are done."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(REPLY_SECONDS)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "labapp.node.forkserver", str(theirs.fileno()), " " * ROOM],
                env={**for_module(), MARK: "-" * MARK_LENGTH, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  the node has one thread
            )
        finally:
            theirs.close()
        self._ready = False

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it has imported everything, and lives."""
        if not self._ready and self.alive and select.select([self._channel], [], [], 0)[0]:
            self._ready = bool(self._hear())
        return self._ready and self.alive

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def fork(
        self, command: Sequence[str], cwd: str, env: Mapping[str, str], log: int, probe: int
    ) -> Forked | None:
        """A new worker; None where the server has gone wrong, which ends it.

        Args:
            command: the command line that it stands for.
            cwd: its working directory.
            env: its environment.
            log: descriptor of its output.
            probe: descriptor for its probe.
        """
        order = {
            "command": list(command),
            "cwd": cwd,
            "env": dict(env),
            "probe": FD_VARIABLE,
            "libraries": large_libraries(Path(cwd)),
        }
        try:
            socket.send_fds(self._channel, [json.dumps(order).encode()], [log, probe])
            told = json.loads(self._hear())
        except (OSError, ValueError):
            self.close()
            return None
        return Forked(told["pid"])

    def _hear(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self._channel.recv(256)
            if not piece:
                return b""
            line += piece
        return bytes(line)

    def close(self) -> None:
        """End it and wait for it; what it forked is the node's."""
        self._process.kill()
        self._process.wait()
        self._channel.close()


class WarmStarts:
    """A node's fork servers, in turns; none where the system is not Linux."""

    def __init__(self) -> None:
        self._servers = [ForkServer() for _ in range(SERVERS if sys.platform == "linux" else 0)]
        self._turns = itertools.cycle(range(len(self._servers)))

    @property
    def pids(self) -> set[int]:
        """Pids of the servers."""
        return {server.pid for server in self._servers}

    def fork(
        self, command: Sequence[str], cwd: str, env: Mapping[str, str], log: int, probe: int
    ) -> Forked | None:
        """A worker from the server whose turn it is; None where that one is not ready."""
        if not self._servers:
            return None
        turn = next(self._turns)
        server = self._servers[turn]
        if not server.alive:
            server.close()
            self._servers[turn] = ForkServer()
            return None
        return server.fork(command, cwd, env, log, probe) if server.ready else None

    def close(self) -> None:
        """End all servers."""
        for server in self._servers:
            with contextlib.suppress(OSError):
                server.close()
