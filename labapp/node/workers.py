"""One Celery worker under a node's control: start, ready, signals, end.

The worker is the real ``celery -A MODULE worker`` in a session of its own; settings are given on
its command line, so that the same worker can be had in any terminal.  Used by
``labapp.node.server``; may depend on ``labapp.node.procs``, ``labapp.node.sockets`` and
``labapp.errors``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from labapp.errors import LabError
from labapp.node import procs, sockets
from labapp.node.forkserver import MARK, MARK_LENGTH
from labapp.node.probe import FD_VARIABLE
from labapp.node.warm import POOLS, Forked, WarmStarts
from labapp.stack.environment import for_module

START_DEADLINE = 60.0
"""Seconds from fork to ready (0.9 s on an idle machine; far more on a loaded one)."""
TAIL = 15
"""Lines of a log that an error shows."""
TAIL_BYTES = 64 * 1024
"""How much of a log's end is looked at: a task may print without measure."""
SCRATCH = ".tmp"
"""Suffix of the folder beside a worker's log that holds its temporary files."""
OWN_VARIABLES = (
    "CELERY_BROKER_URL",
    "CELERY_RESULT_BACKEND",
    "PARTNER_",
    "MAIL_",
    "SHOP_DATABASE_URL",
)
"""What the lab itself puts into a worker's environment; nothing reads it at import."""
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
"""Arguments that halve a worker's start: with mingle it waits for others to answer."""
OWN_OPTIONS = {"worker_prefetch_multiplier": "--prefetch-multiplier"}
"""Settings that the command line takes by an option only: Celery reads the option's default from
the app before it reads the settings behind ``--``, which then come too late (celery/bin/worker.py).
"""
PATIENCE = {"worker_proc_alive_timeout": 60.0}
"""On a loaded machine the default of 4 s makes main kill children that are slow to come up."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker is started with.

    Args:
        name: its name on the node; the log file is named after it.
        module: importable module with the Celery app (``-A``).
        path: folder of that module: working directory and PYTHONPATH.
        concurrency: pool size.
        pool: prefork, threads, solo, gevent.
        settings: Celery settings, given on the command line behind ``--``.
        env: environment on top of the node's (broker, result backend, partner's address).
        arguments: further arguments of ``celery worker``.
        warm: whether it may be forked from a process that has imported Celery already; otherwise
            the command is run in a fresh interpreter.
        restart: start it again when it exits by itself.
        lease: whose lease ends it; empty for none.
    """

    name: str
    module: str
    path: str
    concurrency: int = 2
    pool: str = "prefork"
    settings: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = QUIET
    warm: bool = True
    restart: bool = False
    lease: str = ""

    @property
    def may_be_forked(self) -> bool:
        """Whether a start from a warm process ends as the command would.

        Some variables are read when libraries are imported (``REMAP_SIGTERM``, ``PYTHON…``): with
        an environment that is not all the lab's own, the command is run."""
        ours = all(name.startswith(OWN_VARIABLES) for name in self.env)
        return self.warm and ours and self.pool in POOLS

    def command(self) -> list[str]:
        """The command line, as one would type it."""
        settings = {**PATIENCE, **self.settings}
        return [
            sys.executable,
            *("-m", "celery", "-A", self.module, "worker"),
            *("--pool", self.pool, "--concurrency", str(self.concurrency)),
            *("--hostname", f"{self.name}@%h", "--loglevel", "INFO"),
            *("--include", "labapp.node.probe"),
            *(f"{OWN_OPTIONS[key]}={settings[key]}" for key in OWN_OPTIONS if key in settings),
            *self.arguments,
            "--",
            *(f"{key}={setting(value)}" for key, value in settings.items()),
        ]


def setting(value: Any) -> str:
    """A Celery setting in the words of its command line (celery/loaders/base.py)."""
    if isinstance(value, Mapping):
        return f"(dict){json.dumps(dict(value))}"
    if isinstance(value, (list, tuple)):
        return f"(list){json.dumps(list(value))}"
    return str(value)


