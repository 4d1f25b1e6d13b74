"""A broker of one experiment's own, which may be killed: nobody else uses it.

The same server program and settings as the stack's broker, started by a node beside its workers,
with a data folder that goes away with it.  Used by ``labapp.node.server``; may depend on
``labapp.node.procs``, ``labapp.stack`` and ``labapp.errors``.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
from pathlib import Path

from labapp.errors import LabError
from labapp.node import procs
from labapp.stack.broker import choose, configure, is_ready
from labapp.stack.logs import tail
from labapp.stack.ports import LOOPBACK, Port
from labapp.stack.space import FOR_A_LOG, require_space

START_DEADLINE = 20.0
"""Seconds until it answers (some hundredths, and the time to load its data)."""
PING_SECONDS = 0.5
LOOK = 0.005
"""Seconds between two looks at whether it answers."""
TAIL = 5
"""Lines of its log that an error shows."""


class PrivateBroker:
    """A broker under a node's control.

    Args:
        folder: for its configuration, data and log; deleted by ``close``.
        aof: whether it keeps what it is told in an append-only file.
        lease: whose end is its end.
        host: address to listen on, the node's own.

    Raises:
        LabError: no server program is usable, or no port is free.
    """

    def __init__(self, folder: Path, aof: bool, lease: str, host: str = LOOPBACK) -> None:
        self.folder = folder
        self.lease = lease
        self._password = secrets.token_urlsafe(16)
        self._port = Port()
        try:
            binary, _ = choose()
            folder.mkdir(parents=True)
            port, password = self._port.number, self._password
            configuration = configure(folder, binary, port, password, aof=aof, host=host)
        except BaseException:
            self._port.release()
            raise
        self._command = [str(binary.path), str(configuration)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, with the password and without a database."""
        return f"redis://:{self._password}@{LOOPBACK}:{self._port.number}"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "broker.log"

    async def start(self) -> None:
        """Start it, if it does not run; returns when it answers.

        Raises:
            LabError: it does not start.
        """
        if self.pid:
            return
        require_space(self.folder, FOR_A_LOG)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=procs.die_with_parent,  # noqa: PLW1509  the node has one thread
            )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_DEADLINE
        while not await asyncio.to_thread(self._answers):
            if self._process.poll() is not None or loop.time() > deadline:
                said = " / ".join(tail(self.log, TAIL).splitlines())
                raise LabError(f"the broker of this run does not start: {said}")
            await asyncio.sleep(LOOK)

    def _answers(self) -> bool:
        return is_ready(self._port.number, self._password, PING_SECONDS)

    @property
    def pid(self) -> int:
        """Pid of the server; 0 where it does not run."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process is not None else 0

    def kill(self) -> None:
        """SIGKILL it and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End it, and delete its folder."""
        self.kill()
        self._port.release()
        shutil.rmtree(self.folder, ignore_errors=True)
