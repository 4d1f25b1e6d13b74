"""What runs here and where: `stack.json`, and how everyone else finds the stack.

The supervisor writes the file; notebooks, checks and the command line read it through
`find_stack`. In compose there is no supervisor: the same facts come from the environment.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from labapp.errors import LabError
from labapp.stack.home import lab_home, write_private
from labapp.stack.processes import is_alive

STATE_FILE = "stack.json"
VERSION = 1
LIVE = "live"
"""The scope of what is sent by hand, and the worker that runs it."""
ADDRESSES = ("LAB_BROKER_URL", "LAB_WORLD_URL", "LAB_NODE_URLS")
"""Environment variables that say where the services are."""
DATABASE = "LAB_DATABASE_URL"
"""Environment variable that says where a PostgreSQL is, where the stack has one."""
RABBITMQ = "LAB_RABBITMQ_URL"
"""Environment variable that says where a RabbitMQ is, where the stack has one."""
IN_CONTAINER = "LAB_CONTAINER"
"""Environment variable that the image sets."""
NOT_RUNNING = LabError("no lab is running here", hint="start it with `make lab` (or `lab up`)")


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach the broker, and what it is. `source` is env, system, wheel or compose."""

    host: str
    port: int
    password: str = field(repr=False)
    engine: str = ""
    version: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service: its process, and starting, running, restarting, stopped or failed.

    `created` is the process's creation time in epoch seconds, to tell it from a later owner of
    the same pid.
    """

    pid: int | None
    state: str
    restarts: int = 0
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that runs here. `started` is the supervisor's creation time, in epoch seconds."""

    pid: int
    started: float
    broker: Broker
    world_url: str
    node_urls: tuple[str, ...]
    control_token: str = field(repr=False)
    jupyter_url: str | None = field(default=None, repr=False)
    flower_url: str | None = field(default=None, repr=False)
    flower_socket: str | None = None
    mail_url: str = ""
    shared_folder: str = ""
    """Where notebooks and workers both may write; "" for any temporary folder."""
    database_url: str = field(default="", repr=False)
    """SQLAlchemy URL of a PostgreSQL on which each session gets a database; "" for SQLite."""
    services: Mapping[str, ServiceStatus] = field(default_factory=dict)
    version: int = VERSION

    def broker_url(self, db: int) -> str:
        """The Redis URL of one numbered database, password included."""
        password = quote(self.broker.password, safe="")
        login = f":{password}@" if password else ""
        return f"redis://{login}{self.broker.host}:{self.broker.port}/{db}"

    def live_environment(self) -> dict[str, str]:
        """What those are told who send tasks by hand: the live worker runs them."""
        return task_environment(self.broker_url(0), f"{self.world_url}/{LIVE}", self.mail_url)

    @property
    def is_supervised_alive(self) -> bool:
        """True while the supervisor that wrote this is alive (always true in compose)."""
        return self.pid == 0 or is_alive(self.pid, self.started)

    def to_json(self) -> str:
        """The text of stack.json."""
        return json.dumps(asdict(self), indent=2) + "\n"


def task_environment(database: str, partner_url: str, mail_url: str) -> dict[str, str]:
    """What a task, and whoever sends it, is told of broker, backend, partner and mailbox.

    Args:
        database: Redis URL of one database.
        partner_url: the world's URL of one scope.
        mail_url: smtp://HOST:PORT, or "" where there is no mailbox.
    """
    return {
        **broker_environment(database),
        "PARTNER_URL": partner_url,
        "MAIL_URL": mail_login(mail_url, partner_url.rpartition("/")[2]),
    }


def broker_environment(database: str) -> dict[str, str]:
    """What a task is told of its broker and its result backend: one Redis database."""
    return {"CELERY_BROKER_URL": database, "CELERY_RESULT_BACKEND": database}


def mail_login(mail_url: str, scope: str) -> str:
    """The mailbox's address with the login of a scope: its user name, and a password for form.

    Args:
        mail_url: smtp://HOST:PORT, or "" where there is no mailbox.
        scope: of the world.
    """
    return mail_url and mail_url.replace("smtp://", f"smtp://{quote(scope, safe='')}:lab@", 1)


def from_json(text: str) -> Stack:
    """The inverse of `Stack.to_json`.

    Raises:
        ValueError, KeyError, TypeError: the text is not a stack of this version.
    """
    data: dict[str, Any] = json.loads(text)
    if data.pop("version") != VERSION:
        raise ValueError("another version")
    return Stack(
        **data
        | {
            "broker": Broker(**data["broker"]),
            "node_urls": tuple(data["node_urls"]),
            "services": {n: ServiceStatus(**s) for n, s in data["services"].items()},
        }
    )


