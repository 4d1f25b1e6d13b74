"""A session: one lease, one Redis database, the clients of one stack.

Everything an experiment starts belongs to its session and ends with it; two sessions on one stack
do not see each other.  Used by ``labapp.lab`` and ``labapp.course``.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Protocol
from weakref import finalize

from labapp.lab.broker import Broker
from labapp.lab.database import VARIABLE, ShopDatabase
from labapp.lab.publisher import Module, Publisher
from labapp.node.client import Nodes
from labapp.stack.home import make_private
from labapp.stack.state import Stack, task_environment
from labapp.world.client import WorldClient

COLD_STARTS = "LAB_COLD_STARTS"
"""Environment variable: start every worker by the command line, in a fresh interpreter."""


class Guest(Protocol):
    """Whatever else runs for a session beside workers and publishers."""

    def close(self) -> None:
        """End it, and wait for it."""


class Session:
    """A lease on the stack, held by this process.

    Args:
        stack: the running stack.
        nodes: the stack's nodes, where they are not to be reached as usual.

    Raises:
        LabError: a service of the stack does not answer, or all databases are in use.
    """

    def __init__(self, stack: Stack, nodes: Nodes | None = None) -> None:
        self.stack = stack
        self.nodes = nodes or Nodes(stack.node_urls, stack.control_token)
        self.lease = self.nodes.lease()
        self.broker = Broker(stack.broker_url(self.lease.database))
        self.warm = not os.environ.get(COLD_STARTS)
        """Whether workers may be forked from a process that has imported Celery already."""
        self._publishers: dict[Module, Publisher] = {}
        self.guests: list[Guest] = []
        """What ends when the session is cleaned or closed."""
        self._numbers = itertools.count(1)
        self._shared: Path | None = None
        self._unshare: Callable[[], object] | None = None
        self._database: ShopDatabase | None = None

    @property
    def alive(self) -> bool:
        """Whether the node still holds the lease."""
        return self.lease.alive

    def scope(self) -> WorldClient:
        """A new scope of the world, for one run."""
        name = f"run-{secrets.token_hex(6)}"
        return WorldClient(self.stack.world_url, self.stack.control_token, name)

    def environment(self, partner_url: str) -> dict[str, str]:
        """What a worker of this session is told of broker, backend, partner, mailbox and
        database."""
        told = task_environment(self.broker.url, partner_url, self.stack.mail_url)
        return {**told, VARIABLE: self.database.url}

    @property
    def database(self) -> ShopDatabase:
        """The shop's database of this session.

        Raises:
            LabError: `$LAB_DATABASE_URL` is not of a PostgreSQL.
        """
        if self._database is None:
            folder, number = self.shared_folder(), self.lease.database
            self._database = ShopDatabase(folder, self.stack.database_url, number)
        return self._database

    def shared_folder(self) -> Path:
        """A folder of this session's own that its workers may write too, on whichever node."""
        if self._shared is None:
            where = self.stack.shared_folder or None
            if where is not None:
                make_private(Path(where))
            self._shared = Path(mkdtemp(prefix="lab-shared-", dir=where))
            # also where nobody closes the session: every one has a folder, since that is where
            # its database would be
            self._unshare = finalize(self, rmtree, self._shared, ignore_errors=True)
        return self._shared

    def publisher(self, module: Module) -> Publisher:
        """A publishing process with this module's present source.

        Raises:
            LabError: the module does not import.
        """
        known = self._publishers.get(module)
        if known is not None and known.fresh():
            return known
        self.end_publisher(module)
        publisher = Publisher(module, self.environment(f"{self.stack.world_url}/{self.lease.name}"))
        self._publishers[module] = publisher
        return publisher

    def end_publisher(self, module: Module) -> None:
        """End this module's publishing process, if there is one.

        A new one declares its queue in Redis again; one that has done so never does it twice, and
        would not miss what a clean start has deleted."""
        known = self._publishers.pop(module, None)
        if known is not None:
            known.close()

    def tasks(self) -> set[str] | None:
        """Names of the tasks in the modules that this session has sent from; None for none yet."""
        if not self._publishers:
            return None
        return {task for publisher in self._publishers.values() for task in publisher.tasks}

    def worker_name(self) -> str:
        """A name that no other worker of the stack has."""
        return f"{self.lease.name}-w{next(self._numbers)}"

    def workers(self) -> list[dict[str, Any]]:
        """What the nodes run for this session."""
        return [w for w in self.nodes.workers() if w["lease"] == self.lease.name]

    def dismiss(self, guest: Guest) -> None:
        """End this guest, if it has not been ended."""
        if guest in self.guests:
            self.guests.remove(guest)
            guest.close()

    def clean(self) -> None:
        """End every guest and worker of this session, and empty its broker and its database.

        Raises:
            LabError: a service of the stack does not answer.
        """
        self._dismiss_all()
        for worker in self.workers():
            self.nodes.kill_named(worker["name"])
        self.broker.clear()
        if self._database is not None:
            self._database.empty()

    def _dismiss_all(self) -> None:
        for guest in list(self.guests):
            self.dismiss(guest)

    def close(self) -> None:
        """End the session; the node kills what is left of it."""
        self._dismiss_all()
        for publisher in self._publishers.values():
            publisher.close()
        self.lease.close()
        self.nodes.close()
        self.broker.close()
        if self._database is not None:
            self._database.close()
        if self._unshare is not None:  # now that no worker writes there any more
            self._unshare()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def module_of(task: Any) -> Module:
    """The module in which a task (or any function) is defined."""
    import inspect

    function = getattr(task, "run", task)
    file = Path(inspect.getfile(inspect.unwrap(function))).resolve()
    return Module(file.stem, file.parent)
