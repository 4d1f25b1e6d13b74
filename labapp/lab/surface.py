"""``connect()`` and ``Lab``: the small surface that notebooks use.

lab = connect()
run = lab.run(charge, orders(10), worker=lab.worker(task_acks_late=True),
              fault=kill_worker(after=charge_of("order-3"), before=charge_of("order-4")))
run.verdict
"""

from __future__ import annotations

import os
from typing import Any

from labapp.errors import LabError
from labapp.faults import Fault
from labapp.lab.conductor import conduct
from labapp.lab.peek import peek
from labapp.lab.run import Plan, Run, Work, WorkerSettings
from labapp.lab.session import Session, module_of
from labapp.stack.state import find_stack
from labapp.views.tables import Table, comparison


def orders(count: int) -> list[tuple[str]]:
    """Work: ``count`` orders, ``order-1`` and so on, one task each."""
    if count < 1:
        raise LabError("there must be at least one order", hint="orders(10) makes ten")
    return [(f"order-{number}",) for number in range(1, count + 1)]


def compare(**runs: Run) -> Table:
    """Verdicts side by side, one row per run; underscores in the names become spaces."""
    return comparison({name.replace("_", " "): run.judged for name, run in runs.items()})


class BrokerView:
    """The broker as a notebook looks at it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def peek(self) -> Table:
        """What lies in the broker now: queues, unacknowledged messages, results."""
        return peek(self._lab.session.broker)


class Lab:
    """A connection to the running stack; made by ``connect()``."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self.broker = BrokerView(self)
        self.session  # noqa: B018  find out now whether there is a stack

    @property
    def session(self) -> Session:
        """The session of this kernel; a new one where the stack was restarted meanwhile.

        Raises:
            LabError: no stack is running.
        """
        if self._session is None or not self._session.alive:
            if self._session is not None:
                self._session.close()
                self._session = None
            stack = find_stack()
            self._session = Session(stack)
            live = stack.broker_url(0)
            os.environ.update(
                CELERY_BROKER_URL=live,
                CELERY_RESULT_BACKEND=live,
                PARTNER_URL=f"{stack.world_url}/live",
            )
        return self._session

    def worker(
        self,
        *,
        concurrency: int = 2,
        pool: str = "prefork",
        env: dict[str, str] | None = None,
        **settings: Any,
    ) -> WorkerSettings:
        """How the workers of a run are started.

        Args:
            concurrency: pool size.
            pool: prefork, threads, solo or gevent.
            env: environment variables.
            settings: Celery settings by name, e.g. ``task_acks_late=True``.

        Raises:
            LabError: Celery has no setting of that name.
        """
        known_settings(settings)
        return WorkerSettings(concurrency, pool, settings, env or {})

    def run(
        self,
        task: Any,
        work: Work,
        *,
        worker: WorkerSettings | None = None,
        fault: Fault | None = None,
        time_passes: bool = True,
        survivor: bool = False,
        drawing: bool = False,
        deadline: float = 20.0,
    ) -> Run:
        """One experiment: publish the work, start a worker, let the fault strike, drain, judge.

        Args:
            task: a Celery task, imported from a module.
            work: arguments of each task to send, e.g. ``orders(10)``.
            worker: how workers are started; ``lab.worker(…)``.
            fault: what strikes; None for nothing.
            time_passes: whether an hour passes after the fault (the visibility timeout).
            survivor: whether a second, idle worker has to do the rescue, not a new one.
            drawing: whether the history also gets the broker's steps and Celery's task events.
            deadline: seconds that the queue may take to drain.

        Raises:
            LabError: the experiment could not begin.
        """
        plan = Plan(
            module=module_of(task),
            task=task.name,
            work=work,
            worker=worker or WorkerSettings(),
            fault=fault,
            time_passes=time_passes,
            survivor=survivor,
            drawing=drawing,
            deadline=deadline,
        )
        return conduct(self.session, plan)

    def __repr__(self) -> str:
        broker = self.session.stack.broker
        return f"lab: {broker.engine} {broker.version}, {len(self.session.nodes.urls)} node(s)"


def known_settings(settings: dict[str, Any]) -> None:
    """Raises LabError for a name that is no Celery setting, with the nearest one that is."""
    from difflib import get_close_matches

    from celery.app.defaults import SETTING_KEYS

    for name in settings:
        if name not in SETTING_KEYS:
            near = get_close_matches(name, SETTING_KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else "see Celery's configuration page"
            raise LabError(f"Celery has no setting {name!r}", hint=hint)


def connect() -> Lab:
    """The lab of the stack that runs here.

    Raises:
        LabError: none is running.
    """
    return Lab()
