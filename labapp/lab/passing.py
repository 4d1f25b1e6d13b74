"""Hours that pass while work waits for its countdown, or while the partner takes long.

Steps of an experiment; used by ``labapp.lab.conductor``.  Time travels: everything unacknowledged
ages.  What follows from that is decided by the sweep of a real worker, which starts now and looks
at its start; a running one looks only every hundred seconds.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator

from labapp.checker.history import FaultFired, Restored
from labapp.errors import LabError
from labapp.faults import Fault, Moment
from labapp.lab.broker import POLL, wait_for
from labapp.lab.disturb import await_handed_back
from labapp.lab.drain import drained
from labapp.lab.field import Field, Unfired
from labapp.lab.rest import at_a_time, await_rest, rests
from labapp.lab.strike import TRIGGER_DEADLINE, accompany, settle
from labapp.node.client import StartedWorker
from labapp.world.client import HeldRequest
from labapp.world.kinds import SERVED, named
from labapp.world.rules import Do, Point, Rule

REAL_COUNTDOWN = 2.0
"""Seconds that a task with a countdown really waits; the rest is time travel.  Long enough for a
sweep or two on an idle machine; where it is not, the copies meet at the partner."""
FETCH_DEADLINE = 10.0
"""Seconds until everything with a countdown must have been fetched."""
MOST_SWEEPS = 4
"""Sweeps in one stretch of time, where the visibility timeout is short against it."""
SHUT = [Rule(Point.BEFORE, Do.HOLD, times=0, kind=kind) for kind in SERVED]
"""Rules of a partner that lets nobody in: every request is held."""


# A countdown


def let_wait(field: Field) -> None:
    """Send the work with a countdown, and let it pass.

    Should its real end come too early, on a slow machine, then the charges wait at the partner
    until time has passed: with late acknowledgement the copies are the same.

    Raises:
        Unfired: it came too early, and what was fetched is acknowledged already.
    """
    fault = field.plan.fault
    rules = fault.rules() if fault else []
    with field.timed("wait"):
        field.world.arm([*rules, *SHUT])
        field.publish(min(field.plan.countdown, REAL_COUNTDOWN))
        await_fetched(field)
        field.look("while it waited")
        for _ in stretches(field, field.plan.countdown):
            await_fetched(field)
        open_again(field, rules)


def await_fetched(field: Field) -> None:
    """Wait until everything sent is fetched, and nothing acknowledged.  Raises Unfired."""
    sent = set(field.keys)

    def fetched() -> bool:
        contents = field.broker.contents()
        return not contents.queued and contents.ids() == sent

    try:
        wait_for(fetched, "everything to be fetched", FETCH_DEADLINE)
    except LabError as error:
        raise Unfired(f"the countdown did not pass: {error.message}") from None


def open_again(field: Field, rules: list[Rule]) -> None:
    """The partner lets in everybody, copies included, but those whom these rules name."""
    names = {named(rule.kind, rule.key) for rule in rules}
    held = field.world.arm(rules).held
    if let_in := [request for request in held if request.name not in names]:
        field.world.answer(let_in)


# A slow partner


def take_long(field: Field, fault: Fault) -> None:
    """Hold the charges, as many at a time as the worker runs, let time pass, and answer them.

    Raises:
        Unfired: the charges never came.
        Gone: a service of the stack, or the worker, went away by itself.
    """
    worker, rules = field.live[0], fault.rules()
    for number, lot in enumerate(lots(fault, worker)):
        names = {moment.effect.name for moment in lot}
        with field.timed("hold"):
            held = await_lot(field, fault, names)
        with field.timed("settle"):
            if not number:
                settle(field, worker, held)
                accompany(field)
            if len(field.live) > 1:  # the others take what is left in the queue
                await_rest(field)
        field.look("while the partner was busy")
        handed_back = len(field.run.history.of(Restored))
        with field.timed("pass"):
            for _ in stretches(field, fault.passes):
                await_rest(field)
                if copies := len(field.run.history.of(Restored)) > handed_back:
                    break
        rules = [rule for rule in rules if named(rule.kind, rule.key) not in names]
        if copies:
            rules = []  # it is decided; whose copy would be copied next is chance
        open_again(field, rules)
        if not rules:
            break
    field.note(FaultFired(field.now(), fault.name, ()))


def await_lot(field: Field, fault: Fault, names: Collection[str]) -> tuple[HeldRequest, ...]:
    """Wait until all these charges are at the partner; or some, where the others cannot come now,
    because copies of the first ones take their places.  Raises Unfired."""
    deadline = time.monotonic() + TRIGGER_DEADLINE
    while time.monotonic() < deadline:
        reading = field.same_world(field.world.read())
        held = tuple(request for request in reading.held if request.name in names)
        if len({request.name for request in held}) == len(names) or (held and rests(field)):
            return held
        if not reading.open and drained(field):
            break
        field.require_alive()
        time.sleep(POLL)
    raise Unfired(f"{fault} never came")


def lots(fault: Fault, worker: StartedWorker) -> list[tuple[Moment, ...]]:
    """The fault's moments, as many at a time as the worker runs tasks."""
    size, found = at_a_time(worker), fault.moments
    return [found[start : start + size] for start in range(0, len(found), size)]


# Time


def stretches(field: Field, seconds: float) -> Iterator[None]:
    """Let so many seconds pass, cut where the shortest visibility timeout is over; after each cut a
    worker sweeps, and in any case one does.  Yields after each sweep."""
    left, swept = seconds, False
    while left > 0:
        worker = min(field.live, key=lambda worker: worker.visibility_timeout)
        step = min(left, max(worker.visibility_timeout + 1, seconds / MOST_SWEEPS))
        left -= step if step == left else step - 1  # exactly two timeouts outlast both
        if field.pass_time(step, worker.visibility_timeout) or not (swept or left > 0):
            sweep(field, worker)
            swept = True
            yield


def sweep(field: Field, like: StartedWorker) -> None:
    """Start a worker like this one; done when it has handed back what was overdue."""
    tags = list(field.broker.contents().unacked)
    field.start_worker(field.settings[like.name])
    await_handed_back(field, tags, like.visibility_timeout)
