"""What every protocol of the world shares: the scopes, the journal, and where faults strike.

A request, whatever its protocol, is a *visit*: it is journalled as an attempt, comes past the
points at which a rule may hold or refuse it, and leaves its effect in between.  Used by
``labapp.world.server`` (charges), ``labapp.world.files`` and ``labapp.world.mailbox``.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labapp.world.journal import Journal, Record
from labapp.world.kinds import Kind
from labapp.world.rules import Do, Point, Rule, first_match
from labapp.world.scope import Held, Scope


@dataclass(frozen=True, slots=True)
class Visit:
    """One request on its way.

    Args:
        scope: whose it is.
        kind: which kind of effect it asks for.
        key: business key.
        client: ``host:port`` of the caller's end of the connection.
        port: TCP port of the world's own end.
    """

    scope: Scope
    kind: Kind
    key: str
    client: str
    port: int


class Ended(Exception):
    """A fault ends this request here.

    Args:
        status: with which it is refused; 0: its connection closes without an answer.
        retry_after: seconds that the refusal asks the caller to wait; 0 for none.
    """

    def __init__(self, status: int = 0, retry_after: int = 0) -> None:
        super().__init__(f"status {status}" if status else "no answer")
        self.status = status
        self.retry_after = retry_after


class Ledger:
    """All scopes, on disk and in memory.

    Args:
        journal: where everything is recorded.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.boot = secrets.token_hex(8)
        """Differs after a restart: the conductor sees that rules and holds are gone."""
        self.scopes: dict[str, Scope] = {}
        for record in journal.read():
            self._take(record)

    def scope(self, name: str) -> Scope:
        """The scope of this name, made where it is new."""
        return self.scopes.setdefault(name, Scope(name))

    def record(self, visit: Visit, kind: str, **details: Any) -> None:
        """Journal what happened to a visit, then take it into memory.  Raises OSError."""
        scope, what = visit.scope.name, str(visit.kind)
        self._take(self.journal.append(scope, kind, visit.key, what=what, **details))

    def _take(self, record: Record) -> None:
        scope = self.scope(record.scope)
        scope.take(record)
        if record.kind == "effect" and record.idempotency_key:
            scope.replies[record.idempotency_key] = receipt(record.key, scope.effects(Kind.CHARGE))

    def effects(self, visit: Visit) -> int:
        """How many effects of this visit's kind its scope has."""
        return visit.scope.effects(visit.kind)

    @contextmanager
    def open(self, visit: Visit, *, attempt: bool = True) -> Iterator[None]:
        """Count the request as open, and record the attempt, where it is the first request that
        this effect needs.  Raises OSError."""
        visit.scope.open += 1
        try:
            if attempt:
                self.record(visit, "attempt")
            yield
        finally:
            visit.scope.open -= 1
            visit.scope.notify()

    async def passing(self, visit: Visit, point: Point, written: int = 0) -> None:
        """Bring a request past a point of its way, as the rules have it.

        Args:
            visit: the request.
            point: before, during or after its effect.
            written: during: bytes of the file that are on disk.

        Raises:
            Ended: a fault ends the request here.
        """
        scope = visit.scope
        number = scope.effects(visit.kind) + (point is not Point.AFTER)
        now = time.monotonic()
        rule = first_match(scope.rules, point, visit.key, number, visit.kind, written, now)
        if rule is not None:
            await self._apply(rule, visit, recorded=point is Point.AFTER)

    async def _apply(self, rule: Rule, visit: Visit, recorded: bool) -> None:
        if rule.do is Do.DROP:
            raise Ended
        if rule.do is Do.ANSWER:
            await asyncio.sleep(rule.delay)
            if rule.status:
                raise Ended(rule.status, rule.retry_after)
            return
        if await self._hold(visit, recorded) is Do.DROP:
            raise Ended

    async def _hold(self, visit: Visit, recorded: bool) -> Do:
        held = Held(visit.kind, visit.key, recorded, visit.client, visit.port)
        visit.scope.hold(held)
        try:
            return await held.ending
        finally:  # also where the client is gone: its handler is cancelled, nothing is recorded
            visit.scope.let_go(held)


def receipt(key: str, number: int) -> dict[str, Any]:
    """What the partner answers to a charge."""
    return {"charge": number, "order": key, "status": "charged"}
