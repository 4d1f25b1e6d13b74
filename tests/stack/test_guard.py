"""Nothing survives its owner: what a guard kills, and what it passes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from labapp.stack.service import Guarded
from labapp.stack.testing import wait_until

Gone = Callable[[list[psutil.Process]], None]

# Starts a child, and a grandchild that daemonises itself; writes all pids to a file and stays.
FAMILY = """
import os, subprocess, sys, time
def note(pid):
    with open(sys.argv[1], "a") as file:
        file.write(f"{pid}\\n")
sleeper = [sys.executable, "-c", "import time; time.sleep(1000)"]
note(os.getpid())
note(subprocess.Popen(sleeper).pid)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note(os.getpid())
        time.sleep(1000)
    os._exit(0)
os.wait()
with open(sys.argv[1], "a") as file:
    file.write("ready\\n")
if "--leave" in sys.argv:
    sys.exit(7)
if "--deaf" in sys.argv:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(0)
time.sleep(1000)
"""

OWNER = """
import os, sys, time
from pathlib import Path
from labapp.stack.service import Guarded
here = Path(sys.argv[1])
command = (sys.executable, "-c", sys.argv[2], str(here / "pids"))
kept = Guarded(command, here / "log", os.environ, here)
time.sleep(1000)
"""


class Family:
    """A guarded command with offspring that tries to get away."""

    def __init__(self, tmp_path: Path, *arguments: str) -> None:
        self.pids = tmp_path / "pids"
        self.pids.touch()
        command = (sys.executable, "-c", FAMILY, str(self.pids), *arguments)
        self.guarded = Guarded(command, tmp_path / "log", os.environ, tmp_path)

    def lines(self) -> list[str]:
        return self.pids.read_text().split()

    def members(self, count: int = 4) -> list[psutil.Process]:
        """All of them, as soon as they have said that they are there."""
        wait_until(lambda: len(self.lines()) >= count, "the family to be complete")
        pids = [int(line) for line in self.lines() if line not in ("ready", "0")]
        return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


def test_end_of_file_from_the_owner_kills_all(tmp_path: Path, gone: Gone) -> None:
    family = Family(tmp_path)
    members = family.members()
    assert len(members) == 3
    family.guarded.close()
    gone(members)


def test_kill_9_of_the_owner_kills_all(tmp_path: Path, gone: Gone) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path), FAMILY])
    family = Family.__new__(Family)
    family.pids = tmp_path / "pids"
    wait_until(family.pids.exists, "the family to begin")
    members = family.members()
    guard = members[0].parent()
    assert guard is not None
    owner.kill()
    owner.wait()
    gone([guard, *members])


def test_the_end_of_the_service_ends_what_it_left_behind(tmp_path: Path, gone: Gone) -> None:
    family = Family(tmp_path, "--leave")
    assert family.guarded.wait(10) == 7
    gone(family.members())
    family.guarded.close()


def test_kill_9_of_the_guard_kills_the_service(tmp_path: Path) -> None:
    guarded = Guarded(("sleep", "1000"), tmp_path / "log", os.environ, tmp_path)
    wait_until(guarded.read_pid_if_new, "the service's pid")
    assert guarded.pid is not None
    service = psutil.Process(guarded.pid)
    os.kill(guarded.guard_pid, signal.SIGKILL)
    guarded.close()
    wait_until(lambda: not service.is_running() or service.status() == "zombie", "its end", 5)


def test_sigterm_is_passed_on(tmp_path: Path) -> None:
    guarded = Guarded(("sleep", "1000"), tmp_path / "log", os.environ, tmp_path)
    wait_until(guarded.read_pid_if_new, "the service's pid")
    guarded.terminate()
    assert guarded.wait(5) == 128 + signal.SIGTERM
    guarded.close()


def test_a_stopped_service_can_be_terminated(tmp_path: Path) -> None:
    guarded = Guarded(("sleep", "1000"), tmp_path / "log", os.environ, tmp_path)
    wait_until(guarded.read_pid_if_new, "the service's pid")
    assert guarded.pid is not None
    os.kill(guarded.pid, signal.SIGSTOP)
    guarded.terminate()
    assert guarded.wait(5) == 128 + signal.SIGTERM
    guarded.close()


def test_a_service_deaf_to_sigterm_is_killed_after_the_deadline(
    tmp_path: Path, gone: Gone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labapp.stack.service.STOP_SECONDS", 0.3)
    family = Family(tmp_path, "--deaf")
    members = family.members(count=5)
    family.guarded.terminate()
    assert family.guarded.wait(5) == 128 + signal.SIGKILL
    gone(members)
    family.guarded.close()


def test_a_command_that_is_not_there_is_told_in_the_log(tmp_path: Path) -> None:
    guarded = Guarded(("/nowhere/program",), tmp_path / "log", os.environ, tmp_path)
    assert guarded.wait(5) == 127
    guarded.close()
    assert "cannot start /nowhere/program: No such file" in (tmp_path / "log").read_text()


def test_the_guard_leaves_no_zombies(tmp_path: Path) -> None:
    many = "for i in 1 2 3 4 5; do (sleep 0.01 &) ; done; exec sleep 1000"
    guarded = Guarded(("sh", "-c", many), tmp_path / "log", os.environ, tmp_path)
    wait_until(guarded.read_pid_if_new, "the service's pid")
    guard = psutil.Process(guarded.guard_pid)
    wait_until(lambda: [p.pid for p in guard.children()] == [guarded.pid], "the reaping")
    guarded.close()
