"""``connect()`` and ``Lab``: the small surface that notebooks use.

lab = connect()
run = lab.run(charge, orders(10), worker=lab.worker(task_acks_late=True),
              fault=kill_worker(after=charge_of("order-3"), before=charge_of("order-4")))
run.verdict
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labapp.errors import LabError
from labapp.faults import Fault
from labapp.lab.conductor import conduct
from labapp.lab.database import VARIABLE
from labapp.lab.dead_letters import DeadLetters, OnRedis
from labapp.lab.front import Front
from labapp.lab.matrix import Matrix, run_matrix
from labapp.lab.opened import keys_opened, message_opened, result_opened
from labapp.lab.peek import peek
from labapp.lab.publisher import first_shop
from labapp.lab.rabbitmq_shop import RabbitMQ
from labapp.lab.run import Plan, Run, Work, WorkerSettings
from labapp.lab.session import Session, module_of
from labapp.stack.state import find_stack
from labapp.views.storm import Storm
from labapp.views.tables import Table, comparison
from labapp.world.kinds import Kind

if TYPE_CHECKING:
    from labapp.lab.panel.panel import Panel


def orders(count: int) -> list[tuple[str]]:
    """Work: ``count`` orders, ``order-1`` and so on, one task each."""
    if count < 1:
        raise LabError("there must be at least one order", hint="orders(10) makes ten")
    return [(f"order-{number}",) for number in range(1, count + 1)]


def compare(**runs: Run) -> Table:
    """Verdicts side by side, one row per run; underscores in the names become spaces."""
    return comparison({name.replace("_", " "): run.judged for name, run in runs.items()})


def storm(**runs: Run) -> Storm:
    """Requests over time, run below run, on one scale; underscores in the names become spaces."""
    return Storm({name.replace("_", " "): run.requests for name, run in runs.items()})


class BrokerView:
    """The broker as a notebook looks at it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def peek(self) -> Table:
        """What lies in the broker now: queues, unacknowledged messages, results."""
        return peek(self._lab.session.broker)

    def keys(self, pattern: str = "*") -> Table:
        """Every key that is there now, with its type and when it expires.

        Args:
            pattern: only keys that match it, as in Redis's KEYS.
        """
        return keys_opened(self._lab.session.broker, pattern)

    def message(self) -> Table:
        """The message that is next in the queue, opened field by field."""
        return message_opened(self._lab.session.broker)

    def result(self) -> Table:
        """One stored result, opened field by field."""
        return result_opened(self._lab.session.broker)


