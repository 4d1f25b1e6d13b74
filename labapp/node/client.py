"""The lab's side of the nodes' control APIs: the verbs, and the lease.

Synchronous: a conductor does one thing at a time.  Used by ``labapp.lab``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from labapp.errors import LabError
from labapp.node.link import Way
from labapp.node.workers import WorkerSpec
from labapp.stack.control import NO_TLS, ControlClient, Gone, refusal
from labapp.stack.ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class StartedWorker:
    """A running worker, as its node reported it.

    Args:
        node: which of the nodes runs it (index).
        name: its name on that node.
        pid: pid of its main process.
        report: what the probe told (``labapp.node.probe.report``).
    """

    node: int
    name: str
    pid: int
    report: dict[str, Any]

    @property
    def hostname(self) -> str:
        """Its Celery node name, as in ``inspect``."""
        return str(self.report["hostname"])

    @property
    def concurrency(self) -> int:
        """Processes (or threads) in its pool."""
        return int(self.report["concurrency"])

    def acks_late(self, task: str) -> bool:
        """Whether this task acknowledges after its work, here."""
        return bool(self.report["tasks"].get(task, {}).get("acks_late"))

    @property
    def visibility_timeout(self) -> float:
        """Seconds after which its sweep hands a message back."""
        return float(self.report["visibility_timeout"])

    @property
    def prefetch(self) -> int:
        """How many unacknowledged messages it takes; 0 for any number."""
        return int(self.report["prefetch"])

    @property
    def fetches_ahead(self) -> bool:
        """Whether it takes messages for which no process is free."""
        return not self.report["disable_prefetch"]


class NodeLease:
    """An open connection to one node, by which the node knows that this process lives.

    Args:
        url: the node's address.
        token: control token.
        asked: what it is asked for: "name" and "database", where another node gave them out
            already, or databases to "avoid".

    Raises:
        Gone: the node does not answer.
        LabError: it has no such database to give.
    """

    def __init__(self, url: str, token: str, **asked: str) -> None:
        self._client = httpx.Client(
            timeout=httpx.Timeout(10.0, read=None), verify=NO_TLS, trust_env=False
        )
        request = self._client.build_request(
            "GET", f"{url}/lease", params=asked, headers={"Authorization": f"Bearer {token}"}
        )
        try:
            self._answer = self._client.send(request, stream=True)
            if self._answer.is_error:
                self._answer.read()
                raise refusal("the node", self._answer)
            self._lines = self._answer.iter_lines()
            first = json.loads(next(self._lines))
            self.name: str = first["lease"]
            self.database: int = first["database"]
        except (httpx.HTTPError, StopIteration) as error:
            self._client.close()
            raise Gone("the node does not answer", hint="look at `lab status`") from error
        except BaseException:  # an interrupt included: nothing may hold a lease unseen
            self._client.close()
            raise
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="lab-lease", daemon=True).start()

    def _watch(self) -> None:
        """Note when the node's end of the connection goes away."""
        try:
            for _ in self._lines:
                pass
        except (httpx.HTTPError, httpx.StreamError, OSError):
            pass
        self._ended.set()

    @property
    def alive(self) -> bool:
        """Whether the node still holds this lease."""
        return not self._ended.is_set()

    def close(self) -> None:
        """End the lease: the node kills what it started under it."""
        connection = self._answer.extensions["network_stream"].get_extra_info("socket")
        with contextlib.suppress(OSError):  # closed by the other end already
            connection.shutdown(socket.SHUT_RDWR)  # wakes the watching thread; close would not
        self._ended.wait()
        self._client.close()


class Lease:
    """One lease, held at every node: its name and its Redis database are the same at all of them.

    A node that was started anew knows nothing of the leases of before; the others still do, and
    so no database is given out twice as long as one node has been there throughout.

    Args:
        urls: the nodes' addresses.
        token: control token.

    Raises:
        Gone: a node does not answer.
        LabError: all databases are in use.
    """

    def __init__(self, urls: Sequence[str], token: str) -> None:
        avoid: set[int] = set()
        self._parts: list[NodeLease] = []
        while not self._parts:
            self._parts = self._held_by_all(urls, token, avoid)
        self.name, self.database = self._parts[0].name, self._parts[0].database

    def _held_by_all(self, urls: Sequence[str], token: str, avoid: set[int]) -> list[NodeLease]:
        """A lease with each node; none, and one more to avoid, where one of them has it in use."""
        first = NodeLease(urls[0], token, avoid=",".join(map(str, sorted(avoid))))
        parts = [first]
        try:
            for url in urls[1:]:
                found = NodeLease(url, token, name=first.name, database=str(first.database))
                parts.append(found)
        except BaseException as error:
            for part in parts:
                part.close()
            if not isinstance(error, LabError) or isinstance(error, Gone):
                raise
            avoid.add(first.database)
            return []
        return parts

    @property
    def alive(self) -> bool:
        """Whether every node still holds it."""
        return all(part.alive for part in self._parts)

    def close(self) -> None:
        """End the lease: the nodes kill what they started under it."""
        for part in self._parts:
            part.close()


