"""Cleaning up after a lab whose supervisor was killed."""

from __future__ import annotations

from pathlib import Path

import psutil

from labapp.stack import flower
from labapp.stack.processes import is_alive, kill_all, marked
from labapp.stack.state import STATE_FILE, Stack, load

MARKER = "LAB_SUPERVISOR"


def marker_of(pid: int, started: float) -> dict[str, str]:
    """The environment variable that says which supervisor a process belongs to."""
    return {MARKER: f"{pid}@{started:.2f}"}


def clean(home: Path) -> str:
    """Remove what a killed lab left in this folder, processes included; call with the lock held.

    Returns:
        One line that says what was cleaned; empty if there was nothing.
    """
    path = home / STATE_FILE
    if not path.exists():
        return ""
    stack = load(home)
    killed = kill_all(_left_over(stack)) if stack else []
    if stack:
        flower.remove_socket(stack.flower_socket)
    path.unlink(missing_ok=True)
    whose = f"of supervisor {stack.pid}, which was killed" if stack else "that could not be read"
    processes = f", killed {len(killed)} processes it left behind" if killed else ""
    return f"cleaned up: removed the state {whose}{processes}"


def _left_over(stack: Stack) -> list[psutil.Process]:
    """Recorded services that live on, and whatever carries the dead supervisor's mark."""
    recorded = {
        status.pid
        for status in stack.services.values()
        if status.pid and status.created and is_alive(status.pid, status.created)
    }
    [(name, value)] = marker_of(stack.pid, stack.started).items()
    found = {process.pid: process for process in marked(name, value)}
    found |= {pid: psutil.Process(pid) for pid in recorded if psutil.pid_exists(pid)}
    ours = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    return [process for pid, process in found.items() if pid not in ours]
