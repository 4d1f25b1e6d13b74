"""One scope of the world: the effects, the open requests and the armed rules of one run.

In memory, rebuilt from the journal when the world restarts (rules and open requests are not:
they end with the process that held them).  Used within ``labapp.world`` only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from labapp.world.journal import Record
from labapp.world.rules import Do, Rule


@dataclass(slots=True, eq=False)
class Held:
    """A request that a rule holds open.

    Args:
        kind: kind of effect it asks for.
        key: business key.
        recorded: whether its effect is recorded already.
        client: ``host:port`` of the caller's end, by which a node finds the process.
        server_port: TCP port of the world's own end.
        id: number of the hold within its scope.
        ending: resolved by the conductor with how the request ends.
    """

    kind: str
    key: str
    recorded: bool
    client: str
    server_port: int
    id: int = 0
    ending: asyncio.Future[Do] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def to_json(self) -> dict[str, Any]:
        """What the conductor sees of it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "key": self.key,
            "recorded": self.recorded,
            "client": self.client,
            "server_port": self.server_port,
        }


@dataclass(slots=True)
class Scope:
    """Everything the world knows of one run."""

    name: str
    records: list[Record] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many records there are, by what happened and by kind of effect."""
    open: int = 0
    rules: list[Rule] = field(default_factory=list)
    held: dict[int, Held] = field(default_factory=dict)
    replies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Answer to each Idempotency-Key seen, for the next request that carries it."""
    _holds: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, record: Record) -> None:
        """Add a record (a new one, or one read back from the journal)."""
        self.records.append(record)
        self.counts[record.kind, record.what] += 1
        self.notify()

    def effects(self, kind: str) -> int:
        """How many effects of this kind there are."""
        return self.counts["effect", kind]

    def hold(self, held: Held) -> None:
        """Note a request as held, and number it."""
        self._holds += 1
        held.id = self._holds
        self.held[held.id] = held
        self.notify()

    def let_go(self, held: Held) -> None:
        """Forget a hold that has ended."""
        self.held.pop(held.id, None)
        self.notify()

    def release(self, ids: list[int], ending: Do) -> None:
        """End the holds with these ids (all of them for an empty list)."""
        for held in list(self.held.values()):
            if not ids or held.id in ids:
                self.held.pop(held.id)  # now, so that no later reading shows it
                if not held.ending.done():
                    held.ending.set_result(ending)

    def notify(self) -> None:
        """Wake whoever waits for a state of this scope."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait(self, state: Callable[[Scope], bool], timeout: float) -> bool:
        """Wait until ``state`` holds, ``timeout`` seconds at most; whether it does."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not state(self):
            left = deadline - loop.time()
            if left <= 0:
                return False
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return state(self)
        return True

    def to_json(self, since: int = 0) -> dict[str, Any]:
        """What the conductor reads: records from number ``since`` on, holds, open requests."""
        return {
            "records": [
                {"kind": r.kind, "what": r.what, "key": r.key, "at": r.at}
                for r in self.records[since:]
            ],
            "counts": Counter(r.kind for r in self.records),
            "held": [held.to_json() for held in self.held.values()],
            "open": self.open,
            "rules": [rule.to_json() for rule in self.rules],
        }
