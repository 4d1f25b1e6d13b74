"""Waiting until a run has come to rest: nothing can go on without the partner.

Where copies of a message are on their way, it would be a race whether one begins before the other
has ended; so whoever holds requests lets go of them when every copy has come as far as it can.  One
of the steps of an experiment; used by ``labapp.lab.passing`` and ``labapp.lab.disturb``.
"""

from __future__ import annotations

import time

from labapp.checker.history import Note
from labapp.lab.broker import POLL
from labapp.lab.field import Field
from labapp.lab.inspector import SOON
from labapp.node.client import StartedWorker

REST_DEADLINE = 10.0
"""Seconds until all that can run must have run, or have come to the partner."""


def await_rest(field: Field, soon: float = SOON) -> None:
    """Wait until the copies that were handed out are at the partner, or have ended.

    Otherwise it would be a race whether a copy begins before the first one has ended.

    Args:
        field: of the experiment.
        soon: what waits for a time to come is waited for where that is within so many seconds; 0
            where a copy that has put itself off has come as far as it can.
    """
    deadline = time.monotonic() + REST_DEADLINE
    while time.monotonic() < deadline:
        if rests(field, soon):
            return
        time.sleep(POLL)
    field.note(Note(field.now(), "the workers did not come to rest"))


def rests(field: Field, soon: float = SOON) -> bool:
    """Whether nothing can go on without the partner.  One reading is not enough: a message may be
    on its way to a worker, in no key of the broker."""
    return resting(field, soon) and resting(field, soon)


def resting(field: Field, soon: float) -> bool:
    """Whether every task that runs is at the partner, and none that could run waits to begin."""
    load = field.inspector.load([worker.hostname for worker in field.live], soon)
    if load is None:
        return False
    full = [load[w.hostname][0] >= at_a_time(w) for w in field.live]
    begun = all(
        is_full or not load[w.hostname][1] for is_full, w in zip(full, field.live, strict=True)
    )
    reading = field.read_world()
    at_partner = reading.open == len(reading.held) == sum(running for running, _ in load.values())
    return at_partner and begun and (all(full) or not field.broker.contents().queued)


def at_a_time(worker: StartedWorker) -> int:
    """How many tasks the worker runs at the same time."""
    return 1 if worker.report["pool"] == "solo" else worker.concurrency
