"""What the panel shows at one moment: plain values, and the same as JSON for the browser.

Pure; everything else in ``labapp.lab.panel`` depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labapp.views.keys import fold

WINDOW = 20.0
"""Seconds that the rolling timeline shows."""
PRIORITY = "\x06\x16"
"""What stands between a queue's name and its priority step in the name of a list
(kombu/transport/redis.py, ``Channel.sep``); step 0 has the queue's name alone."""
QUEUE, WORLD = "queue", "world"
"""Rows of the timeline that are no worker's."""
RUNNING, PAUSED = "running", "paused"
AT_ONCE = "answers at once"
"""What the partner does unless it was told otherwise."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue: how many messages wait in it, at all its priority steps together and at each."""

    name: str
    depth: int
    steps: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        of = ", ".join(f"{count} at priority {step}" for step, count in self.steps if step)
        return f"{self.name}: {self.depth} waiting{f' ({of})' if of else ''}"


@dataclass(frozen=True, slots=True)
class Task:
    """A task that a worker runs.

    Args:
        key: business key.
        held: whether the world holds a request for it open.
    """

    key: str
    held: bool = False

    def __str__(self) -> str:
        return f"{self.key} (held by the partner)" if self.held else self.key


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker of the panel's: ``state`` is running, paused, or how it ended."""

    name: str
    state: str
    tasks: tuple[Task, ...] = ()

    @property
    def there(self) -> bool:
        """Whether it has not ended."""
        return self.state in (RUNNING, PAUSED)

    @property
    def doing(self) -> str:
        """What it does, in words."""
        if not self.there:
            return "nothing"
        return ", ".join(map(str, self.tasks)) or "idle"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A worker that is not the panel's: whose it is, its state, what its database holds."""

    who: str
    state: str
    doing: str

    def __str__(self) -> str:
        return f"{self.who} {self.state}: {self.doing}"


@dataclass(frozen=True, slots=True)
class Bar:
    """A task that a worker runs or has run, on the timeline.

    Args:
        row: the worker.
        key: business key.
        begin: seconds since the epoch.
        end: the same; None while it runs.
        how: "runs", or how it ended: "done", "failed", "cut".
    """

    row: str
    key: str
    begin: float
    end: float | None = None
    how: str = "runs"

    def until(self, now: float) -> float:
        """Where it ends, or has come to by now."""
        return now if self.end is None else self.end


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one moment, on the timeline; ``at`` in seconds since the epoch."""

    row: str
    kind: str
    at: float
    key: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything that the panel shows.

    Args:
        at: seconds since the epoch.
        queues: the queues that the workers read, and whatever else holds messages.
        unacked: business keys of what is fetched and not acknowledged, oldest first.
        workers: the panel's.
        elsewhere: the live worker and those of this kernel's runs.
        sent: how many orders were sent.
        happened: how many of them the world has seen the effect of.
        twice: how many of them it has seen it of more than once.
        partner: what the world does with requests.
        bars, marks: of the timeline.
        said: what the last button did.
        trouble: what cannot be read just now; empty where all can.
        over: why the panel has ended; empty while it lives.
    """

    at: float
    queues: tuple[Queue, ...] = ()
    unacked: tuple[str, ...] = ()
    workers: tuple[WorkerView, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    sent: int = 0
    happened: int = 0
    twice: int = 0
    partner: str = AT_ONCE
    bars: tuple[Bar, ...] = ()
    marks: tuple[Mark, ...] = ()
    said: str = ""
    trouble: str = ""
    over: str = ""

    @property
    def held_back(self) -> str:
        """How many messages are unacknowledged, and whose."""
        return f"{len(self.unacked)} ({fold(self.unacked)})" if self.unacked else "0"

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows of the timeline from top to bottom: the queue, each worker, the world."""
        drawn = [*(bar.row for bar in self.bars), *(mark.row for mark in self.marks)]
        names = [worker.name for worker in self.workers]
        others = [row for row in dict.fromkeys(drawn) if row not in (QUEUE, WORLD, *names)]
        return (QUEUE, *sorted((*others, *names), key=by_number), WORLD)


def by_number(name: str) -> tuple[int, str]:
    """Sorts w10 behind w9."""
    digits = "".join(letter for letter in name if letter.isdecimal())
    return int(digits or 0), name


def lanes(moment: Moment) -> list[int]:
    """For each bar the lane of its row, from 0: no two bars of a lane overlap."""
    free: dict[str, list[float]] = {}
    found = [0] * len(moment.bars)
    for place, bar in sorted(enumerate(moment.bars), key=lambda item: item[1].begin):
        ends = free.setdefault(bar.row, [])
        lane = next((n for n, end in enumerate(ends) if end <= bar.begin), len(ends))
        ends[lane : lane + 1] = [bar.until(moment.at)]
        found[place] = lane
    return found


def lanes_of(moment: Moment) -> list[int]:
    """For each row of the timeline how many lanes it has, at least one."""
    most = dict.fromkeys(moment.rows, 1)
    for bar, lane in zip(moment.bars, lanes(moment), strict=True):
        most[bar.row] = max(most[bar.row], lane + 1)
    return list(most.values())


def queues(lengths: Mapping[str, int], known: Iterable[str] = ()) -> tuple[Queue, ...]:
    """The queues behind these lists of Redis, by name.

    Args:
        lengths: length of each list, by its key.
        known: queues to show even when they are empty (Redis has no empty lists).
    """
    found: dict[str, dict[int, int]] = {name: {} for name in known}
    for key, length in lengths.items():
        name, _, step = key.partition(PRIORITY)
        if not step.isascii() or not step.isdecimal():  # no step of kombu's, whoever made the list
            name, step = (key, "0") if step else (name, "0")
        steps = found.setdefault(name, {})
        steps[int(step)] = steps.get(int(step), 0) + length
    return tuple(
        Queue(name, sum(steps.values()), tuple(sorted(steps.items())))
        for name, steps in sorted(found.items())
    )


def plain(moment: Moment) -> dict[str, Any]:
    """The moment as JSON for the browser; times in seconds before now, since its clock is its own.

    Bars and marks are short lists, not objects: they are sent five times a second.  Where nothing
    moves this is the same until the next full second, and a widget sends nothing that is the same;
    the ``beat`` lets the browser know that the kernel is there."""
    now = moment.at
    rows = {row: number for number, row in enumerate(moment.rows)}
    return {
        "beat": int(now),
        "window": WINDOW,
        "rows": list(rows),
        "queues": [[queue.name, queue.depth, str(queue)] for queue in moment.queues],
        "unacked": moment.held_back,
        "workers": [
            {"name": w.name, "state": w.state, "there": w.there, "doing": w.doing}
            for w in moment.workers
        ],
        "elsewhere": [str(one) for one in moment.elsewhere],
        "sent": moment.sent,
        "happened": moment.happened,
        "twice": moment.twice,
        "partner": moment.partner,
        "lanes": lanes_of(moment),
        "bars": [
            [rows[bar.row], bar.key, ago(bar.begin, now), ago(bar.until(now), now), bar.how, lane]
            for bar, lane in zip(moment.bars, lanes(moment), strict=True)
        ],
        "marks": [[rows[m.row], m.kind, ago(m.at, now), m.key] for m in moment.marks],
        "said": moment.said,
        "trouble": moment.trouble,
        "over": moment.over,
    }


def ago(at: float, now: float) -> float:
    """How many seconds before now, never less than none: two clocks may differ a little."""
    return round(max(0.0, now - at), 2)
