"""The five services of a local lab: their commands, environments, and when each is ready."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from labapp.stack import broker, flower, jupyter
from labapp.stack.health import answers
from labapp.stack.home import PACKAGE_ROOT, PROGRESS_VARIABLE, SHARED, make_private
from labapp.stack.logs import log_folder
from labapp.stack.ports import LOOPBACK, Port
from labapp.stack.service import Plan
from labapp.stack.state import Broker, Stack

SHOP_FOLDER = Path("solutions/00_start_here")
BROKER_HINT = (
    "the last lines above are the broker's own; if it cannot read its data, "
    "move the folder {folder} away and start again with an empty broker"
)
PYTHON = sys.executable


@dataclass(frozen=True, slots=True)
class Options:
    """What `lab up` was asked for. `port` is JupyterLab's, 0 for any free one.

    Without `jupyterlab` the rest runs beside one that somebody else starts, and that answers below
    the path `base` (Binder). Without Flower as well it is `headless`.
    """

    headless: bool = False
    port: int = 0
    browser: bool = True
    jupyterlab: bool = True
    base: str = jupyter.BASE

    @property
    def has_jupyterlab(self) -> bool:
        """True if it is to be started."""
        return self.jupyterlab and not self.headless


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A lab before it starts: what is known of it already, and the plans of its services."""

    stack: Stack
    plans: tuple[Plan, ...]
    ports: tuple[Port, ...]
    notes: tuple[str, ...]


def draw(home: Path, root: Path, options: Options, identity: tuple[int, float]) -> Blueprint:
    """Choose broker, ports and secrets, and plan every service.

    Args:
        home: the state folder.
        root: the project's folder, JupyterLab's root.
        options: what was asked for.
        identity: pid and creation time of the supervisor.

    Raises:
        LabError: no usable broker, or the wanted port is taken.
    """
    binary, notes = broker.choose()
    wanted = (0, 0, 0, options.port) if options.has_jupyterlab else (0, 0, 0)
    mail = Port()
    ports = (*(Port(number) for number in wanted), mail)
    described = Broker(
        LOOPBACK,
        ports[0].number,
        secrets.token_hex(16),
        binary.engine,
        binary.version,
        binary.source,
    )
    stack = Stack(
        *identity,
        broker=described,
        world_url=ports[1].url,
        node_urls=(ports[2].url,),
        control_token=secrets.token_hex(16),
        mail_url=f"smtp://{LOOPBACK}:{mail.number}",
        shared_folder=str(home / SHARED),
    )
    plans = [_broker(home, binary, stack), _world(home, stack), _node(home, root, stack)]
    if not options.headless:
        socket_path = str(flower.make_socket_path(home))
        stack = replace(stack, flower_socket=socket_path)
        plans.append(_flower(home, stack, socket_path, options.base))
    if options.has_jupyterlab:
        token = secrets.token_hex(24)
        stack = _with_addresses(stack, ports[3], token)
        plans.append(_jupyter(home, root, stack, ports[3], token))
    return Blueprint(stack, tuple(plans), ports, tuple(notes))


def _with_addresses(stack: Stack, lab: Port, token: str) -> Stack:
    return replace(
        stack,
        flower_url=f"{lab.url}{jupyter.BASE}{flower.PREFIX}/?token={token}",
        jupyter_url=jupyter.address(lab.number, token),
    )


def _broker(home: Path, binary: broker.Binary, stack: Stack) -> Plan:
    port, password = stack.broker.port, stack.broker.password
    config = broker.configure(home, binary, port, password)
    return Plan(
        name="broker",
        command=(str(binary.path), str(config)),
        is_ready=partial(broker.is_ready, port, password),
        folder=home,
        note=str(binary),
        hint=BROKER_HINT.format(folder=config.parent),
    )


def _world(home: Path, stack: Stack) -> Plan:
    port = _port(stack.world_url)
    history = home / "world" / "effects.jsonl"
    history.parent.mkdir(exist_ok=True)
    arguments = ("--host", LOOPBACK, "--port", str(port), "--history", str(history))
    mail = ("--smtp-port", str(_port(stack.mail_url)))
    return Plan(
        name="world",
        command=(PYTHON, "-m", "labapp", "world", *arguments, *mail),
        is_ready=partial(answers, f"http://{LOOPBACK}:{port}/health"),
        environment={"LAB_CONTROL_TOKEN": stack.control_token},
        folder=home,
        note=stack.world_url,
    )


def _node(home: Path, root: Path, stack: Stack) -> Plan:
    port = _port(stack.node_urls[0])
    arguments = (
        "--host",
        LOOPBACK,
        "--port",
        str(port),
        "--logs",
        str(log_folder(home) / "workers"),
    )
    shop = shop_folder(root)
    live = ("--default-app", "shop", "--default-path", str(shop)) if shop else ()
    return Plan(
        name="node",
        command=(PYTHON, "-m", "labapp", "node", *arguments, *live),
        is_ready=partial(answers, f"http://{LOOPBACK}:{port}/health"),
        environment={
            "LAB_CONTROL_TOKEN": stack.control_token,
            "LAB_BROKER_URL": stack.broker_url(0).removesuffix("/0"),
            "LAB_WORLD_URL": stack.world_url,
            "LAB_MAIL_URL": stack.mail_url,
        },
        needs=("broker",),
        folder=home,
        note="with a live worker" if live else "no live worker: there is no shop.py",
    )


def shop_folder(root: Path) -> Path | None:
    """The first lesson's shop: the project's, or the one beside labapp; None where neither is.

    Args:
        root: the project's folder, which in a container is not where labapp is installed.
    """
    folders = (folder / SHOP_FOLDER for folder in (root, PACKAGE_ROOT))
    return next((folder for folder in folders if (folder / "shop.py").is_file()), None)


def _flower(home: Path, stack: Stack, socket_path: str, base: str) -> Plan:
    where, password = stack.broker, secrets.token_hex(16)
    icon = make_private(home / "jupyter") / "flower.svg"
    jupyter.configure(home, flower.proxied(socket_path, password, icon))
    return Plan(
        name="flower",
        command=flower.command(socket_path, base),
        is_ready=partial(flower.is_ready, socket_path, base, where.port, where.password),
        environment=flower.environment(stack.broker_url(0), password),
        needs=("broker",),
        folder=home,
        note=f"in JupyterLab at {base}{flower.PREFIX}/",
    )


def _jupyter(home: Path, root: Path, stack: Stack, port: Port, token: str) -> Plan:
    return Plan(
        name="jupyter",
        command=jupyter.command(root, port.number),
        is_ready=partial(answers, f"{port.url}/api"),
        environment={
            **jupyter.environment(home, token),
            "LAB_HOME": str(home),
            **_progress(),
            **stack.live_environment(),
        },
        folder=root,
        note=port.url,
    )


def _progress() -> dict[str, str]:
    """Where kernels note what the learner has done, if it is not the usual place."""
    given = os.environ.get(PROGRESS_VARIABLE)
    return {PROGRESS_VARIABLE: str(Path(given).resolve())} if given else {}


def base_environment(marker: Mapping[str, str]) -> dict[str, str]:
    """What every service inherits: ours, without what belongs to another lab, and a marker."""
    foreign = ("LAB_", "CELERY_", "FLOWER_", "JUPYTER_", "PARTNER_URL", "MAIL_URL")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    programs = f"{Path(PYTHON).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PATH": programs, "PYTHONUNBUFFERED": "1", **marker}


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
