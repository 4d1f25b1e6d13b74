"""One service of the stack: what it is, and its life under a guard."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labapp.stack import guard
from labapp.stack.processes import creation_time
from labapp.stack.state import ServiceStatus

MOST_RESTARTS, RESTART_WINDOW = 5, 30.0  # so many in so many seconds, then it has failed
STOP_SECONDS = 3.0  # from SIGTERM to SIGKILL
GUARD_COMMAND = (sys.executable, "-S", "-E", "-s", guard.__file__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run. `is_ready` gets a timeout in seconds; `needs` names services first up."""

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[float], bool]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    needs: tuple[str, ...] = ()
    folder: Path = Path()
    note: str = ""
    hint: str = ""


class Guarded:
    """A command under a guard: dies with this process, and takes all its descendants along."""

    def __init__(self, command: tuple[str, ...], log: Path, env: Mapping[str, str], cwd: Path):
        self._owner, theirs = socket.socketpair()
        arguments = [*GUARD_COMMAND, str(theirs.fileno()), str(STOP_SECONDS), *command]
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with theirs, os.fdopen(descriptor) as output:
            self._guard = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in the terminal is the supervisor's alone
            )
        self._owner.setblocking(False)
        self.pid: int | None = None

    @property
    def guard_pid(self) -> int:
        """The guard's own pid."""
        return self._guard.pid

    def fileno(self) -> int:
        """For select: readable when the pid arrives and when the guard ends."""
        return self._owner.fileno()

    def read_pid_if_new(self) -> bool:
        """Take the service's pid from the guard; True if it was news."""
        if self.pid is None:
            self._read_pid()
            return self.pid is not None
        return False

    def _read_pid(self) -> None:
        try:
            line = self._owner.recv(64)
        except BlockingIOError:
            return
        except OSError:
            line = b""
        if line:
            self.pid = int(line)

    def exit_code(self) -> int | None:
        """The service's exit code once the guard has ended, else None."""
        return self._guard.poll()

    def terminate(self) -> None:
        """Ask the service to end; the guard kills it STOP_SECONDS later."""
        self._guard.terminate()

    def wait(self, timeout: float) -> int | None:
        """Wait up to `timeout` seconds for the end; None if it did not come."""
        try:
            return self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End everything at once and wait for it: end-of-file makes the guard kill."""
        self._owner.close()
        if self.wait(guard.KILL_SECONDS + 1) is None:
            self._guard.kill()
            self._guard.wait()


class Service:
    """The life of one planned service: starting, running, restarting, stopped or failed."""

    def __init__(self, plan: Plan, log: Path, environment: Mapping[str, str]) -> None:
        self.plan, self.log = plan, log
        self._environment = {**environment, **plan.environment}
        self._guarded: Guarded | None = None
        self._recent: deque[float] = deque(maxlen=MOST_RESTARTS)
        self._next_check = self._patience = self.began = 0.0
        self.state = "waiting"
        self.restarts = 0
        self.created = 0.0

    @property
    def guarded(self) -> Guarded | None:
        """What runs now, if anything does."""
        return self._guarded

    @property
    def is_coming(self) -> bool:
        """True while it is on its way to running."""
        return self.state in ("starting", "restarting")

    def start(self) -> None:
        """Launch it; the log of a former lab is begun anew."""
        self.log.unlink(missing_ok=True)
        self._launch("starting")

    def _launch(self, state: str) -> None:
        self.began = time.monotonic()
        self._next_check, self._patience = 0.0, 0.1
        self.created = 0.0
        plan = self.plan
        self._guarded = Guarded(plan.command, self.log, self._environment, plan.folder)
        self.state = state

    def has_become_ready(self) -> bool:
        """Ask once, if it is time to; True at the moment it turns to running.

        A service that accepts a connection and is then slow to answer gets more patience each
        time, so that a slow machine is waited for without holding up the others from the start.
        """
        now = time.monotonic()
        if not self.is_coming or now < self._next_check:
            return False
        if not self.plan.is_ready(self._patience):
            waited = time.monotonic() - now
            self._patience = min(2.0, self._patience * 2) if waited > 0.05 else self._patience
            self._next_check = time.monotonic() + 0.02
            return False
        self.state = "running"
        return True

    def notice_pid(self) -> bool:
        """Take the pid from the guard; True if it was news."""
        if self._guarded is None or not self._guarded.read_pid_if_new():
            return False
        self.created = creation_time(self._guarded.pid or 0)
        return True

    def notice_exit(self) -> int | None:
        """The exit code if it has ended since the last call, else None."""
        code = self._guarded.exit_code() if self._guarded else None
        if code is not None and self._guarded:
            self._guarded.close()
            self._guarded = None
        return code

    def restart(self) -> bool:
        """Launch it again on the same port; False, and failed, if that was done too often."""
        now = time.monotonic()
        if len(self._recent) == MOST_RESTARTS and now - self._recent[0] < RESTART_WINDOW:
            self.state = "failed"
            return False
        self._recent.append(now)
        self.restarts += 1
        self._launch("restarting")
        return True

    def status(self) -> ServiceStatus:
        """What stack.json says of it."""
        pid = self._guarded.pid if self._guarded else None
        state = "starting" if self.state == "waiting" else self.state
        return ServiceStatus(pid, state, self.restarts, self.created)

    def terminate(self) -> None:
        """Ask it to end."""
        if self._guarded:
            self._guarded.terminate()

    def finish(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for its end, then end it."""
        if self._guarded:
            self._guarded.wait(timeout)
            self._guarded.close()
            self._guarded = None
        self.state = "stopped" if self.state != "failed" else self.state
