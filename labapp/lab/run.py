"""What a run is given, and what it leaves: history, verdict, and the evidence.

Plain values; ``labapp.lab.conductor`` fills them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labapp.checker.history import Attempt, BrokerState, History
from labapp.checker.verdict import Verdict, judge
from labapp.faults import Fault
from labapp.lab.publisher import Module
from labapp.views.keys import fold
from labapp.views.tables import NONE, Table
from labapp.views.verdict import VerdictView

Work = Sequence[tuple[Any, ...]]
"""Arguments of each task to send; the first of them is the business key."""


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
            overdue when the next worker starts.
        survivor: whether a second worker runs, idle, when the fault strikes, and has to do the
            rescue; otherwise a new one is started afterwards.
        drawing: whether the history also gets what a drawing needs: the broker's steps from
            MONITOR, and Celery's task events.  The verdict is the same.
        deadline: seconds that the queue may take to drain after the fault.
    """

    module: Module
    task: str
    work: Work
    worker: WorkerSettings = WorkerSettings()
    fault: Fault | None = None
    time_passes: bool = True
    survivor: bool = False
    drawing: bool = False
    deadline: float = 20.0


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

    def attempts(self, key: str) -> int:
        """How many requests for this business key reached the world."""
        return sum(attempt.key == key for attempt in self.history.of(Attempt))

    def __repr__(self) -> str:
        return f"{self.plan.fault or 'no fault'}\n{self.verdict!r}"
