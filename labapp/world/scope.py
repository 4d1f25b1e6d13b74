"""One scope of the world: the effects, the open requests and the armed rules of one run.

In memory, rebuilt from the journal when the world restarts (rules and open requests are not:
they end with the process that held them).  Used by ``labapp.world.server`` only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from labapp.world.journal import Record
from labapp.world.rules import Do, Rule


@dataclass(slots=True)
class Held:
    """A request that a rule holds open.

    Args:
        id: number of the hold within its scope.
        key: business key.
        recorded: whether its effect is recorded already.
        client: ``host:port`` of the caller's end, by which a node finds the process.
        ending: resolved by the conductor with how the request ends.
    """

    id: int
    key: str
    recorded: bool
    client: str
    ending: asyncio.Future[Do]

    def to_json(self) -> dict[str, Any]:
        """What the conductor sees of it."""
        return {
            "id": self.id,
            "key": self.key,
            "recorded": self.recorded,
            "client": self.client,
        }


@dataclass(slots=True)
class Scope:
    """Everything the world knows of one run."""

    name: str
    records: list[Record] = field(default_factory=list)
    effects: int = 0
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
        if record.kind == "effect":
            self.effects += 1
        self.notify()

    def hold(self, key: str, recorded: bool, client: str) -> Held:
        """Note a request as held."""
        self._holds += 1
        ending: asyncio.Future[Do] = asyncio.get_running_loop().create_future()
        held = Held(self._holds, key, recorded, client, ending)
        self.held[held.id] = held
        self.notify()
        return held

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
            "records": [{"kind": r.kind, "key": r.key, "at": r.at} for r in self.records[since:]],
            "counts": Counter(r.kind for r in self.records),
            "held": [held.to_json() for held in self.held.values()],
            "open": self.open,
            "rules": [rule.to_json() for rule in self.rules],
        }
