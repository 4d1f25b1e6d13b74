"""SIGQUIT at a worker whose main has not heard yet that a task has begun.

One of the steps of an experiment; used by ``labapp.lab.strike``.  A cold shutdown cancels the tasks
of which main knows that they run (celery/worker/consumer/consumer.py, ``cancel_active_requests``),
and then waits for the pool.  A task whose first word is still in the pipe is in neither list.
"""

from __future__ import annotations

import time

from labapp.checker.history import FaultFired
from labapp.faults import Fault
from labapp.lab.broker import POLL, Contents, wait_for
from labapp.lab.field import Field, Unfired
from labapp.node.client import StartedWorker
from labapp.stack.control import Gone
from labapp.views.tables import NONE
from labapp.world.client import HeldRequest

DEADLINE = 30.0
"""Seconds that each step may take."""
SLICE = 0.25
"""Seconds of one wait for the charge."""
LOG_LINES = 1000
"""Lines of a log in which is looked for what follows: each stack has some hundred."""
RECEIVED = "] received"
HEARD = "Hitting Ctrl+C again"
"""What main prints first in its handler (celery/apps/worker.py, ``on_cold_shutdown``)."""
IN_JOIN = "in on_stop_not_started"
"""The frame in which main waits for its pool, in the stack that SIGUSR1 has it print."""
REPORTED = ", in cry\n"
"""Once in each report: the frame that makes it, in main's own stack (celery/utils/debug.py)."""
REPORT_ENDS = "}"
"""The end of a report: local variables, which Python 3.13 prints otherwise than 3.11."""
LOOKS = 3
"""Stacks in which main has to be there: it reads its pipes in that frame, so it has heard by then
of what had begun."""


def strike_unheard(field: Field, fault: Fault) -> Contents:
    """Begin a task unheard, send SIGQUIT, and wait until the worker ends or waits for its pool.

    Returns:
        What the broker held when the signal came.

    Raises:
        Unfired: the charge was never begun.
        Gone: the worker neither ended nor waited.
    """
    worker = field.live[0]
    with field.timed("hold"):
        held = begin_unheard(field, worker)
    before = field.look("when the fault struck")
    with field.timed("strike"):
        field.struck(worker, "QUIT")
        field.nodes.verb(worker, "signal", signal="QUIT", at_once=True)
        field.nodes.verb(worker, "resume")
        waits = await_pool(field, worker)
        if waits and not worker.acks_late(field.plan.task):
            await_early_ack(field, held[0].key)
        if waits and fault.signals > 1:
            field.nodes.verb(worker, "signal", signal="QUIT", at_once=True)
            waits = field.nodes.verb(worker, "wait", timeout=DEADLINE)["exit_status"] is None
        end(field, worker, waits)
        field.world.drop(held)
        field.note(FaultFired(field.now(), fault.name, tuple(request.name for request in held)))
        field.world.arm([])
    return before


def begin_unheard(field: Field, worker: StartedWorker) -> tuple[HeldRequest, ...]:
    """Hand a task to a pool that is stopped; stop main; let the pool go on until it charges."""
    processes = field.plan.worker.concurrency
    wait_for(
        lambda: field.inspector.ready_processes(worker.hostname) >= processes,
        "the pool's processes to be up",  # main gives a task to nobody else
        DEADLINE,
    )
    field.nodes.verb(worker, "pause", children_only=True)
    field.publish()
    wanted = min(len(field.plan.work), worker.prefetch or len(field.plan.work))
    wait_for(
        lambda: field.log_of(worker, LOG_LINES).count(RECEIVED) >= wanted, "main to fetch", DEADLINE
    )
    # at rest: what it had for the pool is written, since a pipe that can be written keeps it awake
    field.nodes.verb(worker, "pause", main_only=True, at_rest=True)
    field.nodes.verb(worker, "resume", children_only=True)
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if held := field.same_world(field.world.wait(held=1, timeout=SLICE)).held:
            return held
    raise Unfired("the charge was never begun")


def await_pool(field: Field, worker: StartedWorker) -> bool:
    """Wait until the worker ends (False), or says, asked for its stack, that it waits (True).

    It is asked again only when it has answered: two answers at once are an error in main's print.
    """
    asked = 0
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if field.exit_status(worker) is not None:
            return False
        tail = field.log_of(worker, LOG_LINES)
        ended = not asked or tail.rstrip().endswith(REPORT_ENDS)
        answered = ended and tail.count(REPORTED) == asked
        if answered and tail.count(IN_JOIN) >= LOOKS:
            return True
        if answered and HEARD in tail:
            field.nodes.verb(worker, "signal", signal="USR1", at_once=True)
            asked += 1
        time.sleep(POLL)
    raise Gone(f"the worker neither ended nor waited within {DEADLINE:.0f} s")


def await_early_ack(field: Field, key: str) -> None:
    """Wait until the task's message is gone: main, which has heard of it by now, acknowledges it
    from a thread that comes by each half second (celery/concurrency/prefork.py, ``on_stop``)."""
    wait_for(
        lambda: all(field.key(one) != key for one in field.broker.contents().unacked.values()),
        "the early acknowledgement",
        DEADLINE,
    )


def end(field: Field, worker: StartedWorker, waits: bool) -> None:
    """Kill a worker that waits, as an orchestrator does; keep what became of it."""
    name = field.numbered[worker.name]
    if waits:
        field.run.outcomes.append((name, NONE, "waited for its task, and was killed"))
        field.kill(worker)
    else:
        field.run.outcomes.append((name, str(field.exit_status(worker)), "ended"))
        field.kill(worker, as_step="ended")
