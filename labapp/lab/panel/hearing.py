"""What the panel's broker hears: the steps of messages, and what Celery says of tasks.

Redis MONITOR shows both: a step is a command of kombu's, an event of Celery's is a PUBLISH.  Only
the panel uses this broker, so nobody else pays for it.  For drawings only, as everywhere in the
lab: what has happened is asked of the world.  Used by ``labapp.lab.panel.watch``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from labapp.lab.monitor import Command, Monitor, Seen, Steps

CHANNEL = "celeryev"
"""What the channel of every event has in its name (celery/events/event.py)."""
BEGUN = "task-started"
ENDED = {
    "task-succeeded": "done",
    "task-failed": "failed",
    "task-retried": "failed",
    "task-rejected": "failed",
    "task-revoked": "failed",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An event of Celery's: ``worker`` is its name on its node, ``at`` in seconds since the epoch,
    by the worker's clock."""

    at: float
    kind: str
    task_id: str
    worker: str


class Hearing:
    """Listens to one broker from now until ``close``.

    Args:
        url: its address, with password and database.

    Raises:
        Gone: it does not answer.
    """

    def __init__(self, url: str) -> None:
        self._monitor = Monitor(url)
        self._steps = Steps()

    def take(self) -> Iterator[Seen | Told]:
        """What was heard since the last call, in order."""
        for command in self._monitor.take():
            if command.name == "PUBLISH":
                yield from told(command)
            else:
                yield from self._steps.feed(command)

    def listen_again(self) -> None:
        """Listen to a broker that was killed and started again.  Raises Gone: it does not answer.

        What was heard before and not taken yet is kept."""
        self._monitor.listen_again()

    def close(self) -> None:
        """Stop listening."""
        self._monitor.stop()


def told(command: Command) -> Iterator[Told]:
    """The task events in one PUBLISH: a worker may send several in one message."""
    if len(command.arguments) != 2 or CHANNEL not in command.arguments[0]:
        return
    for event in events(command.arguments[1]):
        if isinstance(event, dict) and str(event.get("type", "")).startswith("task-"):
            worker = str(event.get("hostname", "")).partition("@")[0]
            at = float(event.get("timestamp") or command.at)
            yield Told(at, str(event["type"]), str(event.get("uuid", "")), worker)


def events(payload: str) -> list[Any]:
    """The events in a message of kombu's; none where it is no such message."""
    try:
        body = json.loads(base64.b64decode(json.loads(payload)["body"]))
    except (ValueError, KeyError, TypeError):
        return []
    return body if isinstance(body, list) else [body]
