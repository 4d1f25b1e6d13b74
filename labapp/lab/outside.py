"""The same experiments, struck from outside: whole containers instead of processes.

In compose a node is a container.  ``lab outside FAULT NODE`` runs one experiment there, as the
conductor always does; but where it would kill, pause or cut off a worker, or kill its broker, it
asks whoever drives it to do so with the container: ``scripts/boundaries.py``, on the host, where
the engine is.  So a verdict beside the local one differs in nothing but the boundary.

The driver reads one JSON object a line, ``{"do": …, "host": …}``, answers with a line when it is
done, and gets ``{"verdict": …}`` in the end.  Used by ``labapp.cli``; may depend on the rest of
``labapp.lab``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from labapp.errors import LabError
from labapp.faults import Fault, charge_of, crash_broker, cut_off, kill_worker, pause
from labapp.lab.broker import wait_for
from labapp.lab.conductor import conduct
from labapp.lab.publisher import first_shop
from labapp.lab.run import Plan, WorkerSettings
from labapp.lab.session import Session
from labapp.node.client import Nodes, OpenLink, StartedBroker, StartedWorker
from labapp.node.link import Way
from labapp.stack.broker import is_ready
from labapp.stack.control import ControlClient
from labapp.stack.state import Stack, find_stack

ORDERS = [(f"order-{number}",) for number in range(1, 11)]
CHARGED, OPEN = charge_of("order-3"), charge_of("order-4")
FAULTS: dict[str, Fault] = {
    "killed": kill_worker(after=CHARGED, before=OPEN),
    "paused": pause(after=CHARGED, before=OPEN),
    "cut-off": cut_off(after=CHARGED, before=OPEN, stall=True),
    "broker": crash_broker(after=CHARGED, before=OPEN),
}
"""Name of an experiment → its fault.  Late acknowledgement in all of them."""
SETTINGS = WorkerSettings(settings={"task_acks_late": True, "worker_prefetch_multiplier": 1})
BROKER_HOST = "redis"
BROKER_DEADLINE = 30.0
"""Seconds until a broker that was started again must answer."""
DEADLINE = 60.0
"""Seconds that the queue may take to drain."""

Ask = Callable[[str, str], None]
"""What is to be done, to which host; returns when it is done."""


class Outside(Nodes):
    """Nodes that somebody else strikes, container by container.

    Args:
        stack: whose nodes they are.
        fault: the one strike that is asked for; whatever comes after it is the node's business.
        ask: has it done.
    """

    def __init__(self, stack: Stack, fault: Fault, ask: Ask) -> None:
        super().__init__(stack.node_urls, stack.control_token)
        self._stack, self._fault, self._ask = stack, fault, ask
        self._away: set[int] = set()
        self.broker_url = ""
        """The session's database, which stands in for a broker of the run's own."""

    def _host(self, node: int) -> str:
        return urlsplit(self.urls[node]).hostname or ""

    def _strike(self, what: str, node: int) -> None:
        self._away.add(node)
        self._ask(what, self._host(node))

    def place(self, number: int) -> int:
        """The node for the so-manieth worker: one that is there."""
        nodes = [node for node in range(len(self.urls)) if node not in self._away]
        wanted = super().place(number)
        return wanted if wanted in nodes else nodes[number % len(nodes)]

    def there(self) -> list[ControlClient]:
        """The nodes that can be asked: all but those that were struck."""
        return [c for node, c in enumerate(self._clients) if node not in self._away]

    def kill(self, worker: StartedWorker) -> list[str]:
        """Kill the container, if that is the fault and it has not struck; else the worker."""
        if worker.node in self._away:
            return []
        if self._fault.name != FAULTS["killed"].name or self._away:
            return super().kill(worker)
        clients: list[str] = super().verb(worker, "clients")["clients"]
        self._strike("kill", worker.node)
        return clients

    def verb(self, worker: StartedWorker, name: str, **body: Any) -> Any:
        """A worker's verb; pause and resume are the container's."""
        if name == "pause" and not body.get("main_only"):
            clients = super().verb(worker, "clients")["clients"]
            self._strike("pause", worker.node)
            return {"clients": clients}
        if name == "resume" and worker.node in self._away:
            self._back("unpause", worker.node)
            return {}
        if name == "log" and worker.node in self._away:
            return {"tail": ""}
        return super().verb(worker, name, **body)

    def _back(self, what: str, node: int) -> None:
        self._ask(what, self._host(node))
        self._away.discard(node)

    # The network

    def open_link(self, lease: str, url: str, node: int = 0) -> OpenLink:
        """No link: the network itself will be cut."""
        return OpenLink(node, "network", url)

    def set_link(self, link: OpenLink, way: Way, delay: float = 0.0) -> list[str]:
        """Cut the container off its network, or reconnect it."""
        if way is Way.OPEN:
            if link.node in self._away:
                self._back("connect", link.node)
            return []
        client = self._clients[link.node]
        names = [worker["name"] for worker in client.call("GET", "/workers") if worker["lease"]]
        found = [client.call("POST", f"/workers/{name}/clients")["clients"] for name in names]
        self._strike("disconnect", link.node)
        return [address for clients in found for address in clients]

    def close_link(self, link: OpenLink) -> None:
        """Nothing was opened."""

    # The broker

    def start_broker(self, lease: str, aof: bool, node: int = 0) -> StartedBroker:
        """The stack's own broker, by the address of the session's database."""
        return StartedBroker(node, BROKER_HOST, self.broker_url)

    def kill_broker(self, broker: StartedBroker) -> None:
        """Kill its container."""
        self._ask("kill", BROKER_HOST)

    def restart_broker(self, broker: StartedBroker) -> None:
        """Start its container again; it answers on return."""
        self._ask("start", BROKER_HOST)
        known = self._stack.broker
        wait_for(
            lambda: is_ready(known.port, known.password, 0.5, known.host),
            "the broker to answer",
            BROKER_DEADLINE,
        )

    def end_broker(self, broker: StartedBroker) -> None:
        """It is everybody's: it stays."""


def run(fault: str, node: int, *, local: bool = False) -> None:
    """One experiment, struck from outside, or as ever where ``local``; prints its verdict.

    Raises:
        LabError: there is no such experiment or node, or it could not begin.
    """
    if fault not in FAULTS:
        raise LabError(f"there is no fault {fault!r}", hint=f"one of: {', '.join(FAULTS)}")
    stack = find_stack()
    if not 0 <= node < len(stack.node_urls):
        raise LabError(f"there is no node {node}: this lab has {len(stack.node_urls)}")
    nodes = None if local else Outside(stack, FAULTS[fault], ask_by_lines)
    with Session(stack, nodes) as session:
        if nodes is not None:
            nodes.broker_url = session.broker.url
        plan = Plan(
            first_shop(),
            "shop.charge",
            ORDERS,
            SETTINGS,
            FAULTS[fault],
            deadline=DEADLINE,
            node=node,
        )
        print(json.dumps({"verdict": str(conduct(session, plan).verdict)}), flush=True)


def ask_by_lines(what: str, host: str) -> None:
    """Ask on standard output, and wait for a line on standard input."""
    print(json.dumps({"do": what, "host": host}), flush=True)
    if not sys.stdin.readline():
        raise LabError("nobody strikes: standard input is closed", hint="scripts/boundaries.py")
