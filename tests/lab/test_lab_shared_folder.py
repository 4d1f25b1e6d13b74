"""A folder in which tasks write and a notebook reads, wherever the workers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, WorkerSettings
from labapp.lab.session import Session
from labapp.stack.state import Stack, from_environment
from labapp.stack.testing import headless_stack

NOTES = """
import os
from pathlib import Path

import httpx
from celery import Celery

app = Celery("notes")

@app.task
def charge(order):
    Path(os.environ["NOTES"], order).touch()
    httpx.post(os.environ["PARTNER_URL"] + "/charges", json={"order": order}).raise_for_status()
"""


def test_what_a_task_writes_there_is_read_here_and_goes_with_the_session(
    stack: Stack, module_in: Callable[..., Module], tmp_path: Path
) -> None:
    with Session(replace(stack, shared_folder=str(tmp_path))) as session:
        folder = session.shared_folder()
        assert folder.parent == tmp_path
        assert session.shared_folder() == folder
        settings = WorkerSettings(env={"NOTES": str(folder)})
        run = conduct(session, Plan(module_in(NOTES), "answer.charge", [("order-1",)], settings))
        assert run.verdict.exactly_once
        assert [path.name for path in folder.iterdir()] == ["order-1"]
    assert not folder.exists()


def test_it_is_in_the_labs_own_folder_where_all_is_on_one_machine(session: Session) -> None:
    one = session.shared_folder()
    assert one.parent == Path(session.stack.shared_folder)
    assert one.parent.name == "shared"
    assert list(one.iterdir()) == []
    assert one.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_kernel_has_left_goes_with_the_lab(tmp_path: Path) -> None:
    home = tmp_path / ".lab"
    left = home / "shared" / "lab-shared-of-before"
    left.mkdir(parents=True)
    with headless_stack(home) as stack:
        assert list(Path(stack.shared_folder).iterdir()) == []


def test_containers_are_told_where_it_is() -> None:
    told = {
        "LAB_BROKER_URL": "redis://r:1",
        "LAB_WORLD_URL": "http://w:2",
        "LAB_NODE_URLS": "http://n:3",
    }
    found = from_environment(
        {**told, "LAB_CONTROL_TOKEN": "t", "LAB_SHARED_FOLDER": "/state/shared"}
    )
    assert found is not None
    assert found.shared_folder == "/state/shared"
