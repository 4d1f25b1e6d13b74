"""The field of one experiment: its workers, its scope of the world, its broker, its history.

What the steps of an experiment share.  Used by ``labapp.lab.conductor`` and the modules of its
steps (``strike``, ``drain``, ``reading``); nobody else needs it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from labapp.checker.history import (
    BrokerState,
    Declared,
    Doubt,
    Event,
    Restored,
    Sent,
    TimeTravel,
    WorkerStarted,
    WorkerStruck,
)
from labapp.errors import LabError
from labapp.lab.broker import Broker, Contents, Message
from labapp.lab.dead_letters import OnRedis, put_aside, replay_all
from labapp.lab.forward import EventForwarder
from labapp.lab.inspector import Inspector
from labapp.lab.publisher import Publisher
from labapp.lab.run import Plan, Run, Work, WorkerSettings
from labapp.lab.session import Session
from labapp.node.client import OpenLink, StartedBroker, StartedWorker
from labapp.node.link import Way
from labapp.node.workers import QUIET, WorkerSpec
from labapp.stack.control import Gone
from labapp.stack.state import broker_environment
from labapp.world.client import HeldRequest, Reading
from labapp.world.kinds import SERVED, named

LOG_LINES = 40
"""Lines of each worker's log that a run keeps."""


