"""The queue that a panel gives to its learner, and all that can be done to it by hand.

A session of its own, with a broker of its own from the beginning on: a running worker cannot be
moved to another broker, so one that was private only from the first crash on would cost the learner
the queue they have just built.  The broker that everybody uses is never touched.  Used by
``labapp.lab.panel.panel``, from one thread.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue

from labapp.errors import LabError
from labapp.lab.conductor import end
from labapp.lab.field import Field
from labapp.lab.panel.moment import AT_ONCE, QUEUE, Mark
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, WorkerSettings
from labapp.lab.session import Session
from labapp.node.client import StartedWorker
from labapp.stack.state import Stack
from labapp.views.keys import fold
from labapp.world.client import HeldRequest
from labapp.world.kinds import SERVED
from labapp.world.rules import Do, Point, Rule

MOST_WORKERS = 6
"""Workers that a panel may have at a time: each is three processes."""
HOLDS = {
    Point.BEFORE: "holds each request before its effect",
    Point.AFTER: "holds each request after its effect, and does not answer",
}
"""What the partner does, as the panel says it."""
NO_WORKER = LabError("no worker runs", hint="press New worker")


@dataclass(frozen=True, slots=True)
class Cut:
    """For the timeline: at this moment the tasks of a worker ended, or of one key on it."""

    worker: str
    at: float
    key: str = ""


class Shop:
    """A queue to break: a broker, workers, a partner.

    Args:
        stack: the running stack.
        module: the learner's module.
        task: name of the task; it takes an order's name.
        worker: how its workers are started.

    Raises:
        LabError: the module does not import or has no such task, the worker does not start, or
            the stack is gone.
    """

    def __init__(self, stack: Stack, module: Module, task: str, worker: WorkerSettings) -> None:
        self.session = Session(stack)
        self.field: Field | None = None
        self.notes: SimpleQueue[Mark | Cut] = SimpleQueue()
        """What was done, for the timeline; whoever draws it takes it from here."""
        self.partner = AT_ONCE
        self.paused: set[str] = set()
        """Workers that are paused, by their names on their nodes."""
        self._orders = itertools.count(1)
        try:
            self._open(Plan(module, task, (), worker))
        except BaseException:
            self.close()
            raise

    def _open(self, plan: Plan) -> None:
        field = self.field = Field(self.session, plan)
        field.boot = field.world.arm([]).boot
        field.own_broker(aof=True)
        publisher = field.publisher()
        if plan.task not in publisher.tasks:
            raise LabError(
                f"{plan.module.file.name} has no task {plan.task!r}",
                hint=f"its tasks: {', '.join(publisher.tasks) or 'none'}",
            )
        field.start_worker()

    @property
    def there(self) -> Field:
        """What it works with.  Raises LabError where it is closed."""
        if self.field is None:
            raise LabError("this panel has ended", hint="run its cell again")
        return self.field

    # Work

    def send(self, count: int = 1) -> str:
        """Send so many orders."""
        field = self.there
        sent = {str(uuid.uuid4()): f"order-{next(self._orders)}" for _ in range(count)}
        field.keys.update(sent)  # now: the broker may be heard before the sender
        try:
            calls = [(order,) for order in sent.values()]
            field.publisher().send(field.plan.task, calls, list(sent))
        except BaseException:
            for task_id in sent:
                del field.keys[task_id]
            raise
        return f"sent {fold(sent.values())}"

    def duplicate(self) -> str:
        """Send a task once more with the same id: the one that is held, or else the last one."""
        field = self.there
        if not field.keys:
            raise LabError("nothing has been sent yet", hint="press Send one")
        held = [request.key for request in field.world.read().held]
        chosen = {key: task_id for task_id, key in field.keys.items()}
        key = next((key for key in held if key in chosen), list(chosen)[-1])
        field.publisher().send(field.plan.task, [(key,)], [chosen[key]])
        return f"sent {key} again, with the same task id"

    # The partner

    def hold(self, point: Point) -> str:
        """From now on the partner holds each request before, or after, its effect."""
        field = self.there
        field.world.arm([Rule(point, Do.HOLD, times=0, kind=kind) for kind in SERVED])
        self.partner = HOLDS[point]
        return f"the partner {self.partner}"

    def answer(self) -> str:
        """The partner answers what it holds, and everything from now on."""
        field = self.there
        held = field.world.arm([]).held
        field.world.answer()
        self.partner = AT_ONCE
        told = fold(request.key for request in held)
        return f"the partner answered {told}" if told else f"the partner {AT_ONCE}"

    def forgotten(self) -> None:
        """The world was started anew: it holds nothing any more."""
        self.partner = AT_ONCE

    # Workers

    def new_worker(self) -> str:
        """Start one more worker; it sweeps at its start."""
        field = self.there
        if len(self.workers()) >= MOST_WORKERS:
            raise LabError(f"{MOST_WORKERS} workers run already", hint="kill one first")
        worker = field.start_worker()
        return f"{self.name(worker)} is ready"

    def kill_worker(self, name: str = "") -> str:
        """SIGKILL a worker with all its processes; what it had open at the partner is dropped."""
        field, worker = self.there, self.worker(name)
        held = list(self._held_by(worker))
        field.kill(worker)
        self.paused.discard(worker.name)
        self.notes.put(Cut(self.name(worker), time.time()))
        self._struck(worker, "killed")
        if held:  # an empty list would mean all that are held
            field.world.drop(held)
        return f"killed {self.name(worker)}{in_flight(held)}"

    def kill_child(self, name: str = "") -> str:
        """SIGKILL the pool process that has a request open at the partner."""
        field = self.there
        chosen = [self.worker(name)] if name else self.workers()
        if not chosen:
            raise NO_WORKER
        for worker in chosen:
            for held in self._held_by(worker):
                port, server_port = held.port, held.server_port
                field.nodes.verb(worker, "kill_child", port=port, server_port=server_port)
                self.notes.put(Cut(self.name(worker), time.time(), held.key))
                self._struck(worker, "child killed", held.key)
                field.world.drop([held])
                return f"killed the process of {self.name(worker)} that ran {held.key}"
        raise LabError(
            "no process has a request open at the partner",
            hint="press Hold before effect (or after), then Send one, then Kill child",
        )

    def pause(self, name: str = "") -> str:
        """SIGSTOP a worker; done when no message can reach it any more."""
        field = self.there
        worker = self.worker(name, [w for w in self.workers() if w.name not in self.paused])
        field.broker.wait_unblocked(field.pause(worker))
        self.paused.add(worker.name)
        self._struck(worker, "paused")
        return f"paused {self.name(worker)}"

    def resume(self, name: str = "") -> str:
        """SIGCONT."""
        asleep = [w for w in self.workers() if w.name in self.paused]
        if not asleep and not name:
            raise LabError("no worker is paused", hint="press Pause first")
        worker = self.worker(name, asleep)
        self.there.nodes.verb(worker, "resume")
        self.paused.discard(worker.name)
        self._struck(worker, "woken")
        return f"{self.name(worker)} goes on"

    def workers(self) -> list[StartedWorker]:
        """Those that have not ended, in the order of their start."""
        return list(self.there.live)

    def worker(self, name: str = "", among: list[StartedWorker] | None = None) -> StartedWorker:
        """The worker of this name (w1, …), or the first.  Raises LabError where there is none."""
        found = self.workers() if among is None else among
        if name:
            found = [worker for worker in self.workers() if self.name(worker) == name]
        if not found:
            raise LabError(f"there is no worker {name}", NO_WORKER.hint) if name else NO_WORKER
        return found[0]

    def name(self, worker: StartedWorker) -> str:
        """w1, w2, …"""
        return self.there.numbered[worker.name]

    def bury(self) -> None:
        """Take away workers that have ended by themselves."""
        states = {worker["name"]: worker["state"] for worker in self.session.workers()}
        for worker in self.workers():
            if states.get(worker.name) in (None, "exited"):
                self.there.kill(worker, as_step="ended")
                self.paused.discard(worker.name)

    def _held_by(self, worker: StartedWorker) -> Iterator[HeldRequest]:
        """The requests that the partner holds and this worker made."""
        field = self.there
        for held in field.world.read().held:
            owner = field.nodes.owner(held.port)
            if owner is not None and owner[0] == worker.name:
                yield held

    # The broker

    def restart_broker(self) -> str:
        """SIGKILL the panel's own broker, and start it again with what its file has kept."""
        field = self.there
        self._note("broker killed")
        field.kill_broker()
        field.restart_broker()
        self._note("broker back")
        left = len(field.broker.contents().messages())
        return f"killed the broker and started it again: {left} messages are left in it"

    def pass_time(self) -> str:
        """Let the visibility timeout pass for all that is unacknowledged."""
        field = self.there
        timeout = field.visibility_timeout
        field.travel()
        self._note("time passed")
        overdue = fold(field.key(message) for message in field.broker.contents().unacked.values())
        if not overdue:
            return f"{timeout:.0f} s passed; nothing was unacknowledged"
        return (
            f"{timeout:.0f} s passed (the visibility timeout): {overdue} overdue; the next worker "
            "that starts hands this back at once, one that runs already within 100 s"
        )

    def _note(self, kind: str) -> None:
        self.notes.put(Mark(QUEUE, kind, time.time()))

    def _struck(self, worker: StartedWorker, kind: str, key: str = "") -> None:
        self.notes.put(Mark(self.name(worker), kind, time.time(), key))

    def close(self) -> None:
        """End it: workers, broker, lease.  Nothing is left."""
        field, self.field = self.field, None
        if field is not None:
            end(field)
        self.session.close()


def in_flight(held: list[HeldRequest]) -> str:
    """What a worker had open at the partner, for a sentence's end."""
    return f", which had {fold(request.key for request in held)} in flight" if held else ""
