"""For the stack's tests: labs in folders of their own, started and stopped as people do."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from labapp.stack.state import Stack, load
from labapp.stack.testing import LAB, environment, wait_until

GONE_SECONDS = 5.0
BROKER = os.environ.get("LAB_BROKER", "wheel")  # CI runs these tests on both


class Lab:
    """The `lab` command in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / ".lab"
        self.env = environment(self.home, LAB_BROKER=BROKER)
        folder.mkdir(exist_ok=True)

    def __call__(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.run(*LAB, *arguments, **env)

    def run(
        self, *program: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run any program to its end, in the lab's folder or another, with the lab's variables."""
        return subprocess.run(
            program,
            cwd=cwd or self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def foreground(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on; the test ends it."""
        return subprocess.Popen(
            [*LAB, *arguments],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def up(self, *arguments: str) -> Stack:
        """`lab up --detach --headless`, unless other arguments are given."""
        done = self("up", "--detach", *(arguments or ("--headless",)))
        assert done.returncode == 0, done.stdout + done.stderr
        return self.state()

    def state(self) -> Stack:
        """What stack.json says."""
        stack = load(self.home)
        assert stack is not None, "there is no readable stack.json"
        return stack

    def family(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        supervisor = psutil.Process(self.state().pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def wait_restarted(self, name: str, former: int | None) -> int:
        """The new pid of a service as soon as it runs again."""

        def again() -> bool:
            service = self.state().services[name]
            return service.state == "running" and service.pid not in (None, former)

        wait_until(again, f"{name} to run again", 15, self.home / "logs" / f"{name}.log")
        pid = self.state().services[name].pid
        assert pid is not None
        return pid


def names_of_living(processes: list[psutil.Process]) -> list[str]:
    """Those that are there. A zombie is not: a detached supervisor is for init to reap."""
    return [str(process) for process in processes if _is_living(process)]


def _is_living(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def assert_gone(processes: list[psutil.Process]) -> None:
    """All of them end within five seconds."""
    awaited = f"the end of {[process.pid for process in processes]}"
    wait_until(lambda: not names_of_living(processes), awaited, GONE_SECONDS)


@pytest.fixture
def living() -> Callable[[list[psutil.Process]], list[str]]:
    """`living(processes)`: those that are still there."""
    return names_of_living


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Makes labs in folders of their own, and stops them at the end."""
    with ExitStack() as at_end:

        def make(name: str = "lab") -> Lab:
            lab = Lab(tmp_path / name)
            at_end.callback(lab, "down")
            return lab

        yield make


@pytest.fixture
def lab(labs: Callable[..., Lab]) -> Lab:
    """A lab that is not started yet."""
    return labs()


@pytest.fixture
def gone() -> Callable[[list[psutil.Process]], None]:
    """`gone(processes)`: assert that they end within five seconds."""
    return assert_gone


@pytest.fixture
def kill() -> Callable[[int | None], None]:
    """`kill(pid)`: kill -9."""

    def kill_it(pid: int | None) -> None:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    return kill_it
