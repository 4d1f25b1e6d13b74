"""`lab up --detach` and `lab down`: a supervisor of which one does not see the terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from labapp.errors import LabError
from labapp.stack import stale
from labapp.stack.home import make_private
from labapp.stack.lock import FolderLock
from labapp.stack.logs import log_folder
from labapp.stack.processes import is_alive
from labapp.stack.services import Options
from labapp.stack.space import require_space_for_a_lab
from labapp.stack.state import Stack, load
from labapp.stack.supervisor import Say, wait_for_state

START_SECONDS = 120.0
STOP_SECONDS = 10.0
POLL = 0.03
LOG = "supervisor.log"


def up_detached(home: Path, root: Path, options: Options, say: Say) -> Stack | None:
    """Start a lab in the background, pass on what it says, return when all of it is ready.

    Returns:
        The stack that runs here already, if one does; else None.

    Raises:
        LabError: it did not start; the message says why.
    """
    lock = FolderLock(home)
    if not lock.acquire():
        return wait_for_state(home)
    lock.release()
    require_space_for_a_lab(home)  # what the supervisor says of it would go to that very disk
    # a name of its own until it holds the folder's lock: another may start at this very moment
    log = make_private(log_folder(home)) / f"supervisor-{os.getpid()}.log"
    supervisor = _launch(home, root, options, log)
    try:
        _relay(supervisor, home, log, say)
    except BaseException:
        supervisor.terminate()
        supervisor.wait(STOP_SECONDS)
        log.replace(log.with_name(LOG))
        raise
    if supervisor.poll() is None:
        log.replace(log.with_name(LOG))
    else:
        log.unlink()
    return None


def _launch(home: Path, root: Path, options: Options, log: Path) -> subprocess.Popen[bytes]:
    arguments = ["--headless"] * options.headless + ["--no-browser"] * (not options.browser)
    arguments += ["--port", str(options.port)] if options.port else []
    if not options.jupyterlab:
        arguments += ["--without-jupyterlab", "--base-url", options.base]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "labapp", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=root,
            env={**os.environ, "LAB_HOME": str(home), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )


def _relay(supervisor: subprocess.Popen[bytes], home: Path, log: Path, say: Say) -> None:
    """Pass on the supervisor's lines until every service runs, its own or another's.

    Raises:
        LabError: it ended, or is not ready in time.
    """
    deadline = time.monotonic() + START_SECONDS
    with log.open() as lines:
        while not is_ready(load(home), supervisor.pid):
            ended = supervisor.poll() is not None
            _pass_on(lines.read(), say)
            if ended and (other := load(home)) and other.is_supervised_alive:
                return
            if ended:
                raise LabError("it did not start, as said above")
            if time.monotonic() > deadline:
                raise LabError(f"not ready after {START_SECONDS:.0f} s", hint="see `lab logs`")
            time.sleep(POLL)
        # The state is written just before the last line is.
        while "lab: ready" not in log.read_text() and supervisor.poll() is None:
            time.sleep(POLL)
        _pass_on(lines.read(), say)


def _pass_on(text: str, say: Say) -> None:
    if text:
        say(text.rstrip("\n"))


def is_ready(stack: Stack | None, pid: int) -> bool:
    """True if this is the state of supervisor `pid` and all of its services run."""
    if stack is None or stack.pid != pid or not stack.services:
        return False
    return all(service.state == "running" for service in stack.services.values())


def down(home: Path) -> str:
    """Stop the lab of this folder, and wait until it is gone.

    Returns:
        What was done, in one line.

    Raises:
        LabError: it could not be stopped.
    """
    stack = load(home)
    if stack is None or not stack.is_supervised_alive:
        return _clean(home) or "nothing runs here"
    began = time.monotonic()
    os.kill(stack.pid, signal.SIGTERM)
    if not _wait_for_end(stack, STOP_SECONDS):
        os.kill(stack.pid, signal.SIGKILL)
        _wait_for_end(stack, STOP_SECONDS)
        return _clean(home) or "killed"
    return f"stopped in {time.monotonic() - began:.1f} s"


def _clean(home: Path) -> str:
    if not home.is_dir():
        return ""
    lock = FolderLock(home)
    if not lock.acquire():
        raise LabError("a lab is just starting here", hint="try again in a few seconds")
    try:
        return stale.clean(home)
    finally:
        lock.release()


def _wait_for_end(stack: Stack, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while is_alive(stack.pid, stack.started):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True
