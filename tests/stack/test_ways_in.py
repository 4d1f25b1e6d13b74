"""What the other ways into the lab need of it: live reload, and a lab without JupyterLab."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from labapp.stack import guard, reload
from labapp.stack.ports import Port
from labapp.stack.service import Guarded
from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from conftest import Lab

# Writes its pid and that of a child which leaves its session, then does what the project says.
PROGRAM = """
import os, pathlib, runpy, subprocess, sys, time
left = subprocess.Popen(["sleep", "600"], start_new_session=True)
with open("told", "a") as file:
    file.write(f"{os.getpid()} {left.pid}\\n")
runpy.run_path("labapp/service.py")
"""
GOES_ON = "import time\ntime.sleep(600)\n"


class Reloaded:
    """A program under `reload.py`, in a project that consists of one service."""

    def __init__(self, folder: Path) -> None:
        self.service = folder / "labapp" / "service.py"
        self.told = folder / "told"
        stack = folder / "labapp" / "stack"
        stack.mkdir(parents=True)
        for module in (reload, guard):
            shutil.copy(str(module.__file__), stack)
        self.service.write_text(GOES_ON)
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(stack / "reload.py"), sys.executable, "-c", PROGRAM],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def starts(self) -> list[list[int]]:
        """For each start the program's pid, and its child's."""
        lines = self.told.read_text().splitlines() if self.told.exists() else []
        return [[int(pid) for pid in line.split()] for line in lines]

    def wait_starts(self, count: int) -> list[int]:
        """The pids of the last start as soon as there were so many."""
        wait_until(lambda: len(self.starts()) == count, f"start {count}", 15, self.log)
        return self.starts()[-1]

    def wait_says(self, text: str) -> None:
        """Return as soon as this stands in the log."""
        wait_until(lambda: text in self.log.read_text(), text, 15, self.log)

    def close(self) -> None:
        """End it, and with it all of its family."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def reloaded(tmp_path: Path) -> Iterator[Reloaded]:
    """A program that goes on until its source changes."""
    made = Reloaded(tmp_path)
    yield made
    made.close()


def are_gone(pids: list[int]) -> bool:
    """True if none of these processes is there, zombies aside."""
    return not [pid for pid in pids if psutil.pid_exists(pid) and not is_zombie(pid)]


def is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_changed_source_starts_the_program_again(reloaded: Reloaded) -> None:
    first = reloaded.wait_starts(1)
    reloaded.service.write_text(GOES_ON + "# newer\n")
    second = reloaded.wait_starts(2)
    assert are_gone(first), "nothing is left of the former one, its wayward child included"
    assert not are_gone(second)


def test_a_new_source_and_a_deleted_one_are_changes(reloaded: Reloaded) -> None:
    reloaded.wait_starts(1)
    more = reloaded.service.with_name("more.py")
    more.write_text("")
    reloaded.wait_starts(2)
    more.unlink()
    reloaded.wait_starts(3)


def test_a_mistake_waits_for_the_next_change(reloaded: Reloaded) -> None:
    reloaded.wait_starts(1)
    reloaded.service.write_text("this is no Python\n")
    reloaded.wait_says("ended with exit status 1; waiting for a change of labapp")
    assert "SyntaxError" in reloaded.log.read_text()
    assert len(reloaded.starts()) == 2
    reloaded.service.write_text(GOES_ON)
    reloaded.wait_starts(3)
    assert reloaded.process.poll() is None


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, 128 + signal.SIGKILL), (signal.SIGTERM, 143)]
)
def test_a_program_that_is_killed_is_the_end(
    reloaded: Reloaded, number: signal.Signals, status: int
) -> None:
    pids = reloaded.wait_starts(1)
    os.kill(pids[0], number)
    assert reloaded.process.wait(15) == status
    assert are_gone(pids)


def test_term_ends_the_program_first(reloaded: Reloaded) -> None:
    pids = reloaded.wait_starts(1)
    reloaded.process.terminate()
    assert reloaded.process.wait(15) == 128 + signal.SIGTERM
    assert are_gone(pids)


def test_kill_9_leaves_nothing_either(reloaded: Reloaded) -> None:
    pids = reloaded.wait_starts(1)
    reloaded.process.kill()
    wait_until(lambda: are_gone(pids), "the end of the program", 15)


# A lab beside a JupyterLab that somebody else starts


def test_without_jupyterlab_the_rest_runs(lab: Lab, gone: Callable[..., None]) -> None:
    done = lab("up", "--detach", "--without-jupyterlab", "--base-url", "/user/me")
    assert done.returncode == 0, done.stdout + done.stderr
    stack, family = lab.state(), lab.family()
    assert set(stack.services) == {"broker", "world", "node", "flower"}
    assert (stack.jupyter_url, stack.flower_url) == (None, None)
    assert "in JupyterLab at /user/me/flower/" in done.stdout
    assert "lab: without JupyterLab" in lab("up", "--without-jupyterlab").stdout
    assert lab("down").returncode == 0
    gone(family)
    assert not Path(stack.flower_socket or "").exists()


def test_a_notebook_of_that_jupyterlab_finds_the_lab(lab: Lab) -> None:
    """By the folder .lab above it, and by nothing else."""
    stack = lab.up("--without-jupyterlab")
    notebooks = lab.folder / "notebooks"
    notebooks.mkdir()
    look = "from labapp.stack.state import find_stack; print(find_stack().pid)"
    without = {name: value for name, value in lab.env.items() if name != "LAB_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=notebooks,
        env=without,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(done.stdout) == stack.pid


def test_that_jupyterlab_passes_flower_on(lab: Lab) -> None:
    """A real one with a configuration of its own, told only of the folder that `lab up` wrote."""
    stack = lab.up("--without-jupyterlab", "--base-url", "/user/me/")
    port, base = Port(), "/user/me/"
    options = {
        "ServerApp.port": port.number,
        "ServerApp.port_retries": 0,
        "ServerApp.base_url": base,
        "ServerApp.root_dir": lab.folder,
        "IdentityProvider.token": "secret",
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    command = (sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *given)
    written = {"JUPYTER_CONFIG_PATH": str(lab.home / "jupyter" / "config")}
    env = {**lab.env, "JUPYTER_CONFIG_DIR": str(lab.folder), **written}
    log = lab.folder / "jupyter.log"
    server = Guarded(command, log, env, lab.folder)
    try:
        root = f"http://127.0.0.1:{port.number}{base}"
        with httpx.Client(base_url=root, headers={"Authorization": "token secret"}) as client:
            wait_until(lambda: _status(client, "flower/healthcheck") == 200, "Flower", 60, log)
            assert f'src="{base}flower/static/' in client.get("flower/").text
        assert httpx.get(f"{root}flower/metrics").status_code == 302
    finally:
        server.close()
        port.release()
    assert stack.services["flower"].state == "running"


def _status(client: httpx.Client, path: str) -> int:
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--base-url /user/me/", "lab: --base-url is for --without-jupyterlab only"),
        ("--without-jupyterlab --base-url hub/me", "lab: 'hub/me' is no path below which"),
        ("--without-jupyterlab --base-url /me?a=b", "lab: '/me?a=b' is no path below which"),
    ],
)
def test_a_base_url_that_cannot_be(lab: Lab, arguments: str, told: str) -> None:
    done = lab("up", *arguments.split())
    assert done.returncode == 2
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 2
