"""Faults of messages, of the broker and of the link to it; ``labapp.lab.strike`` has the others.

One of the steps of an experiment.  A run that crashes its broker has one of its own, and a run that
is about the link between worker and broker has one that can be cut; both belong to a node, and
end with the run.  docs/experiments.md has the reasons.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from labapp.checker.history import FaultFired, Note
from labapp.faults import Action, Fault
from labapp.lab.broker import POLL, wait_for
from labapp.lab.field import Field, Unfired
from labapp.lab.rest import await_rest
from labapp.node.client import StartedWorker
from labapp.node.link import Way
from labapp.stack.control import Gone
from labapp.views.tables import NONE
from labapp.world.client import HeldRequest

BACK_DEADLINE = 40.0
"""Seconds that a worker may take to find its broker again (Celery waits 2, 4, 6 … s between two
tries; celery/worker/consumer/consumer.py)."""
CATCH_DEADLINE = 10.0
"""Seconds in which main must once be waiting in its BRPOP (it does so nearly always)."""
WORD_DEADLINE = 30.0
"""Seconds until main must have said what it makes of the loss of its broker."""
LOG_LINES = 200
"""Lines of a log in which that is looked for: a traceback of some eighty follows it."""
ENDS, STAYS = "Unrecoverable error", "Trying again in"
"""What main logs: it ends (celery/worker/worker.py, ``WorkController.start``), or it looks for its
broker (celery/worker/consumer/consumer.py, ``Consumer.ensure_connected``)."""
END_DEADLINE = 20.0
"""Seconds until a task whose order is to be sent again must have ended."""
REDELIVERY_DEADLINE = 20.0
"""Seconds until the sweep of a new worker must have handed a message back (it sweeps at start)."""

Held = tuple[HeldRequest, ...]


def surround(field: Field) -> None:
    """Give the run what its fault needs: a broker of its own, a link that can be cut."""
    fault = field.plan.fault
    if fault is None:
        return
    if fault.action.crashes_broker:
        field.own_broker(aof=fault.aof)
    elif fault.action.on_link:
        field.open_link()
        if fault.action is Action.SLOW_LINK:
            field.set_link(Way.OPEN, fault.delay)
            field.note(FaultFired(field.now(), fault.name, ()))


# Messages


def duplicate(field: Field, fault: Fault, held: Held) -> None:
    """Make a second copy of the message whose task is held, and let the task go on.

    Raises:
        Unfired: it was to be redelivered, and is acknowledged already.
        LabError: its task did not end, so that it could be sent again.
    """
    key = held[0].key
    if fault.action is Action.SEND_TWICE:
        send_twice(field, held)
    elif fault.action is Action.PUBLISH_TWICE:
        field.publish_again(key)
    else:
        redeliver(field, key)
    if fault.together:
        await_rest(field, soon=0.0)
    field.note(FaultFired(field.now(), fault.name, (held[0].name,)))
    field.world.answer(field.world.arm([]).held)


def send_twice(field: Field, held: Held) -> None:
    """Let the task go on, and send its order again when it has ended."""
    field.world.arm([])
    field.world.answer(held)
    ids = field.ids_of(held[0].key)
    wait_for(lambda: ended(field, ids) and ended(field, ids), "a task to end", END_DEADLINE)
    field.send_again(held[0].key)


def ended(field: Field, ids: Collection[str]) -> bool:
    """Whether none of these tasks is in the broker, or at work.

    One look is not enough: a retry is sent after the attempt before it is over."""
    busy = field.busy()
    return busy is not None and not field.broker.contents().ids().union(busy).intersection(ids)


def redeliver(field: Field, key: str) -> None:
    """Let one message's time pass, and start a worker, which hands it back at its start."""
    unacked = field.broker.contents().unacked
    tags = [tag for tag, message in unacked.items() if field.key(message) == key]
    if not tags:
        raise Unfired(f"{key} was acknowledged before its work, so it cannot come back")
    field.travel(tags)
    await_handed_back(field, tags, field.start_worker().visibility_timeout)


def await_handed_back(field: Field, tags: Collection[str], timeout: float) -> None:
    """Wait until the sweep of a worker that has just been started has handed back what is overdue.

    Args:
        field: of the experiment.
        tags: delivery tags that may be overdue.
        timeout: visibility timeout of that worker, in seconds.

    Raises:
        LabError: it did not, in time.
    """
    wait_for(
        lambda: not field.broker.overdue(tags, timeout),
        "a sweep to hand back what is overdue",
        REDELIVERY_DEADLINE,
    )