def save(home: Path, stack: Stack) -> None:
    """Write stack.json in one step, readable by its owner only."""
    write_private(home / STATE_FILE, stack.to_json())


def load(home: Path) -> Stack | None:
    """What stack.json says, alive or not; None where there is none or it is unreadable."""
    try:
        return from_json((home / STATE_FILE).read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def from_environment(environ: Mapping[str, str] = os.environ) -> Stack | None:
    """The stack that $LAB_BROKER_URL and its companions describe (compose), or None.

    Raises:
        LabError: some of the variables are set and some are not.
    """
    return described_by(environ) if any(environ.get(name) for name in ADDRESSES) else None


def described_by(told: Mapping[str, str]) -> Stack:
    """The stack of these variables.

    Raises:
        LabError: one of them is missing.
    """
    names = (*ADDRESSES, "LAB_CONTROL_TOKEN")
    values = [told.get(name, "") for name in names]
    missing = [name for name, value in zip(names, values, strict=True) if not value]
    if missing:
        raise LabError(
            f"the environment describes half a lab: {', '.join(missing)} missing",
            hint=f"set all of {', '.join(names)}, or none",
        )
    broker_url, world_url, node_urls, token = values
    url = urlsplit(broker_url)
    return Stack(
        pid=0,
        started=0.0,
        broker=Broker(
            host=url.hostname or "redis",
            port=url.port or 6379,
            password=unquote(url.password or ""),
            source="compose",
        ),
        world_url=world_url,
        node_urls=tuple(part.strip() for part in node_urls.split(",") if part.strip()),
        control_token=token,
        mail_url=told.get("LAB_MAIL_URL", ""),
        shared_folder=told.get("LAB_SHARED_FOLDER", ""),
        database_url=told.get(DATABASE, ""),
        jupyter_url=told.get("LAB_JUPYTER_URL"),
    )


def located(stack: Stack) -> Stack:
    """The stack with an address for each node, with what its broker says of itself, and with its
    PostgreSQL if that is there: compose names one, whether or not its profile is on.

    Raises:
        LabError: no node runs.
    """
    from labapp.stack.broker import identify

    nodes = tuple(found for url in stack.node_urls for found in each(url))
    broker = stack.broker
    engine, version = identify(broker.host, broker.port, broker.password)
    database = stack.database_url if is_there(stack.database_url) else ""
    broker = replace(broker, engine=engine, version=version)
    return replace(stack, node_urls=nodes, broker=broker, database_url=database)


def is_there(url: str) -> bool:
    """Whether the host of a URL has an address: one of a compose service that is down has none."""
    try:
        return bool(url and socket.getaddrinfo(urlsplit(url).hostname, None))
    except OSError:
        return False


def container_environment() -> Mapping[str, str]:
    """This process's environment; in a container also what its service was told, for those whom
    `docker compose exec` starts beside it."""
    if os.environ.get("LAB_BROKER_URL") or not in_container():
        return os.environ
    from labapp.stack.container import described

    return {**os.environ, **described()}


def in_container() -> bool:
    """True in a container of the compose stack, where services are containers too."""
    return bool(os.environ.get(IN_CONTAINER))


def each(url: str) -> list[str]:
    """One address of every host that the URL's name stands for: a compose service may be scaled.

    Raises:
        LabError: the name stands for none.
    """
    where = urlsplit(url.strip())
    name, port = where.hostname or "", where.port or 80
    try:
        found = socket.getaddrinfo(name, port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        raise LabError(
            f"there is no host {name!r}: no node runs", hint="look at `docker compose ps`"
        ) from None
    hosts = sorted({str(address[0]) for *_, address in found}, key=ip_address)
    return [f"{where.scheme}://{host}:{port}" for host in hosts]


def find_stack(start: Path | None = None) -> Stack:
    """The stack that runs here: by environment, by $LAB_HOME, or in this folder or a parent.

    Args:
        start: the folder to look in first; the current one if not given.

    Raises:
        LabError: nothing runs here.
    """
    described = from_environment(container_environment())
    if described is not None:
        return located(described)
    stack = load(lab_home(start))
    if stack is None or not stack.is_supervised_alive:
        raise LabError(NOT_RUNNING.message, NOT_RUNNING.hint)
    told = os.environ.get(DATABASE, "")
    return replace(stack, database_url=told) if told else stack
