"""A copy of the project as a compose stack: what the tests of containers work with.

The copy belongs to a uid that is neither root's nor the image's, as a learner's checkout may.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labapp.stack.ports import Port
from labapp.stack.testing import wait_until

ROOT = Path(__file__).parents[2]
UID = 1234
"""Owner of the copy where these tests run as root; otherwise they cannot choose."""
OURS = ("init", "world", "worker", "flower", "lab")
RUNNING = ("redis", "world", "worker", "flower", "lab")
IMAGE = "celery-crash-lab-under-test"
FILES = ("docker-compose.yml", "scripts/boundaries.yml")
PATIENCE = 300.0


class Compose:
    """`docker compose` in one folder, under a project name of its own.

    Args:
        folder: a copy of the project.
        name: the compose project's.
        files: compose files, if not those that Compose finds by itself.
    """

    def __init__(self, folder: Path, name: str, files: Sequence[str] = ()) -> None:
        self.folder = folder
        self.uid = UID if os.geteuid() == 0 else os.geteuid()
        self.port = Port()
        self.env = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": name,
            "LAB_IMAGE": IMAGE,
            "LAB_UID": str(self.uid),
            "LAB_GID": str(self.uid),
            "LAB_PORT": str(self.port.number),
        }
        if files:
            self.env["COMPOSE_FILE"] = os.pathsep.join(files)

    def __call__(
        self, *arguments: str, timeout: float = PATIENCE, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker compose …` to its end."""
        return run(["docker", "compose", *arguments], self.folder, {**self.env, **env}, timeout)

    def must(self, *arguments: str, timeout: float = PATIENCE) -> str:
        """The same, and it must succeed; its standard output."""
        done = self(*arguments, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def inside(self, *command: str, service: str = "lab", **env: str) -> str:
        """Standard output of a command in a service's container; it must succeed."""
        variables = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        return self.must("exec", "-T", *variables, service, *command, timeout=900)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What the engine says of the containers of a service, in order of their numbers."""
        ids = self.must("ps", "--all", "--quiet", service).split()
        told = run(["docker", "inspect", *ids], self.folder, self.env, PATIENCE).stdout
        found: list[dict[str, Any]] = json.loads(told)
        return sorted(found, key=lambda one: str(one["Name"]))

    def secrets(self) -> dict[str, str]:
        """The secrets of this stack."""
        lines = (self.folder / "compose/state/secrets.env").read_text().splitlines()
        return dict(line.partition("=")[::2] for line in lines)

    def start(self) -> None:
        """Build the image and bring the stack up, healthy."""
        self.must("build", timeout=900)
        self.must("up", "--detach", "--wait")

    def close(self) -> None:
        """Take the stack down, with its volumes."""
        self("down", "--volumes", "--remove-orphans", "--timeout", "2")
        self.port.release()


def liberties(container: dict[str, Any], uid: int) -> list[str]:
    """What a container, as the engine describes it, may do and need not."""
    host, user = container["HostConfig"], f"{uid}:{uid}"
    as_should_be = {
        "runs as its user": container["Config"]["User"] == user,
        "reads only": host["ReadonlyRootfs"] is True,
        "no capabilities": host["CapDrop"] == ["ALL"] and not host["CapAdd"],
        "no new ones": host["SecurityOpt"] == ["no-new-privileges:true"],
        "not privileged": host["Privileged"] is False,
        "an init that reaps": host["Init"] is True,
        "a limit of memory": host["Memory"] > 0,
        "a limit of processes": host["PidsLimit"] > 0,
        "no engine": not [m for m in container["Mounts"] if "docker" in m["Destination"]],
    }
    return [f"not so: {what}" for what, is_so in as_should_be.items() if not is_so]


def copy_of_the_project(folder: Path, uid: int = UID) -> Path:
    """A checkout of what is here now, as git sees it, owned by ``uid`` where root runs this."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
    for name in filter(None, listed.stdout.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, uid)
    return folder


def run(
    command: list[str],
    folder: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        command,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def wait_for_health(compose: Compose, service: str) -> None:
    """All containers of this service are healthy."""

    def healthy() -> bool:
        found = compose.containers(service)
        return bool(found) and all(
            one["State"].get("Health", {}).get("Status") == "healthy" for one in found
        )

    wait_until(healthy, f"{service} to be healthy", PATIENCE)
