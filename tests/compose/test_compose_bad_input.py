"""What may be wrong on the way to a stack of containers: one clear line each."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from compose_bench import UID, Compose, copy_of_the_project, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="other")
def _other(compose: Compose, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """A second copy of the project, with the image that is built already."""
    made = Compose(copy_of_the_project(tmp_path_factory.mktemp("other")), "lab-gone-wrong")
    yield made
    made.close()


def said_by(compose: Compose, service: str) -> list[str]:
    """What the container of a service printed; `docker compose logs` adds codes for a terminal."""
    (container,) = compose.containers(service)
    done = run(["docker", "logs", container["Id"]], compose.folder)
    return [line.strip() for line in (done.stdout + done.stderr).splitlines()]


def test_a_port_that_is_taken(other: Compose) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = other("up", "--detach", "--wait", LAB_PORT=str(port))
    assert done.returncode != 0
    assert f"127.0.0.1:{port}" in done.stderr
    assert "already in use" in done.stderr


def test_an_image_of_another_version(other: Compose) -> None:
    with (other.folder / "labapp" / "errors.py").open("a") as file:
        file.write("# newer\n")
    done = other("up", "--detach", "--wait")
    assert done.returncode != 0
    assert said_by(other, "init") == [
        "lab: this image was built from another version of the project",
        "`docker compose build`, then `docker compose up`",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_project_of_another_user(other: Compose) -> None:
    done = other("up", "--detach", "--wait", LAB_UID="1500", LAB_GID="1500")
    assert done.returncode != 0
    assert said_by(other, "init") == [
        f"lab: the project's folder belongs to uid {UID}, and the lab runs as 1500",
        f"printf 'LAB_UID={UID}\\nLAB_GID={UID}\\n' >> .env, then again",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk(other: Compose) -> None:
    state = other.folder / "compose" / "state"
    kept = [path.name for path in state.iterdir() if path.is_dir()]
    owner = f"uid={UID},gid={UID}"
    run(["mount", "-t", "tmpfs", "-o", f"size=4m,{owner}", "tmpfs", str(state)], other.folder)
    try:
        for name in kept:
            (state / name).mkdir()
        done = other("up", "--detach", "--wait")
        assert done.returncode != 0
        said = said_by(other, "init")
        assert len(said) == 2
        assert said[0].startswith("lab: the disk is full: ")
        assert "compose/state" in said[0]
    finally:
        other("down")
        run(["umount", str(state)], other.folder)


def test_a_service_without_the_secrets(other: Compose) -> None:
    done = other("run", "--rm", "--no-deps", "--no-TTY", "world")
    assert done.returncode == 2
    assert "lab: compose/state/secrets.env lacks LAB_CONTROL_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_is_not_there(other: Compose) -> None:
    done = other("run", "--rm", "--no-deps", "--no-TTY", "world", "barista")
    assert done.returncode == 2
    assert "lab: there is no service 'barista'" in done.stderr