class Lab:
    """A connection to the running stack; made by ``connect()``."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self.broker = BrokerView(self)
        self.dead_letters = DeadLetters(lambda: OnRedis(self.session.broker), self._known_tasks)
        self.rabbitmq = RabbitMQ()
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
            os.environ.update(stack.live_environment())
            os.environ[VARIABLE] = self._session.database.url
        return self._session

    def _known_tasks(self) -> set[str] | None:
        """Tasks of the modules that the session of now has sent from; None for none yet."""
        return self.session.tasks()

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
        time_passes: bool | float = True,
        survivor: bool = False,
        beside: WorkerSettings | None = None,
        countdown: float = 0.0,
        copies: int = 1,
        node: int = 0,
        drawing: bool = False,
        deadline: float = 20.0,
        expect: str | Sequence[str] = Kind.CHARGE,
        supervised: bool = True,
        by_replay: bool = False,
        then_replay: bool = False,
    ) -> Run:
        """One experiment: publish the work, start a worker, let the fault strike, drain, judge.

        Args:
            task: a Celery task, imported from a module.
            work: arguments of each task to send, e.g. ``orders(10)``.
            worker: how workers are started; ``lab.worker(…)``.
            fault: what strikes; None for nothing.
            time_passes: whether an hour passes after the fault (the visibility timeout); or how
                many seconds pass.
            survivor: whether a second, idle worker has to do the rescue, not a new one.
            beside: ``lab.worker(…)`` of another app on the same broker.
            countdown: seconds before which no task may run; time travels through most of them.
            copies: how often each task is sent, as by customers who click twice: each time under
                another task id, and its effects are still owed once.
            node: which node runs the first worker, from 0; each further one starts on the next.
            drawing: whether the history also gets the broker's steps and Celery's task events.
            deadline: seconds that the queue may take to drain.
            expect: kinds of effect that each task owes: "charge", "mail", "file", "booking",
                or several.
            supervised: whether somebody starts a worker again once the first one has ended.
            by_replay: whether the work comes as dead letters that are replayed.
            then_replay: whether dead letters that lie there in the end are replayed, with the fault
                off, before the run is judged.

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
            beside=beside,
            countdown=countdown,
            copies=copies,
            node=self._known_node(node),
            drawing=drawing,
            deadline=deadline,
            expect=expected(expect),
            supervised=supervised,
            by_replay=by_replay,
            then_replay=then_replay,
        )
        return conduct(self.session, plan)

    def _known_node(self, number: int) -> int:
        """The number.  Raises LabError where there is no such node."""
        count = len(self.session.nodes.urls)
        if not 0 <= number < count:
            hint = f"nodes are numbered from 0 to {count - 1}" if count > 1 else "leave node= out"
            raise LabError(f"there is no node {number}: this lab has {count}", hint=hint)
        return number

    def matrix(
        self,
        task: Any,
        work: Work,
        *,
        worker: WorkerSettings | None = None,
        expect: str | Sequence[str] = Kind.CHARGE,
        deadline: float = 20.0,
        seed: int = 0,
        only: str | Sequence[str] = (),
        by_replay: bool = False,
    ) -> Matrix:
        """The crash matrix: the task under every fault, before and after each of its effects.

        Args:
            task: a Celery task, imported from a module.
            work: arguments of each task to send, e.g. ``orders(5)``; each row strikes one of them.
            worker: how workers are started; each runs one task at a time here.
            expect: kinds of effect that each task owes: "charge", "mail", "file", "booking",
                or several.
            deadline: seconds that each row's queue may take to drain.
            seed: chooses which order each row strikes; the row's name says which.
            only: the name of one row, or several, to run nothing else.
            by_replay: whether the work comes as dead letters that are replayed.

        Raises:
            LabError: an experiment could not begin, or there is no such row.
        """
        plan = Plan(
            module=module_of(task),
            task=task.name,
            work=work,
            worker=worker or WorkerSettings(),
            deadline=deadline,
            expect=expected(expect),
            by_replay=by_replay,
        )
        names = (only,) if isinstance(only, str) else tuple(only)
        return run_matrix(self.session.stack, plan, seed=seed, only=names, progress=print)

    def shared_folder(self) -> Path:
        """A folder for files that tasks write and this notebook reads, or the other way round.

        It is empty at first, the same until the kernel ends, and goes with it.
        """
        return self.session.shared_folder()

    def by_hand(
        self, task: Any, worker: WorkerSettings | None = None, *, drawing: bool = False
    ) -> Front:
        """An open shop without an API, and without a worker until one is started.

        It starts clean, and ends with the next run or shop of this kernel.

        Args:
            task: a Celery task, imported from the shop's module.
            worker: how workers are started; ``lab.worker(…)``.
            drawing: whether what its ``finish()`` gives has a timeline.
        """
        return Front(self.session, module_of(task).path, worker, app="", drawing=drawing)

    def serve(
        self,
        folder: str | Path,
        *,
        app: str = "api",
        worker: WorkerSettings | None = None,
        drawing: bool = False,
        **env: str,
    ) -> Front:
        """An open shop with its API, and without a worker until one is started.

        It starts clean, and ends with the next run or shop of this kernel.

        Args:
            folder: where ``shop.py`` and the API's module are.
            app: module of the API, with a FastAPI or other ASGI ``app``.
            worker: how workers are started; ``lab.worker(…)``.
            drawing: whether what its ``finish()`` gives has a timeline.
            env: environment variables of API and workers.

        Raises:
            LabError: there is no such folder or module, or the API does not start.
        """
        return Front(self.session, Path(folder).resolve(), worker, app, env, drawing=drawing)

    def panel(self, task: Any = None, *, worker: WorkerSettings | None = None) -> Panel:
        """A live queue to break by hand: as the last expression of a cell it shows itself.

        It has a session and a broker of its own, and ends with the kernel, with its own button, or
        when another panel is opened in this kernel.

        Args:
            task: a Celery task that takes an order's name, imported from a module; that of the
                first lesson's shop if none is given.
            worker: how its workers are started; ``lab.worker(…)``.

        Raises:
            LabError: the module does not import, or its worker does not start.
        """
        from labapp.lab.panel.panel import open_panel

        module = first_shop() if task is None else module_of(task)
        name = f"{module.name}.charge" if task is None else task.name
        stack = self.session.stack
        settings = worker or WorkerSettings()
        return open_panel(stack, module, name, settings, lambda: self._session)

    def __repr__(self) -> str:
        broker = self.session.stack.broker
        return f"lab: {broker.engine} {broker.version}, {len(self.session.nodes.urls)} node(s)"


def expected(kinds: str | Sequence[str]) -> tuple[Kind, ...]:
    """These kinds of effect.  Raises LabError for one that the world does not know, or none."""
    listed = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    hint = "use " + ", ".join(f'"{kind}"' for kind in Kind) + " or several of them"
    if unknown := [kind for kind in listed if kind not in tuple(Kind)]:
        raise LabError(f"{unknown[0]!r} is no kind of effect", hint=hint)
    if not listed or len(set(listed)) < len(listed):
        raise LabError("expect names each kind of effect once, and at least one", hint=hint)
    return tuple(map(Kind, listed))


def known_settings(settings: dict[str, Any]) -> None:
    """Raises LabError for a name that is no Celery setting, with the nearest one that is."""
    from difflib import get_close_matches

    from celery.app.defaults import SETTING_KEYS

    for name in settings:
        if name not in SETTING_KEYS:
            near = get_close_matches(name, SETTING_KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else "see Celery's configuration page"
            raise LabError(f"Celery has no setting {name!r}", hint=hint)
    if settings.get("worker_prefetch_multiplier") == 0:
        raise LabError(
            "Celery's command line takes no worker_prefetch_multiplier=0",
            hint="set it in the module: app.conf.worker_prefetch_multiplier = 0",
        )


def connect() -> Lab:
    """The lab of the stack that runs here.

    Raises:
        LabError: none is running.
    """
    return Lab()