def environment(spec: WorkerSpec) -> dict[str, str]:
    """The worker's environment: the node's without the lab's secrets, plus the spec's."""
    kept = for_module()
    kept.pop("CELERY_BROKER_URL", None)
    path = os.pathsep.join(p for p in (spec.path, kept.get("PYTHONPATH", "")) if p)
    return {
        **kept,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        **spec.env,
    }


class Worker:
    """A started worker.

    Args:
        spec: what to start.
        log: file its output is appended to.
        warm: the node's fork servers; None always runs the command.
    """

    def __init__(self, spec: WorkerSpec, log: Path, warm: WarmStarts | None = None) -> None:
        self.spec = spec
        self.log = log
        self.report: dict[str, Any] = {}
        self.state = "starting"
        self._mark = secrets.token_hex(MARK_LENGTH // 2)
        self._scratch = log.with_suffix(SCRATCH)
        self._scratch.mkdir(exist_ok=True)
        self._log_start = log.stat().st_size if log.exists() else 0
        self._pipe, theirs = os.pipe()
        try:
            self.process = self._start(warm, theirs)
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)

    def _start(self, warm: WarmStarts | None, theirs: int) -> subprocess.Popen[bytes] | Forked:
        env = environment(self.spec) | self._own_environment(theirs)
        with self.log.open("ab") as log:
            forked = None
            if warm is not None and self.spec.may_be_forked:
                command, path = self.spec.command(), self.spec.path
                forked = warm.fork(command, path, env, log.fileno(), theirs)
            return forked or self._run_command(env, log, theirs)

    def _run_command(
        self, env: dict[str, str], log: BinaryIO, theirs: int
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.spec.command(),
            cwd=self.spec.path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs,),
            start_new_session=True,
            preexec_fn=procs.die_with_parent,  # noqa: PLW1509  the node has one thread
        )

    def _own_environment(self, theirs: int) -> dict[str, str]:
        """Where the probe reports to, what all of it is found by, and where its temporary files go:
        billiard leaves a folder behind in each child that is killed."""
        return {FD_VARIABLE: str(theirs), MARK: self._mark, "TMPDIR": str(self._scratch)}

    @property
    def pid(self) -> int:
        """Pid of the main process; the pool's children are below it."""
        return self.process.pid

    @property
    def broker_port(self) -> int:
        """The port of the broker that it was told; 0 where its module says."""
        return urlsplit(self.spec.env.get("CELERY_BROKER_URL", "")).port or 0

    async def ready(self) -> None:
        """Wait for the probe's report.

        Raises:
            LabError: the worker exited at start, or is not ready in time; with its log's tail.
        """
        loop = asyncio.get_running_loop()
        told: asyncio.Future[bytes] = loop.create_future()
        said = bytearray()
        loop.add_reader(self._pipe, self._listen, said, told)
        try:
            self.report = json.loads(await self._told(told))
        finally:
            loop.remove_reader(self._pipe)
            os.close(self._pipe)
        self.state = "running"

    def _listen(self, said: bytearray, told: asyncio.Future[bytes]) -> None:
        """Read what the probe writes, up to its line's end: a long report comes in pieces."""
        piece = os.read(self._pipe, 65536)
        said += piece
        if not told.done() and (not piece or said.endswith(b"\n")):
            told.set_result(bytes(said))

    async def _told(self, told: asyncio.Future[bytes]) -> bytes:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_DEADLINE
        while not told.done() and self.alive() and loop.time() < deadline:
            await asyncio.wait([told], timeout=0.05)
        if told.done():
            if told.result():
                return told.result()
            with contextlib.suppress(LabError):  # end of file without a word: it is about to exit
                await procs.until(lambda: not self.alive(), "the worker to exit")
        why = self._why_not()
        await self.kill()
        raise LabError(why)

    def _why_not(self) -> str:
        code = self.process.poll()
        ended = f"exited with status {code}" if code is not None else "was not ready in time"
        return f"worker {self.spec.name} {ended} at start; its log ends:\n{self.tail()}"

    def tail(self, lines: int = TAIL) -> str:
        """The last lines of this start's log."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, self.log.stat().st_size - TAIL_BYTES))
            text = log.read(TAIL_BYTES).decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def pids(self) -> list[int]:
        """Main process first, then everything below it; empty where main has ended."""
        return procs.descendants(self.pid) if self.alive() else []

    def alive(self) -> bool:
        """Whether the main process runs (stopped counts as running)."""
        return self.process.poll() is None

    def owner(self, port: int, remote_port: int) -> int | None:
        """The process of this worker that holds the connection ``port`` → ``remote_port``."""
        held = sockets.ends(self.pids(), remote_port)
        return next((end.pid for end in held if end.port == port), None)

    def clients(self, remote_port: int) -> list[str]:
        """``host:port`` of all its connections to ``remote_port``."""
        return [f"{end.host}:{end.port}" for end in sockets.ends(self.pids(), remote_port)]

    async def kill_child(self, pid: int) -> None:
        """SIGKILL one pool child so that main notices at once.

        Main is stopped while its child dies, so that SIGCHLD and the closed pipe await it together:
        it then notices within 41 ms (28 of 28), where a plain kill takes 0.1 to 0.4 s or 5 s.

        Raises:
            LabError: the pool has no child processes, or the pid is not one of them.
        """
        if pid == self.pid:
            raise LabError(
                f"kill child needs a pool with child processes, and the pool of worker "
                f"{self.spec.name} is {self.spec.pool}: the task runs in the main process",
                hint="use kill_worker here, or start the worker with pool='prefork'",
            )
        await procs.stop([self.pid])
        try:
            procs.send(pid, signal.SIGKILL)
            await procs.until(lambda: procs.state(pid) in ("zombie", "gone"), f"child {pid} to die")
        finally:
            procs.resume([self.pid])

    async def pause(self) -> None:
        """SIGSTOP main, then its children, and see all of them stopped."""
        if not self.alive():
            return
        await procs.stop([self.pid])  # from now on it starts no children
        await procs.stop(self.pids())
        self.state = "paused"

    def resume(self) -> None:
        """SIGCONT the children, then main."""
        procs.resume(reversed(self.pids()))
        self.state = "running"

    async def kill(self) -> None:
        """SIGKILL the whole worker and reap all of it (main, children, what they started)."""
        self.state = "killed"
        seen = set[int]()
        await procs.until(lambda: self._strike_down(seen), f"worker {self.spec.name} to end")
        self._tidy()

    def _strike_down(self, seen: set[int]) -> bool:
        """SIGKILL what is left of it, main first; whether all ever seen of it is gone and reaped.

        Asked again and again, since a process may have started another one between two looks."""
        left = dict.fromkeys([*self.pids(), *procs.marked(MARK, self._mark)])
        for pid in left:
            procs.send(pid, signal.SIGKILL)
        seen.update(left)
        return not self.alive() and procs.reaped(seen - {self.pid}) and not left

    def _tidy(self) -> None:
        """Delete its temporary files, once nothing of it is left."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    async def exited(self, seconds: float, poll: float = procs.POLL * 5) -> int | None:
        """Its exit status, once it has ended by itself and been reaped; None after ``seconds``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self.alive():
            if loop.time() > deadline:
                return None
            await asyncio.sleep(poll)
        if self.state != "killed":
            self.state = "exited"
        left = set[int]()
        await procs.until(
            lambda: self._strike_down(left), f"what worker {self.spec.name} left behind to end"
        )
        self._tidy()
        return self.process.returncode

    def to_json(self) -> dict[str, Any]:
        """What the conductor sees of it."""
        return {
            "name": self.spec.name,
            "pid": self.pid,
            "state": self.state if self.alive() or self.state == "killed" else "exited",
            "exit_status": self.process.poll(),
            "lease": self.spec.lease,
            "report": self.report,
        }
