"""The crash matrix: one task under every fault at every position, one table of verdicts.

    lab.matrix(charge, orders(5), worker=lab.worker(task_acks_late=True))

Each row is an experiment of its own, in a session of its own, as many at a time as there are
cores; a row does not know of the others, so its verdict is the same alone and in the matrix.  Used
by ``labapp.lab.surface``; carried out by ``labapp.lab.conductor``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TypeVar

from labapp.checker.verdict import Verdict
from labapp.errors import LabError
from labapp.faults import (
    Effect,
    Fault,
    answer,
    charge_of,
    crash_broker,
    cut_off,
    drop_reply,
    duplicate,
    file_of,
    kill_child,
    kill_worker,
    mail_of,
    pause,
    stop,
)
from labapp.lab.conductor import conduct
from labapp.lab.run import Plan, Run
from labapp.lab.session import Session
from labapp.stack.state import Stack
from labapp.views.tables import Table, comparison
from labapp.world.kinds import SERVED, Kind

TORN_AFTER = 1024
"""Bytes after which a file is torn; one that is shorter leaves that row unfired."""
EFFECTS: dict[Kind, Callable[[str], Effect]] = {
    Kind.CHARGE: charge_of,
    Kind.MAIL: mail_of,
    Kind.FILE: file_of,
}
REFUSALS = {Kind.CHARGE: 503, Kind.MAIL: 451, Kind.FILE: 503}
"""How each server of the world says 'not now'."""

Strike = Callable[..., Fault]
T = TypeVar("T")
R = TypeVar("R")


def strikes() -> dict[str, Strike]:
    """Every fault that can be placed before or after an effect, in the order of the table."""
    return {
        "kill child": kill_child,
        "kill worker": kill_worker,
        "pause": pause,
        "TERM": lambda **moment: stop("TERM", **moment),
        "TERM then kill": lambda **moment: stop("TERM", then_kill=True, **moment),
        "QUIT": lambda **moment: stop("QUIT", **moment),
        "cut off": cut_off,
        "stall": lambda **moment: cut_off(stall=True, **moment),
        "crash broker": crash_broker,
        "publish again": lambda **moment: duplicate("published", **moment),
        "redeliver": lambda **moment: duplicate("redelivered", **moment),
        "drop reply": drop_reply,
    }


@dataclass(frozen=True, slots=True)
class Cell:
    """One row before it runs: its name, which says all of it, and its plan."""

    name: str
    plan: Plan


def cells(plan: Plan, seed: int = 0) -> list[Cell]:
    """Every fault at every position of the effects that the plan expects.

    Args:
        plan: the experiment without a fault.
        seed: chooses which order each row strikes; the row's name says which.
    """
    chance = random.Random(seed)  # noqa: S311  a choice to repeat, not a secret
    keys = [str(call[0]) for call in plan.work]
    return [
        Cell(f"{name} {where}", replace(plan, fault=fault))
        for kind in plan.expect
        if kind in SERVED  # nobody can say when a row is about to be written
        for name, where, fault in placed(kind, lambda: chance.choice(keys))
    ]


def placed(kind: Kind, some_key: Callable[[], str]) -> Iterator[tuple[str, str, Fault]]:
    """Every fault at every position of one kind of effect: its name, its moment, itself."""
    for name, strike in strikes().items():
        for point, effect in positions(kind, some_key()):
            yield name, f"{point} {effect}", strike(**{point: effect})
    refused = EFFECTS[kind](some_key())
    status = REFUSALS[kind]
    yield f"answer {status}", f"before {refused}", answer(status, before=refused)


def positions(kind: Kind, key: str) -> list[tuple[str, Effect]]:
    """Before and after the effect; for a file also when a part of it is written."""
    effect = EFFECTS[kind](key)
    found = [("before", effect), ("after", effect)]
    if kind is Kind.FILE:
        found.append(("after", file_of(key, after_bytes=TORN_AFTER)))
    return found


class Matrix:
    """A matrix that has run; shown as its table.

    Attributes:
        runs: the run of each row, by the row's name.
    """

    def __init__(self, stack: Stack, chosen: Sequence[Cell], runs: Mapping[str, Run]) -> None:
        self._stack = stack
        self._cells = {cell.name: cell for cell in chosen}
        self.runs = dict(runs)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of each row, by the row's name."""
        return {name: run.judged for name, run in self.runs.items()}

    @property
    def table(self) -> Table:
        """All rows, with a line that counts them."""
        return comparison(self.verdicts, self.summary)

    @property
    def summary(self) -> str:
        """How many rows there are, and how many of them are good."""
        known = [v for v in self.verdicts.values() if not v.unknown]
        at_least, exactly = (
            sum(bool(getattr(verdict, question)) for verdict in known)
            for question in ("at_least_once", "exactly_once")
        )
        unknown = len(self.runs) - len(known)
        doubt = f" · {unknown} unknown" if unknown else ""
        rows = f"{len(self.runs)} row{'' if len(self.runs) == 1 else 's'}"
        return f"{rows} · at least once {at_least} · exactly once {exactly}{doubt}"

    def replay(self, name: str) -> Run:
        """Run one row again, alone, with what a drawing needs.

        Raises:
            LabError: there is no row of that name.
        """
        cell = self._cells[known_row(name, list(self._cells))]
        with Session(self._stack) as session:
            return conduct(session, replace(cell.plan, drawing=True))

    def __getitem__(self, name: str) -> Run:
        return self.runs[known_row(name, list(self.runs))]

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def known_row(name: str, rows: Sequence[str], of: str = "matrix", what: str = "row") -> str:
    """The name.  Raises LabError where no row has it, with the nearest one that is."""
    from difflib import get_close_matches

    if name in rows:
        return name
    near = get_close_matches(name, rows, n=1, cutoff=0.3)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {len(rows)} {what}s"
    raise LabError(f"the {of} has no {what} {name!r}", hint=hint)


