"""The field of one experiment: its workers, its scope of the world, its broker, its history.

What the steps of an experiment share.  Used by ``labapp.lab.conductor`` and the modules of its
steps (``strike``, ``drain``, ``reading``); nobody else needs it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from labapp.checker.history import BrokerState, Doubt, Event, Restored, Sent
from labapp.lab.broker import Contents, Message
from labapp.lab.inspector import Inspector
from labapp.lab.run import Plan, Run
from labapp.lab.session import Session
from labapp.node.client import StartedWorker
from labapp.node.workers import QUIET, WorkerSpec
from labapp.stack.control import Gone
from labapp.world.client import HeldRequest, Reading

LOG_LINES = 40
"""Lines of each worker's log that a run keeps."""


class Field:
    """Everything one experiment works with.

    Args:
        session: the lease under which workers run.
        plan: what the experiment is to do.
    """

    def __init__(self, session: Session, plan: Plan) -> None:
        self.session = session
        self.plan = plan
        self.run = Run(plan)
        self.broker = session.broker
        self.nodes = session.nodes
        self.world = session.scope()
        self.inspector = Inspector(self.broker.url)
        self.keys: dict[str, str] = {}
        """Business key of each task id sent."""
        self.live: list[StartedWorker] = []
        """Workers that run, the one that faults strike first."""
        self.paused: list[tuple[StartedWorker, tuple[HeldRequest, ...]]] = []
        self.visibility_timeout = 0.0
        """Seconds, as the worker started last has it."""
        self.boot = ""
        """Identity of the world's process when the run began."""
        self.begun = time.time()

    # Sending and workers

    def publish(self) -> None:
        """Send the work, and note what is expected of it."""
        plan = self.plan
        ids = self.session.publisher(plan.module).send(plan.task, plan.work)
        for task_id, call in zip(ids, plan.work, strict=True):
            self.keys[task_id] = str(call[0])
            self.note(Sent(self.now(), str(call[0]), task_id))

    def start_worker(self) -> StartedWorker:
        """Start a worker and wait until it is ready.  Raises LabError where it exits at start."""
        settings = self.plan.worker
        spec = WorkerSpec(
            name=self.session.worker_name(),
            module=self.plan.module.name,
            path=str(self.plan.module.path),
            concurrency=settings.concurrency,
            pool=settings.pool,
            settings=settings.settings,
            env={**self.session.environment(self.world.partner_url), **settings.env},
            arguments=(*QUIET, "--task-events"),  # for Flower; no verdict looks at them
            warm=self.session.warm,
            lease=self.session.lease.name,
        )
        worker = self.nodes.start(spec)
        self.live.append(worker)
        self.visibility_timeout = float(worker.report["visibility_timeout"])
        self.run.commands.append(spec.command())
        return worker

    def kill(self, worker: StartedWorker) -> None:
        """SIGKILL the whole worker; done when it is reaped and the broker has noticed, too."""
        self.live.remove(worker)
        self._keep_log(worker)
        self.broker.wait_gone(self.nodes.kill(worker))

    def kill_all(self) -> None:
        """SIGKILL every worker that is left, paused ones included."""
        for worker in [*self.live, *(worker for worker, _ in self.paused)]:
            self._keep_log(worker)
            self.nodes.kill(worker)

    def _keep_log(self, worker: StartedWorker) -> None:
        self.run.logs.append(self.nodes.verb(worker, "log", lines=LOG_LINES)["tail"])

    def busy(self) -> set[str] | None:
        """Ids of the tasks that live workers run or have reserved; None where one is silent.

        Raises:
            Gone: a worker has exited by itself.
        """
        busy = self.inspector.busy([worker.hostname for worker in self.live])
        if busy is None:
            self.require_alive()
        return busy

    def require_alive(self) -> None:
        """Raises Gone where a live worker has exited by itself, or its node has forgotten it."""
        known = {worker["name"]: worker for worker in self.session.workers()}
        for name in (worker.name for worker in self.live):
            if name not in known:
                raise Gone("the node was restarted during the run")
            if known[name]["state"] == "exited":
                raise Gone(f"a worker exited by itself (status {known[name]['exit_status']})")

    # Looking

    def look(self, label: str) -> Contents:
        """Read the broker, and keep it in the history as evidence."""
        contents = self.broker.contents()
        place = {key: number for number, key in enumerate(self.keys.values())}
        held = sorted(map(self.key, contents.unacked.values()), key=lambda k: place.get(k, -1))
        queued = tuple(map(self.key, contents.queued))
        self.note(BrokerState(self.now(), label, queued, tuple(held)))
        return contents

    def read_world(self) -> Reading:
        """What the world says now.  Raises Gone where it was restarted since the run began."""
        return self.same_world(self.world.read())

    def same_world(self, reading: Reading) -> Reading:
        """The reading.  Raises Gone where another process of the world gave it."""
        if self.boot and reading.boot != self.boot:
            raise Gone("the world was restarted during the run")
        return reading

    def key(self, message: Message) -> str:
        """The business key of a message."""
        return self.keys.get(message.task_id) or message.first or message.task_id

    # Time travel

    def travel(self) -> None:
        """Let the visibility timeout pass for everything unacknowledged."""
        unacked = self.broker.contents().unacked
        self.broker.travel(self.visibility_timeout + 1, unacked)
        self.restored(list(unacked.values()))

    def restored(self, messages: Sequence[Message]) -> None:
        """Note that these messages come back."""
        if messages:
            self.note(Restored(self.now(), tuple(map(self.key, messages))))

    # The history

    def note(self, event: Event) -> None:
        """Add an event to the history."""
        self.run.history.append(event)

    def doubt(self, reason: str) -> None:
        """Note that nothing may be judged."""
        self.note(Doubt(self.now(), reason))

    def now(self) -> float:
        """Seconds since the run began, by the clock that the world uses."""
        return time.time() - self.begun

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the seconds spent inside to the run's timings."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.run.timings[phase] = self.run.timings.get(phase, 0.0) + spent
