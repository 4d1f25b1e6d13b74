"""Reading a run: what the world saw, what is left, what the results say.

The last step of an experiment; used by ``labapp.lab.conductor``.  Result states are read only after
the queue has drained: Celery acknowledges a failure before it stores it.
"""

from __future__ import annotations

import time

from labapp.checker.history import Attempt, Effect, Remaining, Result, Where
from labapp.lab.broker import Contents, Message
from labapp.lab.drain import HORIZON
from labapp.lab.field import Field
from labapp.world.client import Reading


def read(field: Field, drained: bool) -> None:
    """Put everything that is known after the run into the history.

    Args:
        field: of the experiment.
        drained: whether the queue has drained; otherwise what is left is noted as remaining.
    """
    contents = field.look("when the run was read")
    reading = field.read_world()
    read_effects(field, reading)
    if not drained:
        read_remaining(field, contents, reading)
    read_results(field)


def read_effects(field: Field, reading: Reading) -> None:
    """What reached the world, and what took place there."""
    for kind, key, at in reading.records:
        if kind == "attempt":
            field.note(Attempt(at - field.begun, key))
        elif kind == "effect":
            field.note(Effect(at - field.begun, key))


def read_remaining(field: Field, contents: Contents, reading: Reading) -> None:
    """What is still in the broker or running."""
    running = {request.key for request in reading.held}
    for message in contents.queued:
        field.note(Remaining(field.now(), field.key(message), "queue"))
    for message in contents.unacked.values():
        place = place_of(message, field.key(message) in running)
        field.note(Remaining(field.now(), field.key(message), place))
    busy = field.busy()
    if busy is None:
        field.doubt("a worker did not say what it is doing")
        return
    for task_id in sorted(busy - contents.ids()):  # acknowledged early, and not ended
        field.note(Remaining(field.now(), field.keys.get(task_id, task_id), "running"))


def place_of(message: Message, running: bool) -> Where:
    """Where an unacknowledged message stands."""
    if running:
        return "running"
    return "waiting" if message.eta > time.time() + HORIZON else "unacked"


def read_results(field: Field) -> None:
    """The state of every task sent, as the result backend has it."""
    results = field.broker.results(field.keys)
    for task_id, key in field.keys.items():
        result = results.get(task_id, {"status": "PENDING"})
        body = result.get("result")
        error = str(body.get("exc_type", "")) if isinstance(body, dict) else ""
        field.note(Result(field.now(), key, result["status"], error))
