"""The conductor: carries one experiment out, the same way each time.

send under fault → faults off → recover → drain with a deadline → read the world.  The order of the
steps, and what each one waits for, is what makes a verdict the same on every run; docs/
experiments.md gives the reasons.  No step sleeps: each waits for a state, with a deadline.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from labapp.checker.history import (
    Attempt,
    BrokerState,
    Declared,
    Doubt,
    Effect,
    FaultFired,
    History,
    Note,
    Remaining,
    Restored,
    Result,
    Sent,
    Where,
)
from labapp.errors import LabError
from labapp.faults import Action, Fault
from labapp.lab.broker import POLL, Contents, Message
from labapp.lab.inspector import Inspector
from labapp.lab.run import Plan, Run
from labapp.lab.session import Session
from labapp.node.client import StartedWorker
from labapp.node.workers import WorkerSpec
from labapp.stack.control import Gone
from labapp.world.client import HeldRequest, Reading

TRIGGER_DEADLINE = 30.0
"""Seconds until the requests that a fault names must be in flight."""
SETTLE_DEADLINE = 3.0
"""Seconds that main may take to come to rest while its pool is held."""
STOP_DEADLINE = 30.0
"""Seconds that a worker may take to stop when asked to."""
SLICE = 0.25
"""Seconds of one wait for the trigger, between looks at whether it can still come."""
HORIZON = 5.0
"""Seconds: a message that must not run before this much later is waiting, not on its way."""


class Unfired(Exception):
    """The queue drained, or the trigger's deadline passed, and the fault did not strike."""


