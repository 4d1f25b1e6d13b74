"""The lab in VS Code and Codespaces, as far as can be had here: each command is run for real."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from compose_bench import ROOT, copy_of_the_project
from docker_bench import docker, remove, remove_image
from jupyter_bench import first_experiment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "lab-devcontainer-under-test"
FOLDER = ROOT / ".devcontainer"
WORKSPACE = "/workspaces/lab"
UID = 1000 if os.geteuid() == 0 else os.geteuid()
"""Whose files the project is; an editor gives the container's user the uid of the host's."""
ADDRESS = re.compile(
    r"lab: open http://127\.0\.0\.1:(\d+)/lab/tree/\S+\?token=([0-9a-f]+)$", re.MULTILINE
)


def settings() -> dict[str, Any]:
    """devcontainer.json, without its comments; they have lines of their own."""
    lines = (FOLDER / "devcontainer.json").read_text().splitlines()
    kept = [line for line in lines if not line.lstrip().startswith("//")]
    found: dict[str, Any] = json.loads("\n".join(kept))
    return found


def inside(command: str, timeout: float = 300.0) -> str:
    """A command as the editor runs it: by the shell, in the project's folder."""
    as_user = ("--user", f"{UID}:{UID}", "--workdir", WORKSPACE)
    return docker("exec", *as_user, NAME, "/bin/sh", "-c", command, timeout=timeout)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, of the container's user."""
    return copy_of_the_project(tmp_path_factory.mktemp("devcontainer"), UID)


@pytest.fixture(scope="module", autouse=True)
def _container(engine: None, project: Path) -> Iterator[None]:
    """The container, set up and started as devcontainer.json says."""
    build = settings()["build"]
    arguments = [word for name, value in build["args"].items() for word in _argument(name, value)]
    recipe = str(FOLDER / build["dockerfile"])
    docker("build", "--tag", NAME, *arguments, "--file", recipe, str(FOLDER), timeout=900)
    first = ("--init",) if settings()["init"] else ()
    mounted = ("--volume", f"{project}:{WORKSPACE}")
    try:
        docker("run", "--detach", *first, "--name", NAME, *mounted, NAME, "sleep", "infinity")
        inside(settings()["postCreateCommand"], timeout=900)
        inside(settings()["postStartCommand"])
        yield
    finally:
        remove(NAME)
        remove_image(NAME)


def _argument(name: str, value: str) -> tuple[str, str]:
    return "--build-arg", f"{name}={os.environ.get(name, value)}"


def attach() -> tuple[int, str]:
    """Port and token of the address that the editor's terminal shows."""
    found = ADDRESS.search(inside(settings()["postAttachCommand"]))
    assert found is not None
    return int(found[1]), found[2]


def first_verdict(host: str) -> str:
    """The first experiment of notebook 00 in this JupyterLab, asked by way of a proxy."""
    port, token = attach()
    bench = "tests/compose/jupyter_bench.py"
    address = f"http://127.0.0.1:{port}/"
    return inside(f".venv/bin/python {bench} {address} {token} {host}").rstrip("\n")


def test_the_user_is_not_root() -> None:
    assert settings()["remoteUser"] == "learner"
    image = json.loads(docker("image", "inspect", NAME))[0]
    assert image["Config"]["User"] == "learner"


def test_the_port_that_is_forwarded_is_jupyterlabs() -> None:
    port, _ = attach()
    assert settings()["forwardPorts"] == [port]
    assert list(settings()["portsAttributes"]) == [str(port)]


def test_every_service_runs() -> None:
    status = json.loads(inside(".venv/bin/lab status --json"))
    states = {name: service["state"] for name, service in status["services"].items()}
    assert states == dict.fromkeys(("broker", "world", "node", "flower", "jupyter"), "running")
    assert status["broker"]["source"] == "wheel"


def test_the_first_experiment_through_a_forwarded_port() -> None:
    """A forwarding proxy speaks to localhost, and says so in Host and Origin."""
    _, stored = first_experiment(ROOT)
    assert first_verdict("localhost:8888") == stored


def test_no_other_site_may_ask() -> None:
    """One that gets a browser to ask, under its own name."""
    with pytest.raises(AssertionError, match="Forbidden"):
        first_verdict("elsewhere.example")


def test_it_runs_again_after_a_stop_of_the_container() -> None:
    """As a codespace does that was away: processes are gone, files are not."""
    docker("restart", "--time", "2", NAME)
    inside(settings()["postStartCommand"])
    attach()


def test_down_ends_all_of_it() -> None:
    assert "lab: stopped in" in inside(".venv/bin/lab down")
    left = docker("top", NAME, "-eo", "pid,args").splitlines()[1:]
    assert [line for line in left if "labapp" in line or "valkey" in line] == []
