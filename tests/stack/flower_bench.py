"""What the tests of Flower work with: its pages by way of JupyterLab, and tasks to be seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import psutil

from labapp.checker.history import Sent
from labapp.faults import Fault, charge_of, kill_worker
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session
from labapp.stack.state import Stack
from labapp.stack.testing import wait_until

SHOP = Module("shop", Path(__file__).parents[2] / "solutions" / "00_start_here")
SEND = "import sys, shop; print(*(shop.charge.delay(key).id for key in sys.argv[1:]))"
SECONDS = 30.0


class _Stay(urllib.request.HTTPRedirectHandler):
    """Shows a redirect as it is."""

    def redirect_request(self, *_: Any) -> None:
        return None


BROWSER = urllib.request.build_opener(_Stay)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Message
    text: str


class Flower:
    """Flower of one stack, through JupyterLab."""

    def __init__(self, stack: Stack) -> None:
        assert stack.flower_url is not None
        url = urlsplit(stack.flower_url)
        self.stack, self.token = stack, url.query.removeprefix("token=")
        self.root = f"http://{url.netloc}{url.path}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """A request without the token; `Sec_Fetch_Site` is the header Sec-Fetch-Site.

        Paths are Flower's; one that begins with a slash is JupyterLab's.
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(urljoin(self.root, path), method=method, headers=named)
        try:
            return _answer(BROWSER.open(request, timeout=SECONDS))
        except urllib.error.HTTPError as error:
            return _answer(error)

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """A request with the token."""
        return self.ask(path, method, Authorization=f"token {self.token}", **headers)

    def tasks(self) -> set[str]:
        """The ids of the tasks that its API knows; none while it is away."""
        answer = self.get("api/tasks")
        return set(json.loads(answer.text)) if answer.status == 200 else set()

    def info(self, task_id: str) -> dict[str, Any]:
        """What it knows of one task."""
        told: dict[str, Any] = json.loads(self.get(f"api/task/info/{task_id}").text)
        return told

    def wait_seen(self, ids: set[str]) -> None:
        """Return as soon as all of these are known."""
        wait_until(lambda: ids <= self.tasks(), f"Flower to see {len(ids)} tasks", SECONDS)

    @property
    def process(self) -> psutil.Process:
        """Its process."""
        return psutil.Process(self.stack.services["flower"].pid)

    @property
    def socket(self) -> Path:
        """Its socket."""
        assert self.stack.flower_socket is not None
        return Path(self.stack.flower_socket)


def _answer(response: HTTPResponse | urllib.error.HTTPError) -> Answer:
    with response:
        return Answer(response.status, response.headers, response.read().decode())


def crash(session: Session, late: bool, fault: Fault | None = None) -> Run:
    """A run of ten orders whose worker is killed at the third and fourth, if nothing else is."""
    plan = Plan(
        SHOP,
        "shop.charge",
        orders(10),
        WorkerSettings(settings={"task_acks_late": late}),
        fault or kill_worker(after=charge_of("order-3"), before=charge_of("order-4")),
        deadline=60.0,
    )
    return conduct(session, plan)


def ids_of(run: Run) -> set[str]:
    """The ids of all tasks that this run sent."""
    return {sent.task_id for sent in run.history.of(Sent)}


def send_by_hand(stack: Stack, *keys: str) -> set[str]:
    """Ids of tasks sent as from a terminal: the shop's own app, and nothing of the lab."""
    database = stack.broker_url(0)
    done = subprocess.run(
        [sys.executable, "-c", SEND, *keys],
        cwd=SHOP.path,
        env={**os.environ, "CELERY_BROKER_URL": database, "CELERY_RESULT_BACKEND": database},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return set(done.stdout.split())