class Conductor:
    """One experiment.

    Args:
        session: what it may use.
        plan: what to do.
    """

    def __init__(self, session: Session, plan: Plan) -> None:
        self.session = session
        self.plan = plan
        self.run = Run(plan)
        self.world = session.scope()
        self.broker = session.broker
        self.nodes = session.nodes
        self.keys: dict[str, str] = {}
        """Business key of each task id sent."""
        self.live: list[StartedWorker] = []
        self.paused: list[tuple[StartedWorker, tuple[HeldRequest, ...]]] = []
        self.inspector = Inspector(self.broker.url)
        self.visibility_timeout = 0.0
        self.begun = time.time()
        self.boot = ""

    # The experiment from end to end

    def conduct(self) -> Run:
        """Carry it out.

        Returns:
            The run; its verdict is ``unknown`` where an observer failed or the fault did not fire.

        Raises:
            LabError: it could not begin (module does not import, worker exits at start, fault and
                worker do not fit).
        """
        self._check_fit()
        try:
            self._begin()
            try:
                self._strike_and_recover()
            except Unfired as unfired:
                self._doubt(f"the fault did not fire: {unfired}")
                self._read(drained=True)
            except Gone as gone:
                self._doubt(gone.message)
            return self.run
        finally:
            self._end()

    def _check_fit(self) -> None:
        fault, worker = self.plan.fault, self.plan.worker
        if fault is None or not fault.action.on_processes:
            return
        if fault.action is Action.KILL_CHILD and worker.pool != "prefork":
            raise LabError(
                f"kill child needs a pool with child processes, and {worker.pool} has none",
                hint="use kill_worker, or start the worker with pool='prefork'",
            )
        whole = fault.action is not Action.KILL_CHILD
        if whole and fault.moments and fault.in_flight != worker.concurrency:
            raise LabError(
                f"the worker runs {worker.concurrency} tasks at a time, "
                f"but the fault names {fault.in_flight} in flight",
                hint="name as many neighbouring charges as the worker's concurrency, "
                "so that who is in flight is no race",
            )

    def _begin(self) -> None:
        with self._timed("clean"):
            self.session.clean()
            fault = self.plan.fault
            self.boot = self.world.arm(fault.rules() if fault else []).boot
        with self._timed("publish"):
            self.publisher = self.session.publisher(self.plan.module)
            self.begun = time.time()
            if fault is None or fault.action is not Action.KILL_FETCHING:
                self._publish()
        with self._timed("start"):
            self._start_worker()

    def _publish(self) -> None:
        for task_id, call in zip(
            self.publisher.send(self.plan.task, self.plan.work), self.plan.work, strict=True
        ):
            self.keys[task_id] = str(call[0])
            self.run.history.append(Sent(self._now(), str(call[0]), task_id))

    def _strike_and_recover(self) -> None:
        fault = self.plan.fault
        if fault is not None and fault.action.on_processes:
            self._strike(fault)
        with self._timed("drain"):
            drained = self._drain()
        if fault is not None and not fault.action.on_processes:
            self._require_answered(fault)
        with self._timed("read"):
            self._read(drained)

    def _end(self) -> None:
        """Leave nothing running; the state of the broker stays for the learner to look at."""
        with self._timed("end"):
            try:
                self.world.arm([])
                self.world.drop()
                for worker in [*self.live, *(worker for worker, _ in self.paused)]:
                    self.run.logs.append(self.nodes.verb(worker, "log", lines=40)["tail"])
                    self.nodes.kill(worker)
            except LabError:  # the service is gone: the node's lease ends the rest
                pass
            self.world.close()
            self.inspector.close()

    # Faults

    def _strike(self, fault: Fault) -> None:
        if fault.every_time:
            self._strike_every_time(fault)
            return
        if fault.action is Action.KILL_FETCHING:
            self._strike_fetching(fault)
            return
        with self._timed("hold"):
            held = self._await_trigger(fault)
        with self._timed("settle"):
            self._settle(held)
        if self.plan.survivor:
            with self._timed("survivor"):
                self._start_worker()
                self.live.append(self.live.pop(0))
        before = self._look("when the fault struck")
        keys = tuple(request.key for request in held)
        with self._timed("strike"):
            self._act(fault, held)
            self.run.history.append(FaultFired(self._now(), fault.name, keys))
            self.world.arm([])
        if fault.action is Action.PAUSE:
            self._take_over()
        elif fault.action.ends_worker:
            self._recover(before)

    def _await_trigger(self, fault: Fault) -> tuple[HeldRequest, ...]:
        """Wait until every request that the fault names is held."""
        wanted = fault.in_flight
        if not wanted:
            return ()
        deadline = time.monotonic() + TRIGGER_DEADLINE
        while time.monotonic() < deadline:
            reading = self._checked(self.world.wait(held=wanted, timeout=SLICE))
            if len(reading.held) >= wanted:
                return reading.held
            if not reading.open and self._drained_once(self.broker.contents()):
                break
        raise Unfired(f"{fault} never came")

    def _act(self, fault: Fault, held: Sequence[HeldRequest]) -> None:
        worker = self.live[0]
        match fault.action:
            case Action.KILL_CHILD:
                self.nodes.verb(worker, "kill_child", port=held[0].port)
                self.world.drop(held)
            case Action.KILL_WORKER:
                self._kill(worker)
                self.world.drop(held)
            case Action.PAUSE:
                self._pause(worker, tuple(held))
            case _:  # TERM, QUIT, TERM_KILL
                self._stop(worker, fault.action, held)

    def _kill(self, worker: StartedWorker) -> None:
        """SIGKILL the whole worker; done when the broker has noticed, too."""
        self.live.remove(worker)
        self.run.logs.append(self.nodes.verb(worker, "log", lines=40)["tail"])
        self.broker.wait_gone(self.nodes.kill(worker))

    def _pause(self, worker: StartedWorker, held: tuple[HeldRequest, ...]) -> None:
        clients = self.nodes.verb(worker, "pause")["clients"]
        self.broker.wait_unblocked(clients)
        self.live.remove(worker)
        self.paused.append((worker, held))

    def _stop(self, worker: StartedWorker, action: Action, held: Sequence[HeldRequest]) -> None:
        """Ask the worker to stop; what is in flight may finish where the shutdown waits for it.

        TERM_KILL is a grace period that is over before the tasks are: they never finish."""
        signal = "QUIT" if action is Action.QUIT else "TERM"
        self.nodes.verb(worker, "signal", signal=signal)
        shutdown = self._await_shutdown(worker)
        if shutdown == "Warm" and action is Action.TERM_KILL:
            self._kill(worker)
        else:
            if shutdown != "Cold" and action is Action.TERM:
                self.world.answer(held)
            self._await_exit(worker)
        self.world.drop(held)

    def _await_shutdown(self, worker: StartedWorker) -> str:
        """Wait until main has heard the signal; its word for the shutdown: Warm, Cold or Soft."""
        text = "Soft Shutdown" if worker.report["soft_shutdown"] else "shutdown (MainProcess)"
        self.nodes.verb(worker, "wait_log", text=text, timeout=STOP_DEADLINE)
        tail = self.nodes.verb(worker, "log", lines=200)["tail"]
        shutdowns = {"Initiating Soft": "Soft", "Cold shutdown": "Cold", "Warm shutdown": "Warm"}
        return next(word for words, word in shutdowns.items() if words in tail)

    def _await_exit(self, worker: StartedWorker) -> None:
        status = self.nodes.verb(worker, "wait", timeout=STOP_DEADLINE)["exit_status"]
        if status is None:
            raise Gone(f"the worker did not stop within {STOP_DEADLINE:.0f} s")
        self._kill(worker)

    def _strike_every_time(self, fault: Fault) -> None:
        """A poison task: its child dies at each attempt, until the queue drains or we give up."""
        for key in fault.keys:
            self.run.history.append(Declared(self._now(), key))
        struck = 0
        with self._timed("strike"):
            while held := self._await_attempt(fault, struck):
                if struck == fault.give_up_after:
                    return  # the last attempt stays open: it is still running when we read
                self.nodes.verb(self.live[0], "kill_child", port=held[0].port)
                self.run.history.append(FaultFired(self._now(), fault.name, (held[0].key,)))
                self.world.drop(held)
                self.world.wait(quiet=True, timeout=0.0)
                struck += 1

    def _await_attempt(self, fault: Fault, struck: int) -> tuple[HeldRequest, ...]:
        """The next attempt that is held; empty when the queue has drained without one."""
        deadline = time.monotonic() + self.plan.deadline
        while True:
            reading = self._checked(self.world.wait(held=1, timeout=SLICE if struck else 0.05))
            if reading.held:
                return reading.held
            contents = self.broker.contents()
            over = time.monotonic() > deadline or self._all_waiting(contents)
            if over or (not reading.open and self._drained_once(contents)):
                if not struck:
                    raise Unfired(f"{fault} never came")
                return ()

    def _strike_fetching(self, fault: Fault) -> None:
        """Kill the worker between BRPOP, which takes a message off the queue, and the write to
        ``unacked``: two steps in kombu's Redis transport, with nothing in between to hold it.

        Main is stopped while its BRPOP waits; the broker hands the first message to its socket."""
        worker = self.live[0]
        with self._timed("strike"):
            while not self._hand_over(worker):
                self.nodes.verb(worker, "resume")
            before = self._look("when the fault struck")
            self._kill(worker)
            self.run.history.append(FaultFired(self._now(), fault.name, ()))
        self._recover(before)

    def _hand_over(self, worker: StartedWorker) -> bool:
        """Stop main in its BRPOP and publish; whether the first message left the queue.

        A BRPOP waits for one second; where it ended before the message came, nothing was sent
        yet that counts: the queue is emptied, for another try."""
        clients = self.nodes.verb(worker, "pause", main_only=True)["clients"]
        if not self.broker.blocked(clients):
            return False
        sent = len(self.run.history)
        self._publish()
        contents = self.broker.contents()
        if len(contents.messages()) < len(self.plan.work):
            return True
        self.broker.forget(contents.queued)
        self.keys.clear()
        self.run.history = History(list(self.run.history)[:sent])
        return False

    # Settling

    def _settle(self, held: Sequence[HeldRequest]) -> None:
        """Wait until main has come to rest: acknowledged what is done, fetched what it will.

        Without it, 1 of 12 runs went otherwise when main was slow."""
        worker = self.live[0]
        deadline = time.monotonic() + SETTLE_DEADLINE
        while time.monotonic() < deadline:
            contents = self.broker.contents()
            if self._at_rest(worker, contents, held):
                return
            time.sleep(POLL)
        self.run.history.append(Note(self._now(), "the worker did not come to rest"))

    def _at_rest(
        self, worker: StartedWorker, contents: Contents, held: Sequence[HeldRequest]
    ) -> bool:
        fetched_enough = worker.prefetch and len(contents.unacked) >= worker.prefetch
        if contents.queued and not fetched_enough:
            return False
        done = set(self._checked(self.world.read()).keys("answered"))
        acknowledged = done if self._acks_late(worker) else done | {h.key for h in held}
        left = {task_id for task_id, key in self.keys.items() if key not in acknowledged}
        return contents.ids() == left

    def _acks_late(self, worker: StartedWorker) -> bool:
        return bool(worker.report["tasks"].get(self.plan.task, {}).get("acks_late"))

    # Recovery

    def _recover(self, before: Contents) -> None:
        """Let time pass; then a new worker, which sweeps at its start, or the survivor's sweep."""
        with self._timed("travel"):
            self._note_handed_back(before)
            self._look("after it")
            if self.plan.time_passes:
                self._travel()
        if not self.plan.survivor:
            with self._timed("restart"):
                self._start_worker()

    def _note_handed_back(self, before: Contents) -> None:
        """What the old worker held and put back into the queue itself when it stopped."""
        held = {message.task_id for message in before.unacked.values()}
        back = [m for m in self.broker.contents().queued if m.task_id in held]
        self._restored(back)

    def _take_over(self) -> None:
        """The worker is paused: time passes, a second one drains the queue, the first wakes up."""
        with self._timed("travel"):
            self._travel()
        with self._timed("restart"):
            self._start_worker()
        with self._timed("take over"):
            self._drain()
        for worker, held in self.paused:
            self.nodes.verb(worker, "resume")
            self.live.append(worker)
            self.world.answer(held)
        self.paused.clear()

    def _travel(self) -> None:
        unacked = self.broker.contents().unacked
        if not unacked:
            return
        self.broker.travel(self.visibility_timeout + 1, unacked)
        self._restored(list(unacked.values()))

    def _restored(self, messages: Sequence[Message]) -> None:
        if messages:
            keys = tuple(self._key(message) for message in messages)
            self.run.history.append(Restored(self._now(), keys))

    # Draining and reading

    def _drain(self) -> bool:
        """Wait until drained, twice in a row, or the deadline; whether it is."""
        deadline = time.monotonic() + self.plan.deadline
        readings = 0
        while readings < 2:
            contents = self.broker.contents()
            if self._drained_once(contents):
                readings += 1
                continue
            readings = 0
            if (
                time.monotonic() > deadline
                or self._all_waiting(contents)
                or self._endless(contents)
            ):
                return False
            time.sleep(POLL)
        return True

    def _drained_once(self, contents: Contents) -> bool:
        """Nothing in the broker, no request open, and every live worker says it is idle."""
        if not contents.empty:
            return False
        sleeping = sum(len(held) for _, held in self.paused)
        reading = self._checked(self.world.read())
        return reading.open == sleeping and self._busy() == set()

    def _busy(self) -> set[str] | None:
        return self.inspector.busy([worker.hostname for worker in self.live])

    def _all_waiting(self, contents: Contents) -> bool:
        """Whether all that is left must not run for a while yet."""
        soonest = time.time() + HORIZON
        messages = contents.messages()
        return bool(messages) and all(message.eta > soonest for message in messages)

    def _endless(self, contents: Contents) -> bool:
        """Whether all that is left is the poison task that we gave up on."""
        fault = self.plan.fault
        if fault is None or not fault.every_time or contents.queued:
            return False
        held = {request.key for request in self._checked(self.world.read()).held}
        return bool(held) and {self._key(m) for m in contents.unacked.values()} <= held

    def _read(self, drained: bool) -> None:
        """Faults are over: what did the world see, what is left, what do the results say?"""
        contents = self._look("when the run was read")
        reading = self._checked(self.world.read())
        history = self.run.history
        for kind, key, at in reading.records:
            if kind == "attempt":
                history.append(Attempt(at - self.begun, key))
            elif kind == "effect":
                history.append(Effect(at - self.begun, key))
        if not drained:
            self._read_remaining(contents, reading)
        self._read_results()

    def _read_remaining(self, contents: Contents, reading: Reading) -> None:
        open_now = {request.key for request in reading.held}
        soonest = time.time() + HORIZON
        for message in contents.queued:
            self._remains(self._key(message), "queue")
        for message in contents.unacked.values():
            running = self._key(message) in open_now
            waiting = message.eta > soonest
            place: Where = "running" if running else "waiting" if waiting else "unacked"
            self._remains(self._key(message), place)
        self._read_running(contents)

    def _read_running(self, contents: Contents) -> None:
        """Tasks without a message in the broker (acknowledged early) that have not ended."""
        busy = self._busy()
        if busy is None:
            self._doubt("a worker did not say what it is doing")
            return
        for task_id in sorted(busy - contents.ids()):
            self._remains(self.keys.get(task_id, task_id), "running")

    def _remains(self, key: str, where: Where) -> None:
        self.run.history.append(Remaining(self._now(), key, where))

    def _read_results(self) -> None:
        results = self.broker.results(self.keys)
        for task_id, key in self.keys.items():
            result = results.get(task_id, {"status": "PENDING"})
            body = result.get("result")
            error = str(body.get("exc_type", "")) if isinstance(body, dict) else ""
            self.run.history.append(Result(self._now(), key, result["status"], error))

    def _require_answered(self, fault: Fault) -> None:
        """A fault that the world carries out alone has fired if its rules were used."""
        fired = self._checked(self.world.read()).fired
        if not all(fired):
            raise Unfired(f"{fault} never came")
        self.run.history.append(FaultFired(self._now(), fault.name, fault.keys))

    # Small things

    def _start_worker(self) -> None:
        settings = self.plan.worker
        spec = WorkerSpec(
            name=self.session.worker_name(),
            module=self.plan.module.name,
            path=str(self.plan.module.path),
            concurrency=settings.concurrency,
            pool=settings.pool,
            settings=settings.settings,
            env={**self.session.environment(self.world.partner_url), **settings.env},
            lease=self.session.lease.name,
        )
        worker = self.nodes.start(spec)
        self.live.insert(0, worker)
        self.visibility_timeout = float(worker.report["visibility_timeout"])
        self.run.commands.append(spec.command())

    def _look(self, label: str) -> Contents:
        """Read the broker, and keep it in the history as evidence."""
        contents = self.broker.contents()
        queued = tuple(self._key(message) for message in contents.queued)
        unacked = tuple(self._key(message) for message in contents.unacked.values())
        order = {key: place for place, key in enumerate(self.keys.values())}
        unacked = tuple(sorted(unacked, key=lambda key: order.get(key, -1)))
        self.run.history.append(BrokerState(self._now(), label, queued, unacked))
        return contents

    def _checked(self, reading: Reading) -> Reading:
        """The reading.  Raises Gone where another process of the world gave it."""
        if self.boot and reading.boot != self.boot:
            raise Gone("the world was restarted during the run")
        return reading

    def _key(self, message: Message) -> str:
        return self.keys.get(message.task_id) or message.first or message.task_id

    def _doubt(self, reason: str) -> None:
        self.run.history.append(Doubt(self._now(), reason))

    def _now(self) -> float:
        """Seconds since the run began, by the clock that the world uses."""
        return time.time() - self.begun

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.run.timings[phase] = self.run.timings.get(phase, 0.0) + spent
