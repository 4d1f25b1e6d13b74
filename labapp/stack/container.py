"""One service of the lab in a container: ``lab container NAME`` is the image's entry point.

In compose there is no supervisor: each service is a container of its own, and docker-compose.yml
says which.  What they share is the project's folder, mounted at /lab, and a folder for what is kept
(/state): the secrets, which the first start makes, and the broker's configuration and data.

Used by ``labapp.cli`` and the Dockerfile; may depend on the rest of ``labapp.stack``.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from labapp.errors import LabError
from labapp.stack import flower, jupyter, profiles
from labapp.stack.announce import when_it_answers
from labapp.stack.broker import Binary, configure
from labapp.stack.home import PACKAGE_ROOT, make_private, write_private
from labapp.stack.services import SHOP_FOLDER
from labapp.stack.space import require_space
from labapp.stack.state import DATABASE, RABBITMQ, described_by

PROJECT, STATE = Path("/lab"), Path("/state")
"""Where compose mounts the project and what is kept."""
RUN = Path("/run/lab")
"""Where Flower's socket is: a volume that only Flower and JupyterLab share."""
STAMP = Path(sys.prefix) / "built-from"
"""What the image was built from: the `stamps` of that project."""
REDIS, WORLD, WORKER, LAB = "redis", "world", "worker", "lab"
"""Names of the services, by which they find each other."""
REDIS_PORT, WORLD_PORT, MAIL_PORT, NODE_PORT, JUPYTER_PORT = 6379, 7001, 7025, 7000, 8888
ANYWHERE = "0.0.0.0"  # noqa: S104  on the networks of the stack; compose publishes one port only
FILE = "secrets.env"
SECRETS = ("LAB_CONTROL_TOKEN", "LAB_BROKER_PASSWORD", "LAB_JUPYTER_TOKEN", "LAB_FLOWER_PASSWORD")
"""What the lab's own services need; `profiles` has names of its own."""
ROOM = 50_000_000
"""Bytes that the kept folder must have free."""
PRUNE = "`docker system prune` removes what no container uses"


def main(name: str) -> None:
    """Become this service; returns only for ``init``.

    Raises:
        LabError: it cannot start; the message says why.
    """
    if name == "init":
        prepare()
        return
    if name not in SERVICES:
        raise LabError(f"there is no service {name!r}", hint=f"one of: init, {', '.join(SERVICES)}")
    require_same_version(PROJECT, STAMP)
    found = read_secrets(STATE)
    command, more = SERVICES[name](found)
    environment = {k: v for k, v in os.environ.items() if k not in SECRETS}
    os.execvpe(command[0], command, environment | shared(found) | more)  # noqa: S606  no shell


# The first start


def prepare() -> None:
    """Make the secrets and the broker's configuration, where they are not there yet.

    Raises:
        LabError: the folder is another user's, or the disk is full.
    """
    require_own(PROJECT)
    require_space(STATE, ROOM, shown="compose/state", hint=PRUNE)
    require_same_version(PROJECT, STAMP)
    found = complete_secrets(STATE)
    binary = Binary(Path("redis-server"), "Redis", "8", "compose")
    configure(STATE, binary, REDIS_PORT, found["LAB_BROKER_PASSWORD"], host=ANYWHERE)
    profiles.configure(STATE, found, f"{REDIS}:{REDIS_PORT}", f"{LAB}:{JUPYTER_PORT}")
    print("lab: secrets and configuration are there")


def complete_secrets(state: Path) -> dict[str, str]:
    """Name → value of all secrets; those that an earlier version did not have are made now."""
    found = _lines(state)
    names = (*SECRETS, *profiles.SECRETS)
    new = {name: secrets.token_hex(24) for name in names} | profiles.kept(state)
    if missing := {name: new[name] for name in names if not found.get(name)}:
        found |= missing
        write_private(state / FILE, "".join(f"{name}={found[name]}\n" for name in found))
    return found


def require_own(project: Path) -> None:
    """Raises LabError where this process's user may not write the project: the host's has another
    uid."""
    if os.access(project, os.W_OK):
        return
    owner = project.stat()
    raise LabError(
        f"the project's folder belongs to uid {owner.st_uid}, and the lab runs as {os.getuid()}",
        hint=f"printf 'LAB_UID={owner.st_uid}\\nLAB_GID={owner.st_gid}\\n' >> .env, then again",
    )


def read_secrets(state: Path) -> dict[str, str]:
    """Name → value.

    Raises:
        LabError: there is no such file, or it lacks one.
    """
    found = _lines(state)
    if missing := [name for name in SECRETS if not found.get(name)]:
        raise LabError(
            f"compose/state/secrets.env lacks {', '.join(missing)}",
            hint="`docker compose up`: the service `init` makes what is missing",
        )
    return {name: found[name] for name in SECRETS}


def _lines(state: Path) -> dict[str, str]:
    try:
        lines = (state / FILE).read_text().splitlines()
    except OSError:
        return {}
    return dict(line.partition("=")[::2] for line in lines if "=" in line)


# One version


