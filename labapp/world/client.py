"""The lab's side of the world's control API: arm, wait, release, read.

Synchronous: a conductor waits for one thing at a time.  Used by ``labapp.lab``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labapp.stack.control import ControlClient
from labapp.world.kinds import Kind, named
from labapp.world.rules import Rule
from labapp.world.store import StoredFile


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """A request that the world holds open; see ``labapp.world.scope.Held``."""

    id: int
    key: str
    recorded: bool
    client: str
    kind: str = Kind.CHARGE
    server_port: int = 0
    """The world's own end of the connection."""

    @property
    def name(self) -> str:
        """What the history calls its effect."""
        return named(self.kind, self.key)

    @property
    def port(self) -> int:
        """The caller's TCP port."""
        return int(self.client.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Reading:
    """What the world says of one scope.

    Args:
        boot: identity of the world's process; another one means that holds and rules are gone.
        records: ``(kind, name, at)`` in order: what happened, to which effect as the history
            calls it (``labapp.world.kinds.named``), and when, in seconds since the epoch.
        held: requests held open.
        open: number of open requests, held ones included.
        fired: how often each armed rule has applied, in the order armed.
    """

    boot: str
    records: tuple[tuple[str, str, float], ...]
    held: tuple[HeldRequest, ...]
    open: int
    fired: tuple[int, ...]

    def keys(self, kind: str) -> list[str]:
        """Names of the effects in the records of one kind, in order."""
        return [name for what, name, _ in self.records if what == kind]


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A mail in the mailbox: its business key, and its headers."""

    key: str
    sender: str
    recipients: str
    subject: str
    message_id: str


class WorldClient:
    """Control client of one scope.

    Args:
        url: the world's address.
        token: the stack's control token.
        scope: name of the scope.
    """

    def __init__(self, url: str, token: str, scope: str) -> None:
        self.scope = scope
        self.partner_url = f"{url}/{scope}"
        self._control = ControlClient("the world", url, token)
        self._path = f"/control/scopes/{scope}"

    def read(self, since: int = 0) -> Reading:
        """The scope's history, from record number ``since`` on, and its state."""
        return reading(self._control.call("GET", f"{self._path}?since={since}"))

    def arm(self, rules: Iterable[Rule]) -> Reading:
        """Arm these rules in place of the old ones (none: faults off)."""
        body = [rule.to_json() for rule in rules]
        return reading(self._control.call("PUT", f"{self._path}/rules", body))

    def wait(self, *, held: int = 0, quiet: bool = False, timeout: float) -> Reading:
        """Until ``held`` requests are held, or with ``quiet`` none is open; or ``timeout`` seconds.

        The caller looks at the reading to see which it was."""
        body = {"held": held, "quiet": quiet, "timeout": timeout}
        return reading(self._control.call("POST", f"{self._path}/wait", body))

    def answer(self, held: Iterable[HeldRequest] = ()) -> None:
        """Let these held requests (all, if none is named) go on as if nothing had been."""
        self._release(held, "answer")

    def drop(self, held: Iterable[HeldRequest] = ()) -> None:
        """Close the connections of these held requests (all, if none is named)."""
        self._release(held, "drop")

    def _release(self, held: Iterable[HeldRequest], ending: str) -> None:
        body = {"ids": [request.id for request in held], "ending": ending}
        self._control.call("POST", f"{self._path}/release", body)

    def files(self) -> list[StoredFile]:
        """The scope's files as they lie there, by name."""
        return [StoredFile(**file) for file in self._control.call("GET", f"{self._path}/files")]

    def mails(self) -> list[StoredMail]:
        """The scope's mails, in order."""
        return [StoredMail(**mail) for mail in self._control.call("GET", f"{self._path}/mails")]

    def close(self) -> None:
        """Close its connections."""
        self._control.close()


def reading(data: Any) -> Reading:
    """A reading from the world's JSON."""
    return Reading(
        boot=data["boot"],
        records=tuple((r["kind"], named(r["what"], r["key"]), r["at"]) for r in data["records"]),
        held=tuple(HeldRequest(**held) for held in data["held"]),
        open=data["open"],
        fired=tuple(rule["fired"] for rule in data["rules"]),
    )
