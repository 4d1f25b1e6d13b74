"""What came to the partner when: the requests of a run in order of time, and what became of each.

Pure; depends on the history only.  Used by ``labapp.views.storm``, which draws it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from labapp.checker.history import Answered, Attempt, Effect, Event

MOST_SLICES = 60
"""Slices into which a picture cuts its time, at most."""
NICE = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0)
"""Seconds that a slice may be long."""


class End(StrEnum):
    """What became of a request."""

    REFUSED = "refused"
    """It was answered with an error, or not at all: nothing followed."""
    REPEATED = "answered, charged before"
    """It was answered as one before it, whose charge it found: an Idempotency-Key."""
    CHARGED = "charged"
    """A charge followed."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: seconds since the first one of its run, its business key, and its end."""

    at: float
    key: str
    end: End


def arrivals(events: Iterable[Event]) -> tuple[Arrival, ...]:
    """The requests of a history, in order of time.

    A charge belongs to the last request of its key before it, and so does an answer; where two
    requests of one key are open at once, the counts are right, and which is which is a guess."""
    came: defaultdict[str, list[float]] = defaultdict(list)
    charged: defaultdict[str, list[float]] = defaultdict(list)
    answered: defaultdict[str, list[float]] = defaultdict(list)
    for event in events:
        match event:
            case Attempt(at, key):
                came[key].append(at)
            case Effect(at, key):
                charged[key].append(at)
            case Answered(at, key):
                answered[key].append(at)
            case _:
                pass
    found = [
        (at, key, end)
        for key, times in came.items()
        for at, end in _ends(sorted(times), sorted(charged[key]), sorted(answered[key]))
    ]
    first = min((at for at, _, _ in found), default=0.0)
    return tuple(Arrival(at - first, key, end) for at, key, end in sorted(found))


def _ends(
    came: Sequence[float], charged: Iterable[float], answered: Iterable[float]
) -> list[tuple[float, End]]:
    ends = [End.REFUSED] * len(came)
    for place in _last_before(came, charged):
        ends[place] = End.CHARGED
    for place in _last_before(came, answered):
        if ends[place] is End.REFUSED:
            ends[place] = End.REPEATED
    return list(zip(came, ends, strict=True))


def _last_before(came: Sequence[float], times: Iterable[float]) -> list[int]:
    """For each of these times the last request before it that no other one has; the earliest such
    one where clocks differ by a hair; none where there are more times than requests."""
    free = list(range(len(came)))
    taken = []
    for at in times:
        if not free:
            break
        before = bisect_right(free, at, key=came.__getitem__)
        taken.append(free.pop(max(0, before - 1)))
    return taken


def waits(found: Iterable[Arrival], key: str) -> tuple[float, ...]:
    """Seconds from each request of this key to its next one."""
    times = [arrival.at for arrival in found if arrival.key == key]
    return tuple(later - earlier for earlier, later in pairwise(times))


def silence(found: Iterable[Arrival]) -> float:
    """The longest time, in seconds, in which no request came between the first and the last."""
    times = (arrival.at for arrival in found)
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def slice_width(seconds: float) -> float:
    """How long the slices of so many seconds are: a round number, and not too many of them."""
    fitting = (width for width in NICE if seconds / width <= MOST_SLICES)
    return next(fitting, seconds / MOST_SLICES)


def sliced(found: Iterable[Arrival], width: float) -> list[dict[End, int]]:
    """How many requests came in each slice of time, by their end; from the first to the last."""
    by_slice: defaultdict[int, dict[End, int]] = defaultdict(lambda: dict.fromkeys(End, 0))
    for arrival in found:
        by_slice[int(arrival.at // width)][arrival.end] += 1
    return [by_slice[number] for number in range(max(by_slice, default=-1) + 1)]
