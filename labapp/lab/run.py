"""What a run is given, and what it leaves: history, verdict, and the evidence.

Plain values; ``labapp.lab.conductor`` fills them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labapp.checker.history import Attempt, BrokerState, History, Mark
from labapp.checker.verdict import Verdict, judge
from labapp.errors import LabError
from labapp.faults import Fault
from labapp.lab.database import Booking
from labapp.lab.dead_letters import Letter, letters_table
from labapp.lab.publisher import Module
from labapp.views.keys import fold
from labapp.views.storm import Requests
from labapp.views.tables import NONE, Table
from labapp.views.timeline import Timeline
from labapp.views.verdict import VerdictView
from labapp.world.kinds import Kind
from labapp.world.store import StoredFile

Work = Sequence[tuple[Any, ...]]
"""Arguments of each task to send; the first of them is the business key."""
HORIZON = 5.0
"""Seconds: a message that must not run before this much later is waiting, where no plan says
otherwise."""
CAME = {"queued": "published", "redelivered": "handed back", "rejected": "put back by its worker"}
"""How a message comes into a queue, in words."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How the workers of a run are started.

    Args:
        concurrency: pool size.
        pool: prefork, threads, solo or gevent.
        settings: Celery settings by their names, as in ``app.conf``.
        env: further environment variables.
    """

    concurrency: int = 2
    pool: str = "prefork"
    settings: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """One experiment before it runs.

    Args:
        module: where the task is.
        task: its name.
        work: arguments of each task to send.
        worker: how its workers are started.
        fault: what strikes; None for nothing.
        time_passes: whether time travels after the fault, so that unacknowledged messages are
            overdue when the next worker starts; a number: so many seconds pass, and no more.
        survivor: whether a second worker runs, idle, when the fault strikes, and has to do the
            rescue; otherwise a new one is started afterwards.
        beside: a worker of another app on the same broker, with settings of its own; it starts
            when the first one is at work.
        countdown: seconds before which no task may run, as its sender says; most of them pass by
            time travel.
        copies: how often each task is sent, under as many task ids; it owes its effects once.
        drawing: whether the history also gets what a drawing needs: the broker's steps from
            MONITOR, and Celery's task events.  The verdict is the same.
        deadline: seconds that the queue may take to drain after the fault.
        expect: kinds of effect that each task owes the world, or the shop's database, one of each.
        refused: business keys of work that cannot be done as it was sent: the only good end is that
            it has failed, and its result says so.
        node: which node runs its first worker (index); each further one is started on the next.
        supervised: whether somebody starts a worker again after the fault has ended the one there
            was; otherwise nobody does.
        horizon: seconds: a message that must not run before this much later is waiting, not on its
            way; where nothing else is left, the run is over.
        by_replay: whether the work comes as dead letters that are replayed, not from a publisher.
        then_replay: whether the dead letters that lie there in the end are replayed, with the fault
            off, before the run is judged.
    """

    module: Module
    task: str
    work: Work
    worker: WorkerSettings = WorkerSettings()
    fault: Fault | None = None
    time_passes: bool | float = True
    survivor: bool = False
    beside: WorkerSettings | None = None
    countdown: float = 0.0
    copies: int = 1
    drawing: bool = False
    deadline: float = 20.0
    expect: tuple[Kind, ...] = (Kind.CHARGE,)
    refused: tuple[str, ...] = ()
    node: int = 0
    supervised: bool = True
    horizon: float = HORIZON
    by_replay: bool = False
    then_replay: bool = False


class Run:
    """One experiment that has run.

    Attributes:
        plan: what was asked for.
        history: everything that was seen.
        timings: seconds by phase.
        commands: command lines of its workers, in order of their start.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.history = History()
        self.timings: dict[str, float] = {}
        self.commands: list[list[str]] = []
        self.logs: list[str] = []
        self.stored: tuple[StoredFile, ...] = ()
        self.booked: tuple[Booking, ...] = ()
        self.states: dict[str, str] = {}
        """State of the result, by business key; of several tasks for one key each state once."""
        self.letters: tuple[Letter, ...] = ()
        """The dead letters that the work left."""
        self.outcomes: list[tuple[str, str, str]] = []
        """Worker, exit status and why, of those that the fault left to themselves."""

    @property
    def judged(self) -> Verdict:
        """The checker's answer, as a plain value."""
        return judge(self.history)

    @property
    def verdict(self) -> VerdictView:
        """The checker's answer, to be shown."""
        return VerdictView(self.judged)

    @property
    def broker(self) -> Table:
        """What lay in the broker at each moment that the run looked."""
        rows = [
            (state.label, fold(state.queue) or NONE, fold(state.unacked) or NONE)
            for state in self.history.of(BrokerState)
        ]
        return Table(("moment", "queue", "unacked"), rows, "What the broker held")

    @property
    def ends(self) -> Table:
        """What became of the workers that the fault left to themselves."""
        return Table(("worker", "exit status", "why"), self.outcomes, "What became of the workers")

    @property
    def files(self) -> Table:
        """The files that lay in the world when the run was read."""
        rows = [
            (file.name, str(file.size), "complete" if file.complete else "torn")
            for file in self.stored
        ]
        return Table(("file", "bytes", "state"), rows, "What the world's files were like")

    @property
    def bookings(self) -> Table:
        """The rows of the shop's table of bookings when the run was read."""
        rows = [(row.order, row.customer, row.amount) for row in self.booked]
        return Table(("order", "customer", "amount"), rows, "What the shop's books say")

    @property
    def dead_letters(self) -> Table:
        """The dead letters that the work left, before any of them was replayed."""
        return letters_table(self.letters)

    @property
    def timeline(self) -> Timeline:
        """What happened to each task, in order: a picture, and the same in words.

        Raises:
            LabError: the run was made without ``drawing=True``.
        """
        self._needs_drawing("a timeline")
        return Timeline(self.history)

    @property
    def messages(self) -> Table:
        """How each order that was in a queue more than once came there: ids by number, in order.

        Raises:
            LabError: the run was made without ``drawing=True``.
        """
        self._needs_drawing("messages")
        into = [mark for mark in self.history.of(Mark) if mark.tag]
        often = Counter(mark.key for mark in into)
        twice = [mark for mark in into if often[mark.key] > 1]
        tasks, tags = numbers(m.task_id for m in twice), numbers(m.tag for m in twice)
        rows = [
            (m.key, CAME[m.step], tasks[m.task_id], tags[m.tag], "yes" if m.again else "no")
            for m in twice
        ]
        columns = ("order", "came into the queue", "task id", "delivery tag", "redelivered")
        return Table(columns, rows, "What came into the queue more than once")

    def waits(self, key: str) -> tuple[float, ...]:
        """For how many seconds each retry of this business key was to wait, as its message said.

        When it really came, ``requests.waits`` says.

        Raises:
            LabError: the run was made without ``drawing=True``.
        """
        self._needs_drawing("waits")
        into = [mark for mark in self.history.of(Mark) if mark.key == key and mark.tag]
        return tuple(mark.wait for mark in into[1:] if mark.step == "queued")

    def _needs_drawing(self, what: str) -> None:
        if not self.plan.drawing:
            raise LabError(
                f"this run kept nothing to draw {what} from",
                hint="run it again with lab.run(…, drawing=True)",
            )

    @property
    def requests(self) -> Requests:
        """When each request came to the partner, and what became of it: a picture, and the certain
        part of it in words."""
        return Requests(self.history)

    def attempts(self, key: str) -> int:
        """How many requests for this business key reached the world."""
        return sum(attempt.key == key for attempt in self.history.of(Attempt))

    def __repr__(self) -> str:
        return f"{self.plan.fault or 'no fault'}\n{self.verdict!r}"


def numbers(ids: Iterable[str]) -> dict[str, str]:
    """``#1``, ``#2``, … for these ids, in the order in which each first occurs."""
    return {name: f"#{place}" for place, name in enumerate(dict.fromkeys(ids), start=1)}
