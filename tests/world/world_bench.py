"""What the world's tests work with: a scope, and a world that can be killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from labapp.stack.ports import Port
from labapp.stack.testing import environment, wait_until
from labapp.world.client import Reading, WorldClient

TOKEN = "the-token-of-this-test"
PATIENCE = 30.0
"""Seconds that anything here may take on an overloaded machine."""


class WorldProcess:
    """The world as a process that can be killed and started again on the same ports and journal.

    ``tweak`` is Python that runs in it first, to make a limit small enough for a test."""

    def __init__(self, folder: Path, tweak: str = "") -> None:
        self.folder = folder
        self.journal = folder / "effects.jsonl"
        self.log = folder / "world.log"
        self.port = Port()
        self.url = self.port.url
        self.smtp_port = Port()
        self.mail_url = f"smtp://127.0.0.1:{self.smtp_port.number}"
        self._program = f"{tweak}\nfrom labapp.cli import main\nmain()"
        self.start()

    def start(self) -> None:
        ports = ("--port", str(self.port.number), "--smtp-port", str(self.smtp_port.number))
        arguments = ("world", *ports, "--history", str(self.journal))
        env = environment(self.journal.parent, LAB_CONTROL_TOKEN=TOKEN)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self._program, *arguments], env=env, stdout=log, stderr=log
            )
        wait_until(self.healthy, "the world to answer", PATIENCE, self.log)

    def healthy(self) -> bool:
        assert self.process.poll() is None, f"the world exited: {self.log.read_text()}"
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def close(self) -> None:
        self.kill()
        self.port.release()
        self.smtp_port.release()


class Scope:
    """One scope of the world: the partner's address as a task has it, and the lab's client."""

    def __init__(self, control: WorldClient, pool: ThreadPoolExecutor) -> None:
        self.control = control
        self._pool = pool

    def charge(self, order: str, timeout: float = PATIENCE, **headers: str) -> httpx.Response:
        """Charge as task code does; waits for the answer."""
        return self.post(timeout, json={"order": order}, headers=dashed(headers))

    def post(self, timeout: float = PATIENCE, **request: Any) -> httpx.Response:
        url = f"{self.control.partner_url}/charges"
        return httpx.post(url, timeout=timeout, trust_env=False, **request)

    def put(self, name: str, content: Any, timeout: float = PATIENCE) -> httpx.Response:
        """Store a file as task code does; waits for the answer."""
        url = f"{self.control.partner_url}/files/{name}"
        return httpx.put(url, content=content, timeout=timeout, trust_env=False)

    def move(self, name: str, **headers: str) -> httpx.Response:
        """Give a file another name."""
        url = f"{self.control.partner_url}/files/{name}"
        return httpx.request("MOVE", url, headers=headers, trust_env=False)

    def get(self, name: str) -> httpx.Response:
        """Read a file."""
        return httpx.get(f"{self.control.partner_url}/files/{name}", trust_env=False)

    def background(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Do something while the test looks on."""
        return self._pool.submit(work, *arguments)

    def charging(self, order: str, timeout: float = PATIENCE, **headers: str) -> Future[Any]:
        """Charge in the background."""
        return self._pool.submit(self.charge, order, timeout, **headers)

    def held(self, count: int) -> Reading:
        """The reading as soon as this many requests are held."""
        reading = self.control.wait(held=count, timeout=PATIENCE)
        assert len(reading.held) == count, f"waited for {count} held requests: {reading}"
        return reading

    def quiet(self) -> Reading:
        """The reading as soon as no request is open."""
        reading = self.control.wait(quiet=True, timeout=PATIENCE)
        assert reading.open == 0, f"waited until no request is open: {reading}"
        return reading

    def effects(self) -> list[str]:
        return self.control.read().keys("effect")


def dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


MakeScope = Callable[..., Scope]


def let_go(scope: Scope) -> None:
    try:
        scope.control.arm([])
        scope.control.drop()
    finally:
        scope.control.close()
