"""Processes as the supervisor sees them: told apart by pid *and* creation time.

A pid alone may by now belong to someone else.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable

import psutil

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
SAME_PROCESS = 0.05  # seconds: creation times are read back from text


def creation_time(pid: int) -> float:
    """When a process was created, in epoch seconds; 0.0 if there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def is_alive(pid: int, created: float) -> bool:
    """True if exactly this process is there and is no zombie."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < SAME_PROCESS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def become_subreaper() -> None:
    """Adopt descendants whose parent dies, so that none gets away (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def marked(name: str, value: str) -> list[psutil.Process]:
    """All processes of this user whose environment has name=value."""
    return [p for p in psutil.process_iter() if _environment(p).get(name) == value]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except (psutil.Error, OSError):
        return {}


def kill_all(processes: Iterable[psutil.Process], timeout: float = 3.0) -> list[int]:
    """SIGKILL these processes and wait until they are gone; returns the pids that were there."""
    struck = [process for process in processes if _kill(process)]
    psutil.wait_procs(struck, timeout=timeout)
    return [process.pid for process in struck]


def _kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.Error:
        return False
    return True