@dataclass(frozen=True, slots=True)
class StartedBroker:
    """A broker of a run's own: which node runs it, its name there, its address."""

    node: int
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link to a broker that can be cut: its node, its name there, the address through it."""

    node: int
    name: str
    url: str


def moved(url: str, host: str | None, port: int | None) -> str:
    """The same URL, login and path included, at another host and port."""
    where = urlsplit(url)
    login, at, _ = where.netloc.rpartition("@")
    return where._replace(netloc=f"{login}{at}{host}:{port}").geturl()


class Nodes:
    """All nodes of the stack, as one.

    Args:
        urls: their addresses.
        token: control token.
    """

    def __init__(self, urls: Sequence[str], token: str) -> None:
        self._token = token
        self.urls = list(urls)
        self._clients = [ControlClient("the node", url, token) for url in urls]

    def lease(self) -> Lease:
        """A new lease with all of them."""
        return Lease(self.urls, self._token)

    def start(self, spec: WorkerSpec, node: int = 0) -> StartedWorker:
        """Start a worker and wait until it is ready.

        Raises:
            LabError: it exited at start, with its log's tail.
        """
        spec = replace(spec, settings=dict(spec.settings), env=dict(spec.env))
        told = self._clients[node].call("POST", "/workers", asdict(spec))
        return StartedWorker(node, told["name"], told["pid"], told["report"])

    def place(self, number: int) -> int:
        """The node (index) for a worker of this number: they take turns."""
        return number % len(self.urls)

    def there(self) -> list[ControlClient]:
        """The nodes that can be asked: all of them, as far as is known here."""
        return self._clients

    def workers(self) -> list[dict[str, Any]]:
        """Every worker of the nodes that can be asked."""
        return [worker for client in self.there() for worker in client.call("GET", "/workers")]

    def kill(self, worker: StartedWorker) -> list[str]:
        """Kill -9 the whole worker; reaped on return.  Its ends of its broker connections."""
        told = self._clients[worker.node].call("DELETE", f"/workers/{worker.name}")
        return list(told["clients"])

    def kill_named(self, name: str) -> None:
        """Kill -9 the worker of this name, on whichever node it is that can be asked."""
        for client in self.there():
            if any(worker["name"] == name for worker in client.call("GET", "/workers")):
                client.call("DELETE", f"/workers/{name}")

    def owner(self, port: int) -> tuple[str, int] | None:
        """Name and pid of the worker process that holds this connection to the world."""
        for client in self._clients:
            told = client.call("POST", "/owner", {"port": port})
            if told["worker"] is not None:
                return told["worker"], told["pid"]
        return None

    def verb(self, worker: StartedWorker, name: str, **body: Any) -> Any:
        """One of a worker's verbs: kill_child, pause, resume, signal, wait, wait_log, log."""
        return self._clients[worker.node].call("POST", f"/workers/{worker.name}/{name}", body)

    def start_broker(self, lease: str, aof: bool, node: int = 0) -> StartedBroker:
        """A broker of a run's own beside the node's workers; its address holds for all nodes.

        Args:
            lease: whose end is its end.
            aof: whether what it is told outlives it.
            node: which node (index).
        """
        told = self._clients[node].call("POST", "/brokers", {"lease": lease, "aof": aof})
        host, port = urlsplit(self.urls[node]).hostname, urlsplit(told["url"]).port
        return StartedBroker(node, told["name"], f"{moved(told['url'], host, port)}/0")

    def kill_broker(self, broker: StartedBroker) -> None:
        """Kill -9 a broker of a run's own; it has ended on return."""
        self._clients[broker.node].call("POST", f"/brokers/{broker.name}/kill")

    def restart_broker(self, broker: StartedBroker) -> None:
        """Start it again with what is left of its data; it answers on return."""
        self._clients[broker.node].call("POST", f"/brokers/{broker.name}/start")

    def end_broker(self, broker: StartedBroker) -> None:
        """End a broker of a run's own."""
        self._clients[broker.node].call("DELETE", f"/brokers/{broker.name}")

    def open_link(self, lease: str, url: str, node: int = 0) -> OpenLink:
        """A second address of the broker at ``url``, for workers of this node."""
        where = urlsplit(url)
        body = {"lease": lease, "host": where.hostname, "port": where.port or 6379}
        told = self._clients[node].call("POST", "/links", body)
        return OpenLink(node, told["name"], moved(url, LOOPBACK, told["port"]))

    def set_link(self, link: OpenLink, way: Way, delay: float = 0.0) -> list[str]:
        """Cut, stall or mend a link; the broker's ends of the connections that this hit.

        Args:
            link: which.
            way: how it is from now on.
            delay: seconds by which data comes later, in each direction.
        """
        body = {"way": way, "delay": delay}
        told = self._clients[link.node].call("PUT", f"/links/{link.name}", body)
        return list(told["clients"])

    def close_link(self, link: OpenLink) -> None:
        """Close a link."""
        self._clients[link.node].call("DELETE", f"/links/{link.name}")

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            client.close()