def stamps(project: Path) -> tuple[str, str]:
    """What decides whether an image fits a project: its lock, and its sources of labapp."""
    return (
        fingerprint(project, [project / "requirements.lock"]),
        fingerprint(project, sorted((project / "labapp").rglob("*.py"))),
    )


def fingerprint(folder: Path, files: Iterable[Path]) -> str:
    """One line that changes with the names and the contents of these files."""
    found = hashlib.sha256()
    for path in files:
        found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def require_same_version(project: Path, stamp: Path) -> None:
    """Raises LabError where the image was built from other sources or another lock than the
    project's.

    Where labapp runs from the project itself (docker-compose.override.example.yml), only the lock
    counts."""
    counts = 1 if project == PACKAGE_ROOT else None
    built = stamp.read_text().split() if stamp.exists() else []
    if tuple(built[:counts]) == stamps(project)[:counts]:
        return
    other = "requirements.lock" if counts else "version of the project"
    raise LabError(
        f"this image was built from another {other}",
        hint="`docker compose build`, then `docker compose up`",
    )


# The services


def shared(found: Mapping[str, str]) -> dict[str, str]:
    """What every service is told of the others."""
    broker = f"redis://:{found['LAB_BROKER_PASSWORD']}@{REDIS}:{REDIS_PORT}"
    return {
        "LAB_CONTROL_TOKEN": found["LAB_CONTROL_TOKEN"],
        "LAB_BROKER_URL": broker,
        "LAB_WORLD_URL": f"http://{WORLD}:{WORLD_PORT}",
        "LAB_MAIL_URL": f"smtp://{WORLD}:{MAIL_PORT}",
        "LAB_NODE_URLS": f"http://{WORKER}:{NODE_PORT}",
        "LAB_SHARED_FOLDER": str(STATE / "shared"),
    }


Told = tuple[tuple[str, ...], dict[str, str]]
"""A command, and what its environment has beside `shared`."""


def _world(_: Mapping[str, str]) -> Told:
    ports = ("--port", str(WORLD_PORT), "--smtp-port", str(MAIL_PORT))
    history = make_private(STATE / "world") / "effects.jsonl"
    return ("lab", "world", "--host", ANYWHERE, *ports, "--history", str(history)), {}


def _node(_: Mapping[str, str]) -> Told:
    where = ("--host", ANYWHERE, "--port", str(NODE_PORT), "--logs", "/tmp/workers")  # noqa: S108
    live = ("--default-app", "shop", "--default-path", str(PROJECT / SHOP_FOLDER))
    return ("lab", "node", *where, *live), {}


def _flower(found: Mapping[str, str]) -> Told:
    socket = RUN / "flower.sock"
    socket.unlink(missing_ok=True)  # of a container that was killed
    database = f"{shared(found)['LAB_BROKER_URL']}/0"
    return flower.command(str(socket)), flower.environment(database, found["LAB_FLOWER_PASSWORD"])


def _lab(found: Mapping[str, str]) -> Told:
    home, address = make_private(STATE / "lab"), jupyter_address(found)
    told = jupyter.environment(home, found["LAB_JUPYTER_TOKEN"])
    password, icon = found["LAB_FLOWER_PASSWORD"], home / "jupyter" / "flower.svg"
    jupyter.configure(home, flower.proxied(str(RUN / "flower.sock"), password, icon))
    stack = described_by(shared(found))
    when_it_answers(f"http://127.0.0.1:{JUPYTER_PORT}/api", f"lab: open {address}")
    return (
        jupyter.command(PROJECT, JUPYTER_PORT, ANYWHERE),
        {**told, "LAB_JUPYTER_URL": address, **stack.live_environment(), **servers()},
    )


def servers() -> dict[str, str]:
    """Where PostgreSQL and RabbitMQ are when their profiles are on; a worker is told by whoever
    starts it."""
    found = _lines(STATE)
    urls = {
        DATABASE: (profiles.POSTGRES, profiles.database_url),
        RABBITMQ: (profiles.RABBITMQ, profiles.rabbitmq_url),
    }
    return {name: url(found[secret]) for name, (secret, url) in urls.items() if found.get(secret)}


def jupyter_address(found: Mapping[str, str]) -> str:
    """The address to open, at the port of the host where compose publishes JupyterLab."""
    port = int(os.environ.get("LAB_PORT") or JUPYTER_PORT)
    return jupyter.address(port, found["LAB_JUPYTER_TOKEN"])


def described() -> dict[str, str]:
    """What `shared` tells every service, for a program that is started beside one; where the
    secrets may be read, that is all of it."""
    found = read_secrets(STATE)
    return shared(found) | {"LAB_JUPYTER_URL": jupyter_address(found)} | servers()


SERVICES: dict[str, Callable[[Mapping[str, str]], Told]] = {
    "world": _world,
    "node": _node,
    "flower": _flower,
    "lab": _lab,
}
"""Service → how its command and its environment are made."""


if __name__ == "__main__":  # the Dockerfile's: --stamp FOLDER FILE
    _, folder, file = sys.argv[1:]
    Path(file).write_text("\n".join(stamps(Path(folder))) + "\n")
