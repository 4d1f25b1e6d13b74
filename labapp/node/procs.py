"""Processes as a node needs them: descendants, exact stops and kills.

Every wait here is for a state of the kernel's (stopped, zombie, gone), polled each millisecond,
with a deadline.  A node looks only among its own descendants: scanning a whole machine takes
seconds, its own children milliseconds.  Used by ``labapp.node.workers``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from labapp.errors import LabError

POLL = 0.001
"""Seconds between two looks at a process's state."""
EPOLL = {"x86_64": ("232", "281", "441"), "aarch64": ("22", "441")}
"""Numbers of epoll_wait, epoll_pwait and epoll_pwait2, as /proc/PID/syscall has them."""
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal a process gets when the thread that is its parent ends (Linux)."""
DEADLINE = 10.0
"""Seconds that the kernel may take to stop or end a process (it takes microseconds)."""


def die_with_parent() -> None:
    """In a new process: be killed when the node ends, even by kill -9 (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The process and all below it, the process first; empty where it is gone."""
    try:
        return [pid, *(p.pid for p in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def marked(name: str, value: str) -> list[int]:
    """All below this process that have ``name=value`` in their environment.

    Finds what daemonised itself, too: it no longer hangs below the worker that started it."""
    return [p.pid for p in psutil.Process().children(recursive=True) if _has(p, name, value)]


def _has(process: psutil.Process, name: str, value: str) -> bool:
    try:
        return process.environ().get(name) == value
    except (psutil.Error, OSError):  # a zombie has none
        return False


def reaped(pids: Iterable[int]) -> bool:
    """Whether none of these is left; those that have become this process's own are waited for."""
    left = [pid for pid in pids if state(pid) != "gone"]
    for pid in left:
        with contextlib.suppress(ChildProcessError):  # not ours (yet)
            os.waitpid(pid, os.WNOHANG)
    return not left


def state(pid: int) -> str:
    """psutil's word for the process's state; ``gone`` where there is none."""
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return "gone"


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def at_rest(pid: int) -> bool:
    """Whether the process waits in epoll (Linux), and so holds no lock of its own.

    Where the kernel does not tell, any sleep will do."""
    try:
        number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    except (OSError, IndexError):
        return state(pid) in ("sleeping", "gone")
    return number in EPOLL.get(platform.machine(), (number,))


async def until(reached: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Wait until ``reached()``.  Raises LabError naming ``what`` after ``seconds``."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not reached():
        if loop.time() > deadline:
            raise LabError(f"waited {seconds:.0f} s in vain for {what}")
        await asyncio.sleep(POLL)


async def stop(pids: Iterable[int]) -> None:
    """SIGSTOP these processes, in this order, and see each one stopped (or ended)."""
    for pid in pids:
        send(pid, signal.SIGSTOP)
        await until(
            lambda pid=pid: state(pid) in ("stopped", "zombie", "gone"),  # type: ignore[misc]
            f"process {pid} to stop",
        )


def resume(pids: Iterable[int]) -> None:
    """SIGCONT these processes, in this order."""
    for pid in pids:
        send(pid, signal.SIGCONT)
