"""Waiting until a queue has drained: nothing left in the broker, no request open, nobody at work.

One of the steps of an experiment; used by ``labapp.lab.conductor`` and ``labapp.lab.strike``.
"""

from __future__ import annotations

import time

from labapp.lab.broker import POLL, Contents
from labapp.lab.field import Field
from labapp.stack.control import Gone

SHORT = 8
"""Messages that are looked at as often as none."""
LONGEST_PAUSE = 0.05
"""Seconds between two looks at a long queue."""
ROLL_CALL = 1.0
"""Seconds between two looks whether every worker is still there."""


def drain(field: Field) -> bool:
    """Wait until drained, confirmed by a second reading, or the plan's deadline; whether it is.

    Ends early where what is left cannot move: it waits for a time to come, it is a poison task that
    the run has given up on, or a worker has exited by itself."""
    now = time.monotonic()
    deadline, roll_call = now + field.plan.deadline, now + ROLL_CALL
    while True:
        contents = field.broker.contents()
        if contents.empty and drained(field):
            return True
        now = time.monotonic()
        if now > deadline or all_waiting(field, contents) or endless(field, contents):
            return False
        if now > roll_call:
            if deserted(field):
                return False
            roll_call = now + ROLL_CALL
        time.sleep(pause(len(contents.messages())))


def pause(left: int) -> float:
    """Seconds until the next look: the more is left, the later, for a look reads all of it."""
    return min(POLL * (1 + left // SHORT), LONGEST_PAUSE)


def drained(field: Field) -> bool:
    """Nothing in the broker, no request open, every live worker idle; and all of it once more.

    One reading is not enough: main acknowledges a lost task before it sends its retry, and the
    broker may be looked at between the two."""
    return all(field.broker.contents().empty and quiet(field) for _ in range(2))


def quiet(field: Field) -> bool:
    """No request open (those of a paused worker apart), and every live worker is idle.

    A worker that is cut off may have given up a request by then: there may be less of them."""
    asleep = sum(len(held) for _, held in field.paused)
    return field.read_world().open <= asleep and field.busy() == set()


def deserted(field: Field) -> bool:
    """Whether a worker has exited by itself; whoever reads the run says so."""
    try:
        field.require_alive()
    except Gone:
        return True
    return False


def all_waiting(field: Field, contents: Contents) -> bool:
    """Whether all that is left must not run for a while yet."""
    soonest = time.time() + field.plan.horizon
    messages = contents.messages()
    if not messages or any(message.eta <= soonest for message in messages):
        return False
    # The waiting messages count as reserved; what was acknowledged early may still run.
    busy = field.busy()
    return busy is not None and busy <= contents.ids() and not field.read_world().open


def endless(field: Field, contents: Contents) -> bool:
    """Whether all that is left is the poison task that the run has given up on."""
    fault = field.plan.fault
    if fault is None or not fault.every_time or contents.queued:
        return False
    held = {request.key for request in field.read_world().held}
    return bool(held) and {field.key(m) for m in contents.unacked.values()} <= held
