"""Asks workers what they are doing, with Celery's own remote control.

The commands behind ``celery inspect active``, ``reserved`` and ``scheduled``: an empty ``unacked``
is not idleness, since after a redelivery the first acknowledgement removes the second copy's entry
while that copy may still run.  Spoken with kombu's mailbox and not through a Celery app, because an
app takes its broker from ``$CELERY_BROKER_URL``, whatever it is told.  Used by
``labapp.lab.conductor``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.pidbox import Mailbox

from labapp.lab.broker import eta_seconds, unreachable

REPLY_DEADLINE = 2.0
"""Seconds to wait for a worker's answer (some milliseconds; more on a loaded machine)."""
ROLL_CALL = 1.0
"""Seconds in which whoever is there answers; nobody knows how many they are."""
COMMANDS = ("active", "reserved", "scheduled")
SOON = 5.0
"""Seconds: what is to begin within them is on its way."""


class Inspector:
    """Remote control of the workers on one broker.

    Args:
        url: the broker's address.
    """

    def __init__(self, url: str) -> None:
        self._connection = Connection(url)  # type: ignore[no-untyped-call]
        mailbox = Mailbox(  # type: ignore[no-untyped-call]
            "celery", type="fanout", accept=["json"], serializer="json"
        )
        self._mailbox = mailbox(self._connection)

    def busy(self, hostnames: Sequence[str]) -> set[str] | None:
        """Ids of the tasks that these workers run, have reserved or hold back for a countdown.

        None where one of them does not answer in time.  Raises Gone where the broker does not."""
        if not hostnames:
            return set()
        ids: set[str] = set()
        for command in COMMANDS:
            answers = self._ask(command, list(hostnames))
            if set(answers) != set(hostnames):
                return None
            ids.update(task_id(entry) for tasks in answers.values() for entry in tasks)
        return ids

    def load(
        self, hostnames: Sequence[str], soon: float = SOON
    ) -> dict[str, tuple[int, int]] | None:
        """By worker: how many tasks it runs, and how many it has fetched that are to begin within
        so many seconds.

        None where one of them does not answer in time.  Raises Gone where the broker does not."""
        active, reserved, scheduled = (self._ask(word, list(hostnames)) for word in COMMANDS)
        if not set(hostnames) <= set(active) & set(reserved) & set(scheduled):
            return None
        due = {n: sum(is_due(entry, soon) for entry in scheduled[n]) for n in hostnames}
        return {n: (len(active[n]), len(reserved[n]) + due[n]) for n in hostnames}

    def ready_processes(self, hostname: str) -> int:
        """How many of a prefork pool's processes have said that they are up, as far as main has
        heard.  Raises Gone where the broker does not answer."""
        stats: Any = self._ask("stats", [hostname]).get(hostname, {})
        return int(stats["pool"]["writes"]["inqueues"]["total"]) if stats else 0

    def registered(self) -> set[str] | None:
        """Names of the tasks that whoever listens knows; None where nobody answers in time.

        Raises Gone where the broker does not answer."""
        replies = self._asked(lambda: self._mailbox.multi_call("registered", timeout=ROLL_CALL))
        if not replies:
            return None
        named = (name for reply in replies for names in reply.values() for name in names)
        return {str(name).partition(" ")[0] for name in named}  # "shop.charge [rate_limit=…]"

    def _ask(self, command: str, hostnames: list[str]) -> dict[str, list[dict[str, Any]]]:
        replies = self._asked(
            lambda: self._mailbox.call(hostnames, command, timeout=REPLY_DEADLINE)
        )
        return {name: tasks for reply in replies or [] for name, tasks in reply.items()}

    def _asked(self, ask: Callable[[], Any]) -> Any:
        lost = (OperationalError, *self._connection.connection_errors)
        try:
            return ask()
        except lost as error:
            raise unreachable(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.release()  # type: ignore[no-untyped-call]


def is_due(entry: dict[str, Any], soon: float) -> bool:
    """Whether an entry of ``scheduled`` is to begin within so many seconds."""
    return eta_seconds(entry["eta"]) < time.time() + soon


def task_id(entry: dict[str, Any]) -> str:
    """The id in an entry of these answers; ``scheduled`` wraps its requests."""
    request: dict[str, Any] = entry.get("request", entry)
    return str(request["id"])