class Unfired(Exception):
    """The queue drained, or the trigger's deadline passed, and the fault did not strike."""


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
        self.settings: dict[str, WorkerSettings] = {}
        """How each worker was started, by its name on its node."""
        self.numbered: dict[str, str] = {}
        """w1, w2, … in order of start, by the worker's name on its node."""
        self.addresses: dict[str, str] = {}
        """Whose connection to the broker (w1, …), by its address; as far as it was looked up."""
        self.gone: list[StartedWorker] = []
        """Workers that ended by themselves, where the experiment expects that they may."""
        self._own_broker: StartedBroker | None = None
        self._own_publisher: Publisher | None = None
        self._forwarder: EventForwarder | None = None
        self._link: OpenLink | None = None
        self.at_restart: list[Callable[[], None]] = []
        """What is to be done when this run's own broker has been started again."""
        self.broker_is_down = False
        """Whether this run's own broker is killed and not started again."""
        self.visibility_timeout = 0.0
        """Seconds, as the worker started last has it."""
        self.boot = ""
        """Identity of the world's process when the run began."""
        self.begun = time.time()

    # Sending and workers

    def publish(self, countdown: float = 0.0) -> None:
        """Send the work, to run in so many seconds, and note what is expected of it."""
        plan = self.plan
        calls = [*plan.work] * plan.copies
        if plan.by_replay:
            ids = self.publish_by_replay(calls)
        else:
            ids = self.publisher().send(plan.task, calls, countdown=countdown)
        sent = {task_id: str(call[0]) for task_id, call in zip(ids, calls, strict=True)}
        self.keys.update(sent)
        for kind in plan.expect:
            for task_id in ids[: len(plan.work)]:  # copies owe nothing of their own
                self.note(Sent(self.now(), named(kind, sent[task_id]), task_id))
        for name in (name for key in plan.refused for name in self.names(key)):
            self.note(Declared(self.now(), name))

    def publish_by_replay(self, calls: Work) -> list[str]:
        """Put the work aside as dead letters, then replay all of them; the task ids, in order.

        Raises:
            LabError: the module has no such task.
        """
        ids = put_aside(self.broker, self.plan.task, calls)
        for _ in replay_all(OnRedis(self.broker), self.publisher().tasks):
            pass
        return ids

    def publisher(self) -> Publisher:
        """The process that sends, to this run's broker.  Raises LabError as `Publisher` does."""
        if self._own_broker is None:
            return self.session.publisher(self.plan.module)
        if self._own_publisher is None:
            env = self.session.environment(
                f"{self.session.stack.world_url}/{self.session.lease.name}"
            )
            self._own_publisher = Publisher(
                self.plan.module, env | broker_environment(self.broker.url)
            )
        return self._own_publisher

    def make_tables(self) -> None:
        """Let the module make the shop's tables, where it has any.

        Raises:
            LabError: the database does not answer, or the module's ``migrate()`` failed.
        """
        publisher = self.publisher()  # imports the module, if it is new
        if publisher.migrates:
            self.session.database.prepare()
            publisher.migrate()

    def publish_again(self, key: str) -> None:
        """Send the task of this key once more, with the same task id."""
        self.publisher().send(self.plan.task, [self._call(key)], [self.ids_of(key)[0]])

    def send_again(self, key: str) -> None:
        """Send the task of this key once more under another task id; it owes nothing more."""
        for task_id in self.publisher().send(self.plan.task, [self._call(key)]):
            self.keys[task_id] = key

    def _call(self, key: str) -> tuple[Any, ...]:
        return next(call for call in self.plan.work if str(call[0]) == key)

    def ids_of(self, key: str) -> list[str]:
        """The task ids under which this key was sent, in order."""
        return [task_id for task_id, known in self.keys.items() if known == key]

    def start_worker(self, settings: WorkerSettings | None = None) -> StartedWorker:
        """Start a worker, the plan's or one with these settings, and wait until it is ready.

        Raises:
            LabError: it exits at start.
        """
        settings = settings or self.plan.worker
        spec = WorkerSpec(
            name=self.session.worker_name(),
            module=self.plan.module.name,
            path=str(self.plan.module.path),
            concurrency=settings.concurrency,
            pool=settings.pool,
            settings=settings.settings,
            env=self._environment(settings),
            arguments=(*QUIET, "--task-events"),  # for Flower; no verdict looks at them
            warm=self.session.warm,
            lease=self.session.lease.name,
        )
        began = self.now()
        worker = self.nodes.start(spec, self._node(len(self.run.commands)))
        self.numbered[worker.name] = f"w{len(self.run.commands) + 1}"
        early = not worker.acks_late(self.plan.task)
        room = worker.prefetch if worker.fetches_ahead else 0
        self.note(WorkerStarted(began, self.numbered[worker.name], early, room))
        self.live.append(worker)
        self.settings[worker.name] = settings
        self.visibility_timeout = worker.visibility_timeout
        self.run.commands.append(spec.command())
        return worker

    def _node(self, started: int = 0) -> int:
        """On which node a worker is started, when so many have been."""
        return self.nodes.place(self.plan.node + started)

    def _environment(self, settings: WorkerSettings) -> dict[str, str]:
        """What a worker is told; only the first one reaches the broker through the link."""
        through = self._link if not self.run.commands else None
        url = through.url if through is not None else self.broker.url
        ours = self.session.environment(self.world.partner_url) | broker_environment(url)
        return {**ours, **settings.env}

    def kill(
        self, worker: StartedWorker, as_step: str = "killed", keys: Iterable[str] = ()
    ) -> None:
        """SIGKILL the whole worker; done when it is reaped and the broker, if up, has noticed.

        ``as_step`` says in the history what became of it ("ended" where it had ended before), and
        ``keys`` whose tasks it struck, where not all that it had in hand."""
        self.live.remove(worker)
        self._keep_log(worker)
        self.struck(worker, as_step, keys)
        clients = self.nodes.kill(worker)
        self.met(worker, clients)
        if not self.broker_is_down:
            self.broker.wait_gone(clients)

    def kill_all(self) -> None:
        """SIGKILL every worker that is left, paused ones included."""
        for worker in [*self.live, *self.gone, *(worker for worker, _ in self.paused)]:
            self._keep_log(worker)
            self.nodes.kill(worker)

    def pause(self, worker: StartedWorker, main_only: bool = False) -> list[str]:
        """SIGSTOP the worker, or its main process only; its ends of its broker connections."""
        told = self.nodes.verb(worker, "pause", main_only=main_only)
        clients: list[str] = told["clients"]
        self.met(worker, clients)
        return clients

    def _keep_log(self, worker: StartedWorker) -> None:
        self.run.logs.append(self.log_of(worker, LOG_LINES))

    def log_of(self, worker: StartedWorker, lines: int) -> str:
        """The last lines of a worker's log."""
        return str(self.nodes.verb(worker, "log", lines=lines)["tail"])

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

    def exit_status(self, worker: StartedWorker) -> int | None:
        """The exit status of a worker that has ended by itself; None where it runs."""
        known = {w["name"]: w for w in self.session.workers()}
        status: int | None = known.get(worker.name, {}).get("exit_status")
        return status

    # A broker of its own, and a link that can be cut

    def own_broker(self, aof: bool) -> None:
        """Start a broker for this run alone, and use it from now on."""
        self._own_broker = self.nodes.start_broker(self.session.lease.name, aof, self._node())
        self.broker = Broker(self._own_broker.url)
        session = self.session
        if self.broker.url != session.broker.url:
            self._forwarder = EventForwarder(
                self.broker.url, session.broker.url, session.lease.database
            )
        self._inspect_anew()

    def kill_broker(self) -> None:
        """SIGKILL this run's own broker."""
        if self._own_broker is not None:
            self.note(WorkerStruck(self.now(), "", "broker killed"))
            self.nodes.kill_broker(self._own_broker)
            self.broker_is_down = True

    def restart_broker(self) -> None:
        """Start this run's own broker again, with what is left of its data."""
        if self._own_broker is not None:
            self.nodes.restart_broker(self._own_broker)
            self.broker_is_down = False
            for listen in self.at_restart:
                listen()
        self._inspect_anew()

    def _inspect_anew(self) -> None:
        self.inspector.close()
        self.inspector = Inspector(self.broker.url)

    def open_link(self) -> None:
        """Open a link to the broker; the worker started first goes through it."""
        lease = self.session.lease.name
        self._link = self.nodes.open_link(lease, self.broker.url, self._node())

    def set_link(self, way: Way, delay: float = 0.0) -> list[str]:
        """Cut, stall, slow down or mend the link; the broker's ends of what this hit."""
        return self.nodes.set_link(self._link, way, delay) if self._link is not None else []

    def close(self) -> None:
        """End what the run had of its own, and close its connections."""
        if self._own_publisher is not None:
            self._own_publisher.close()
        if self._forwarder is not None:
            self._forwarder.close()
        with contextlib.suppress(LabError):  # a node that is gone has taken them along
            if self._link is not None:
                self.nodes.close_link(self._link)
            if self._own_broker is not None:
                self.nodes.end_broker(self._own_broker)
        if self._own_broker is not None:
            self.broker.close()
        self.world.close()
        self.inspector.close()

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

    def names(self, key: str) -> tuple[str, ...]:
        """What the history calls the effects that a task of this business key owes."""
        return tuple(named(kind, key) for kind in self.plan.expect)

    def served(self, key: str) -> tuple[str, ...]:
        """Those of these effects that come to the world as requests."""
        return tuple(named(kind, key) for kind in self.plan.expect if kind in SERVED)

    # Time travel

    def pass_time(self, seconds: float, timeout: float) -> bool:
        """Let so many seconds pass for everything unacknowledged, and for keys with a time to live.

        Args:
            seconds: how many.
            timeout: the visibility timeout of whoever sweeps next, in seconds.

        Returns:
            Whether a message is overdue by now.
        """
        unacked = self.broker.contents().unacked
        self.note(TimeTravel(self.now(), seconds))
        self.broker.age_keys(seconds)
        self.broker.travel(seconds, unacked)
        late = self.broker.overdue_among(unacked, timeout)
        self.restored([unacked[tag] for tag in late])
        return bool(late)

    def travel(self, tags: Iterable[str] | None = None) -> None:
        """Let the visibility timeout pass for everything unacknowledged, or for these tags.

        It passes for every key with a time to live as well."""
        held = self.broker.contents().unacked
        unacked = {tag: held[tag] for tag in (held if tags is None else tags) if tag in held}
        self.note(TimeTravel(self.now(), self.visibility_timeout))
        self.broker.age_keys(self.visibility_timeout + 1)
        self.broker.travel(self.visibility_timeout + 1, unacked)
        self.restored(list(unacked.values()))

    def restored(self, messages: Sequence[Message]) -> None:
        """Note that these messages come back."""
        if messages:
            names = [name for message in messages for name in self.names(self.key(message))]
            self.note(Restored(self.now(), tuple(names)))

    # The history

    def struck(self, worker: StartedWorker, step: str, keys: Iterable[str] = ()) -> None:
        """Note what is done to a worker now, for drawings; see `WorkerStruck`."""
        self.note(WorkerStruck(self.now(), self.numbered[worker.name], step, tuple(keys)))

    def meet(self, worker: StartedWorker) -> None:
        """Look up a worker's connections to the broker, for drawings."""
        self.met(worker, self.nodes.verb(worker, "clients")["clients"])

    def met(self, worker: StartedWorker, clients: Iterable[str]) -> None:
        """Keep in mind whose these broker connections are, for drawings."""
        self.addresses.update(dict.fromkeys(clients, self.numbered[worker.name]))

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
