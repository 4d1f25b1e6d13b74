"""Celery's own events of a run: received, started, succeeded, failed, retried.

For drawings only: events are asynchronous, die with the worker, and none exists for an
acknowledgement or a redelivery, so they are no witness.  Used by ``labapp.lab.conductor``.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.connection import Connection

SENT = "task-sent"
"""The one task event that is no worker's; the history knows better when a message was sent."""
SLICE = 0.2
"""Seconds of silence after which the recorder looks whether it is to stop."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event: ``at`` in seconds since the epoch, by the worker's clock."""

    at: float
    task_id: str
    name: str


class EventRecorder:
    """Records the task events of one broker from now until ``stop``.

    Args:
        url: the broker's address.
    """

    def __init__(self, url: str) -> None:
        self._events: list[Told] = []
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._record, args=(url,), daemon=True)
        self._thread.start()
        self._ready.wait(SLICE * 10)

    def _record(self, url: str) -> None:
        app = Celery("lab", set_as_current=False)
        # A broker that is killed takes its events with it; nothing rests on them.
        lost = Connection(url).recoverable_connection_errors  # type: ignore[no-untyped-call]
        with contextlib.suppress(*lost), Connection(url) as connection:  # type: ignore[no-untyped-call]
            receiver = app.events.Receiver(connection, handlers={"*": self._take})
            with receiver.consumer_context(wakeup=False) as (listening, _, _):
                self._ready.set()
                while not self._stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        listening.drain_events(timeout=SLICE)

    def _take(self, event: dict[str, Any]) -> None:
        kind = str(event.get("type", ""))
        if kind.startswith("task-") and kind != SENT:
            self._events.append(Told(event["timestamp"], event["uuid"], event["type"]))

    def stop(self) -> list[Told]:
        """Stop recording; every event that arrived."""
        self._stop.set()
        self._thread.join()
        return list(self._events)
