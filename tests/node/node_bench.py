"""What the node's tests work with: a bench (tasks, a scope, a session), and a node to kill."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil

from labapp.lab.publisher import Module
from labapp.lab.session import Session
from labapp.node.client import Nodes, StartedWorker
from labapp.node.workers import WorkerSpec
from labapp.stack.ports import Port
from labapp.stack.service import Guarded
from labapp.stack.state import Stack
from labapp.stack.testing import LAB, environment, wait_until
from labapp.world.client import HeldRequest
from labapp.world.rules import Do, Point, Rule

PATIENCE = 60.0
"""Seconds that anything here may take on an overloaded machine."""
TOKEN = "the-token-of-this-test"

TASKS = '''
import os, subprocess, sys
import httpx
from celery import Celery

app = Celery("work")


@app.task
def charge(order):
    httpx.post(os.environ["PARTNER_URL"] + "/charges", json={"order": order}, timeout=600)


@app.task
def charge_and_leave(order, pids):
    """Start a child in a session of its own, and a daemon that has left the family."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "600"])
        os._exit(0)
    os.wait3(0)  # the one in between
    with open(pids, "w") as file:
        file.write(str(child.pid))
    charge(order)


@app.task
def shout(order):
    print("x" * 1000 + "\\n" + "y" * 5_000_000, flush=True)
    charge(order)
'''


class Bench:
    """Starts workers on a node, sends them tasks, and holds what they ask of the world."""

    def __init__(self, session: Session, folder: Path, nodes: Nodes | None = None) -> None:
        self.session = session
        self.nodes = nodes or session.nodes
        self.folder = folder
        self.world = session.scope()
        self.write(TASKS)

    def write(self, source: str, name: str = "work") -> None:
        """Make a module for workers."""
        (self.folder / f"{name}.py").write_text(source)

    def spec(self, module: str = "work", **changes: Any) -> WorkerSpec:
        env = self.session.environment(self.world.partner_url)
        settings = {
            "name": self.session.worker_name(),
            "env": env,
            "lease": self.session.lease.name,
            **changes,
        }
        return WorkerSpec(module=module, path=str(self.folder), **settings)

    def start(self, module: str = "work", **changes: Any) -> StartedWorker:
        return self.nodes.start(self.spec(module, **changes))

    def send(self, task: str, *arguments: str) -> str:
        publisher = self.session.publisher(Module("work", self.folder))
        return publisher.send(f"work.{task}", [arguments])[0]

    def hold(self, task: str, *arguments: str) -> HeldRequest:
        """Send a task, and hold its charge before it is recorded."""
        self.world.arm([Rule(Point.BEFORE, Do.HOLD, key=arguments[0])])
        self.send(task, *arguments)
        reading = self.world.wait(held=1, timeout=PATIENCE)
        assert reading.held, f"waited for the charge of {arguments[0]} to be held"
        return reading.held[0]

    def state_of(self, name: str) -> str:
        """What the node says of this worker; empty where it knows none."""
        return next((w["state"] for w in self.nodes.workers() if w["name"] == name), "")

    def pid_of(self, name: str) -> int:
        return next((w["pid"] for w in self.nodes.workers() if w["name"] == name), 0)

    def pid_of_node(self) -> int:
        """The node that its workers are children of."""
        worker = self.start()
        try:
            return psutil.Process(worker.pid).ppid()
        finally:
            self.nodes.kill(worker)

    def close(self) -> None:
        self.world.close()


def zombies(node: psutil.Process) -> list[int]:
    return [p.pid for p in node.children(recursive=True) if state(p.pid) == "zombie"]


def state(pid: int) -> str:
    """What the kernel says of a process; ``gone`` where there is none."""
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return "gone"


def family(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


class OwnNode:
    """A node under a guard of its own, which a test may kill."""

    def __init__(self, stack: Stack, folder: Path, *arguments: str, token: str = TOKEN) -> None:
        self.port = Port()
        self.folder = folder
        self.log = folder / "node.log"
        broker = stack.broker_url(0).removesuffix("/0")
        env = environment(
            folder,
            LAB_CONTROL_TOKEN=token,
            LAB_BROKER_URL=broker,
            LAB_WORLD_URL=stack.world_url,
        )
        where = ("--port", str(self.port.number), "--logs", str(folder / "workers"))
        self.guarded = Guarded((*LAB, "node", *where, *arguments), self.log, env, folder)
        self.nodes = Nodes([self.port.url], token)
        wait_until(self._answers, "the node to answer", PATIENCE, self.log)

    def _answers(self) -> bool:
        self.guarded.read_pid_if_new()
        assert self.guarded.exit_code() is None, f"the node ended: {self.log.read_text()}"
        try:
            return bool(self.nodes.workers() is not None and self.guarded.pid)
        except Exception:
            return False

    @property
    def pid(self) -> int:
        assert self.guarded.pid is not None
        return self.guarded.pid

    def close(self) -> None:
        self.nodes.close()
        self.guarded.close()
        self.port.release()


def secrets_in(pid: int, words: list[str]) -> list[str]:
    """Names of the environment variables of a process that carry one of these words."""
    values = psutil.Process(pid).environ().items()
    return [name for name, value in values if any(word in value for word in words)]


def wait_gone(pids: list[int], seconds: float = 5.0) -> None:
    """All of these processes end within ``seconds``."""
    wait_until(
        lambda: all(state(pid) in ("gone", "zombie") for pid in pids), f"the end of {pids}", seconds
    )


def kill(pid: int) -> None:
    os.kill(pid, 9)
