"""stack.json and the ways to find a stack."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from labapp.errors import LabError
from labapp.stack.processes import creation_time
from labapp.stack.state import (
    Broker,
    ServiceStatus,
    Stack,
    find_stack,
    from_environment,
    from_json,
    save,
)

COMPOSE = {
    "LAB_BROKER_URL": "redis://:p%40ss@redis:6379",
    "LAB_WORLD_URL": "http://world:8000",
    "LAB_NODE_URLS": "http://node-1:8001, http://node-2:8001",
    "LAB_CONTROL_TOKEN": "token",
}


@pytest.fixture
def example() -> Stack:
    """A stack whose supervisor is this test."""
    return Stack(
        pid=os.getpid(),
        started=creation_time(os.getpid()),
        broker=Broker("127.0.0.1", 6379, "p@ss", "Valkey", "9.1.2", "wheel"),
        world_url="http://127.0.0.1:8000",
        node_urls=("http://127.0.0.1:8001",),
        control_token="token",
        services={"broker": ServiceStatus(7, "running", 1, 12.5)},
    )


@pytest.fixture(autouse=True)
def _no_other_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*COMPOSE, "LAB_HOME"]:
        monkeypatch.delenv(name, raising=False)


def test_the_file_holds_all_of_it(example: Stack) -> None:
    assert from_json(example.to_json()) == example


def test_a_password_is_quoted_in_the_url_and_absent_from_the_repr(example: Stack) -> None:
    assert example.broker_url(3) == "redis://:p%40ss@127.0.0.1:6379/3"
    assert "p@ss" not in repr(example)
    assert "token=" not in repr(example)


def test_it_is_found_from_a_folder_below(example: Stack, tmp_path: Path) -> None:
    (tmp_path / ".lab").mkdir()
    save(tmp_path / ".lab", example)
    below = tmp_path / "notebooks" / "deep"
    below.mkdir(parents=True)
    assert find_stack(below) == example


def test_it_is_found_by_lab_home(
    example: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, example)
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    assert find_stack(Path("/")) == example


def test_a_dead_supervisor_is_no_lab(example: Stack, tmp_path: Path) -> None:
    (tmp_path / ".lab").mkdir()
    save(tmp_path / ".lab", replace(example, started=1.0))
    with pytest.raises(LabError, match="no lab is running here") as caught:
        find_stack(tmp_path)
    assert caught.value.hint == "start it with `make lab` (or `lab up`)"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}'])
def test_an_unreadable_file_is_no_lab(tmp_path: Path, text: str) -> None:
    (tmp_path / ".lab").mkdir()
    (tmp_path / ".lab" / "stack.json").write_text(text)
    with pytest.raises(LabError, match="no lab is running here"):
        find_stack(tmp_path)


def test_compose_describes_it_by_environment() -> None:
    stack = from_environment(COMPOSE)
    assert stack is not None
    assert stack.broker_url(0) == "redis://:p%40ss@redis:6379/0"
    assert stack.node_urls == ("http://node-1:8001", "http://node-2:8001")
    assert stack.is_supervised_alive


def test_half_an_environment_is_an_error() -> None:
    half = {name: COMPOSE[name] for name in ("LAB_BROKER_URL", "LAB_WORLD_URL")}
    with pytest.raises(LabError, match="LAB_NODE_URLS, LAB_CONTROL_TOKEN missing"):
        from_environment(half)
