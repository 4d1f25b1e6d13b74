"""Reading a run: what the world saw, what is left, what the results say.

The last step of an experiment; used by ``labapp.lab.conductor``.  Result states are read only after
the queue has drained: Celery acknowledges a failure before it stores it.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from labapp.checker.history import (
    Answered,
    Attempt,
    DeadLettered,
    Effect,
    Remaining,
    Result,
    Where,
)
from labapp.lab.broker import Contents, Message
from labapp.lab.dead_letters import read_letters
from labapp.lab.field import Field
from labapp.world.client import Reading
from labapp.world.kinds import Kind, named

FRAME = re.compile(
    r'^  File "(?P<file>.+)", line (?P<line>\d+), in .+\n    (?P<source>.+)$', re.MULTILINE
)
"""A frame of a traceback, as Python prints it."""


def read(field: Field, drained: bool) -> None:
    """Put everything that is known after the run into the history.

    Args:
        field: of the experiment.
        drained: whether the queue has drained; otherwise what is left is noted as remaining.
    """
    contents = field.look("when the run was read")
    reading = field.read_world()
    if Kind.FILE in field.plan.expect:
        field.run.stored = tuple(field.world.files())
    read_effects(field, reading)
    if Kind.BOOKING in field.plan.expect:
        read_bookings(field)
    read_dead_letters(field)
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
        elif kind == "answered":
            field.note(Answered(at - field.begun, key))


def read_bookings(field: Field) -> None:
    """The rows of the shop's own database, each an effect; when it was written it does not say.

    Raises:
        LabError: the database does not answer, or is locked.
    """
    field.run.booked = tuple(field.session.database.bookings())
    for row in field.run.booked:
        field.note(Effect(field.now(), named(Kind.BOOKING, row.order)))


def read_dead_letters(field: Field) -> None:
    """What was put aside; an entry that cannot be read, or whose task nobody sent, is nobody's."""
    left = read_letters(field.broker)
    if not field.plan.then_replay:
        field.run.letters = tuple(left)
    for letter in left:
        if letter.id in field.keys:
            for name in field.names(field.keys[letter.id]):
                field.note(DeadLettered(field.now(), name))


def read_remaining(field: Field, contents: Contents, reading: Reading) -> None:
    """What is still in the broker or running."""
    running = {request.key for request in reading.held}
    for message in contents.queued:
        remains(field, field.key(message), place_of(message, "queue", field.plan.horizon))
    for message in contents.unacked.values():
        at_work = field.key(message) in running
        where = "running" if at_work else place_of(message, "unacked", field.plan.horizon)
        remains(field, field.key(message), where)
    busy = field.busy()
    if busy is None:
        field.doubt("a worker did not say what it is doing")
        return
    for task_id in sorted(busy - contents.ids()):  # acknowledged early, and not ended
        remains(field, field.keys.get(task_id, task_id), "running")


def remains(field: Field, key: str, where: Where) -> None:
    """Note where the message of this key still is: each effect that it owes is to come."""
    for name in field.names(key):
        field.note(Remaining(field.now(), name, where))


def place_of(message: Message, otherwise: Where, horizon: float) -> Where:
    """Where a message stands that nobody works on: one that must not run yet is waiting, whether
    or not a worker has fetched it."""
    return "waiting" if message.eta > time.time() + horizon else otherwise


def read_results(field: Field) -> None:
    """The state of every task sent, as the result backend has it."""
    results = field.broker.results(field.keys)
    for task_id, key in field.keys.items():
        result = results.get(task_id, {"status": "PENDING"})
        body = result.get("result")
        error = str(body.get("exc_type", "")) if isinstance(body, dict) else ""
        raised = own_line(result.get("traceback") or "", field.plan.module.path)
        said = field.run.states.get(key, result["status"]).split(", ")
        field.run.states[key] = ", ".join(sorted({*said, result["status"]}))
        for name in field.names(key):
            field.note(Result(field.now(), name, result["status"], error, raised))


def own_line(traceback: str, folder: Path) -> str:
    """The innermost line of a traceback that stands in a module of this folder, with its source.

    Args:
        traceback: as Celery stores it with a failed result; "" for none.
        folder: of the learner's modules.

    Returns:
        "shop.py, line 27: raise KeyError(order)"; "" where no frame is of this folder.
    """
    found = [frame for frame in FRAME.finditer(traceback) if Path(frame["file"]).parent == folder]
    if not found:
        return ""
    last = found[-1]
    return f"{Path(last['file']).name}, line {last['line']}: {last['source']}"