# The broker


def crash_broker(field: Field, worker: StartedWorker) -> None:
    """SIGKILL the broker, then the worker, then start the broker again.

    A worker that loses its broker ends by itself or lives on, by chance (kombu 5.7.0: whether its
    BRPOP was waiting); one that finds it again may take messages before we look.  So it is killed
    while there is nothing to find."""
    field.kill_broker()
    field.kill(worker)
    field.restart_broker()


def lose_broker(field: Field, worker: StartedWorker, held: Held) -> None:
    """SIGKILL the broker, see what the worker makes of it, and start the broker again.

    One that ends waits for its tasks first, and one that stays goes on with them: so the held
    requests are answered in both cases, once there is a broker again to take the results."""
    catch(field, worker)
    field.kill_broker()
    field.nodes.verb(worker, "resume")
    ends = await_word(field, worker) == ENDS
    field.restart_broker()
    field.world.answer(held)
    if ends:
        await_end(field, worker)
    else:
        await_back(field, worker)


def catch(field: Field, worker: StartedWorker) -> None:
    """Stop main while its BRPOP waits; where it has fetched all it may, it has none.

    Between two BRPOPs, each of which waits a second, it would survive (kombu 5.7.0)."""
    deadline = time.monotonic() + CATCH_DEADLINE
    while time.monotonic() < deadline:
        clients = field.pause(worker, main_only=True)
        full = worker.prefetch and len(field.broker.contents().unacked) >= worker.prefetch
        if full or field.broker.blocked(clients):
            return
        field.nodes.verb(worker, "resume")
    raise Gone("the worker was never waiting for a message")


def await_word(field: Field, worker: StartedWorker) -> str:
    """Wait until main has said what it does without a broker: the word, of ``ENDS`` and
    ``STAYS``."""
    deadline = time.monotonic() + WORD_DEADLINE
    while time.monotonic() < deadline:
        said = field.log_of(worker, LOG_LINES)
        found = [word for word in (ENDS, STAYS) if word in said]
        if found:
            return found[0]
        time.sleep(POLL)
    raise Gone(f"the worker did not notice within {WORD_DEADLINE:.0f} s that the broker is gone")


def await_end(field: Field, worker: StartedWorker) -> None:
    """Wait until the worker has ended by itself, and keep how."""
    told = field.log_of(worker, LOG_LINES)
    why = next(line.partition(ENDS)[2] for line in told.splitlines() if ENDS in line)
    status = field.nodes.verb(worker, "wait", timeout=BACK_DEADLINE)["exit_status"]
    if status is None:
        raise Gone(f"the worker did not end within {BACK_DEADLINE:.0f} s")
    field.run.outcomes.append((field.numbered[worker.name], str(status), why.strip(" :")))
    field.kill(worker, as_step="ended")


def await_back(field: Field, worker: StartedWorker) -> None:
    """Wait until the worker has found its broker again, and answers."""
    wait_for(
        lambda: field.inspector.busy([worker.hostname]) is not None,
        "the worker to find its broker again",
        BACK_DEADLINE,
    )
    field.run.outcomes.append((field.numbered[worker.name], NONE, "found its broker again"))


# The link


def cut_off(field: Field, action: Action, worker: StartedWorker, held: Held) -> None:
    """Cut or stall the link; done when no message can reach the worker any more."""
    field.struck(worker, "cut off")
    hit = field.set_link(Way.STALLED if action is Action.STALL else Way.CUT)
    if action is Action.STALL:
        field.broker.wait_unblocked(hit)
    else:
        field.broker.wait_gone(hit)
    field.live.remove(worker)
    field.paused.append((worker, held))


def reconnect(field: Field, worker: StartedWorker, held: Held) -> None:
    """Mend the link, let the worker finish what it had begun, and wait until it is back.

    One that ended by itself when it lost its broker is noted, and is no doubt."""
    field.struck(worker, "reconnected")
    field.set_link(Way.OPEN)
    field.world.answer(held)
    deadline = time.monotonic() + BACK_DEADLINE
    while time.monotonic() < deadline:
        if field.inspector.busy([worker.hostname]) is not None:
            field.live.append(worker)
            return
        status = field.exit_status(worker)
        if status is not None:
            field.note(Note(field.now(), f"the worker ended with status {status}"))
            field.gone.append(worker)
            return
    raise Gone(f"the worker did not come back within {BACK_DEADLINE:.0f} s")
