"""A soak: many rounds of orders, each under a fault that chance chooses, until enough has broken.

One seed decides all of it: which faults, at which moments, at which orders.  Each round is an
experiment like any other, in a session of its own, so a round that goes wrong is run again by its
name, alone.  Used by ``scripts/soak.py`` (``make soak``); built on ``labapp.lab.matrix``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from labapp.checker.history import Attempt
from labapp.faults import Action
from labapp.lab.matrix import Cell, Sessions, known_row, placed
from labapp.lab.run import Plan, Run
from labapp.stack.state import Stack
from labapp.views.tables import Table, comparison
from labapp.world.kinds import Kind

DELIVERIES, CRASHES = 500, 50
"""How many there must be at least."""
CRASHING = (Action.KILL_CHILD, Action.KILL_WORKER, Action.TERM_KILL, Action.CRASH_BROKER)
"""Actions that end a process by SIGKILL while it is at work."""
CRASHES_AMONG = 0.75
"""How large a part of the rounds crashes; the others are duplicates, lost answers, pauses …"""


def rounds(plan: Plan, seed: int, deliveries: int, crashes: int) -> list[Cell]:
    """As many rounds as make so many deliveries and crashes, if every fault strikes.

    Args:
        plan: one round without a fault.
        seed: decides which faults strike, where.
        deliveries: at least; an order counts once, however often it comes again.
        crashes: at least.
    """
    chance = random.Random(seed)  # noqa: S311  a choice to repeat, not a secret
    keys = [str(call[0]) for call in plan.work]
    found: list[Cell] = []
    crashed = 0
    while crashed < crashes or len(found) * len(keys) < deliveries:
        wanted = chance.random() < CRASHES_AMONG
        faults = list(placed(Kind.CHARGE, lambda: chance.choice(keys)))
        name, where, fault = chance.choice(
            [one for one in faults if (one[2].action in CRASHING) is wanted]
        )
        crashed += wanted
        found.append(Cell(f"{len(found) + 1} {name} {where}", replace(plan, fault=fault)))
    return found


@dataclass(slots=True)
class Tally:
    """What has become of the rounds so far."""

    rounds: int = 0
    deliveries: int = 0
    """Requests that reached the partner: each is one delivery of a message to a task, at least."""
    crashes: int = 0
    lost: int = 0
    duplicated: int = 0
    stuck: int = 0
    unknown: int = 0

    def count(self, run: Run) -> None:
        """Add a round."""
        verdict, fault = run.judged, run.plan.fault
        self.rounds += 1
        self.deliveries += len(run.history.of(Attempt))
        self.crashes += bool(fault and fault.action in CRASHING and not verdict.unknown)
        self.lost += len(verdict.lost) + len(verdict.dead_lettered)
        self.duplicated += len(verdict.duplicated) + len(verdict.unexpected)
        self.stuck += len(verdict.stuck)
        self.unknown += bool(verdict.unknown)

    def __str__(self) -> str:
        words = (
            f"{self.rounds} round{'s' * (self.rounds != 1)}",
            f"{self.deliveries} deliveries",
            f"{self.crashes} crashes",
            f"lost {self.lost}",
            f"duplicated {self.duplicated}",
            f"stuck {self.stuck}",
        )
        return " · ".join(words) + (f" · {self.unknown} unknown" if self.unknown else "")


class Soak:
    """A soak that has run.

    Attributes:
        tally: all rounds, counted.
        bad: by name, the rounds that were not exactly once, or of which nothing is known.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self.bad: dict[str, Run] = {}

    def take(self, cell: Cell, run: Run) -> None:
        """Add a round."""
        self.tally.count(run)
        if not run.judged.exactly_once:
            self.bad[cell.name] = run

    @property
    def table(self) -> Table:
        """The bad rounds, with a line that counts all of them."""
        return comparison({name: run.judged for name, run in self.bad.items()}, str(self.tally))


def soak(
    stack: Stack,
    plan: Plan,
    *,
    seed: int = 0,
    only: str = "",
    deliveries: int = DELIVERIES,
    crashes: int = CRASHES,
    progress: Callable[[str], object] | None = None,
) -> Soak:
    """Run the rounds of a seed, as many at a time as there are cores.

    Args:
        stack: the running stack.
        plan: one round without a fault; its worker runs one task at a time, so that each fault
            strikes one task.
        seed: decides which faults strike, where.
        only: name or number of one round, to run nothing else.
        deliveries: at least.
        crashes: at least.
        progress: called with one line for each round, in their order.

    Raises:
        LabError: there is no such round, or an experiment could not begin.
    """
    alone = replace(plan, worker=replace(plan.worker, concurrency=1))
    every = rounds(alone, seed, deliveries, crashes)
    chosen = every if not only else [named(only, every)]
    found = Soak()
    with Sessions(stack, os.cpu_count() or 1) as sessions:
        for cell, run in sessions.conduct(chosen):
            found.take(cell, run)
            if progress is not None:
                progress(line(cell, run, len(every)))
    return found


def named(name: str, every: Sequence[Cell]) -> Cell:
    """The round of this name or number.  Raises LabError where there is none."""
    by_name = {cell.name: cell for cell in every}
    by_number = {cell.name.partition(" ")[0]: cell for cell in every}
    return by_number.get(name) or by_name[known_row(name, list(by_name), "soak", "round")]


def line(cell: Cell, run: Run, count: int) -> str:
    """What is said of one round."""
    number, _, rest = cell.name.partition(" ")
    return f"{number}/{count} {rest}: {', '.join(told(run)) or 'exactly once'}"


def told(run: Run) -> Iterator[str]:
    """What is wrong with a round."""
    verdict = run.judged
    if verdict.unknown:
        yield f"unknown: {verdict.unknown}"
        return
    for word in ("lost", "dead_lettered", "duplicated", "unexpected", "stuck"):
        if keys := getattr(verdict, word):
            yield f"{word.replace('_', '-')} {', '.join(keys)}"