def run_matrix(
    stack: Stack,
    plan: Plan,
    *,
    seed: int = 0,
    only: Sequence[str] = (),
    progress: Callable[[str], object] | None = None,
) -> Matrix:
    """Run every row, as many at a time as there are cores.

    Args:
        stack: the running stack.
        plan: the experiment without a fault; its worker runs one task at a time, so that each
            fault strikes one task.
        seed: chooses which order each row strikes.
        only: names of the rows to run; all, if none is named.
        progress: called with one line per row, in the order of the table.

    Raises:
        LabError: there is no row of a name, or an experiment could not begin.
    """
    alone = replace(plan, worker=replace(plan.worker, concurrency=1))
    every = cells(alone, seed)
    names = [known_row(name, [cell.name for cell in every]) for name in only]
    chosen = [cell for cell in every if not names or cell.name in names]
    runs: dict[str, Run] = {}
    with Sessions(stack, os.cpu_count() or 1) as sessions:
        for number, (cell, run) in enumerate(sessions.conduct(chosen), start=1):
            runs[cell.name] = run
            if progress is not None:
                progress(f"{number}/{len(chosen)} {cell.name}")
    return Matrix(stack, chosen, runs)


class Sessions:
    """Several sessions that share the rows of a matrix, or the trials of a check.

    Args:
        stack: the running stack.
        count: how many experiments run at a time.
    """

    def __init__(self, stack: Stack, count: int) -> None:
        self._free: SimpleQueue[Session] = SimpleQueue()
        with ExitStack() as opened:
            for _ in range(count):
                self._free.put(opened.enter_context(Session(stack)))
            self._opened = opened.pop_all()
        self._pool = ThreadPoolExecutor(count)

    def conduct(self, chosen: Sequence[Cell]) -> Iterator[tuple[Cell, Run]]:
        """Every cell with its run, in their order."""
        runs = self.each(lambda session, cell: conduct(session, cell.plan), chosen)
        return zip(chosen, runs, strict=True)

    def each(self, work: Callable[[Session, T], R], items: Iterable[T]) -> Iterator[R]:
        """What ``work`` makes of each item, in their order; each has a session to itself."""

        def done(item: T) -> R:
            session = self._free.get()
            try:
                return work(session, item)
            finally:
                self._free.put(session)

        return self._pool.map(done, items)

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *_: object) -> None:
        """Begin no further row, let the running ones end, and end the sessions."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._opened.close()
