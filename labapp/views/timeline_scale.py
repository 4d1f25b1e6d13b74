"""Where a moment of a run lies on paper: seconds to pixels, drawn wider where much happens at once.

Pure; depends on nothing.  An experiment is idle for most of its seconds (a worker starts) and does
all that matters within milliseconds of a few moments. So the axis keeps the order and the labels of
time, and gives up its proportions where two marks of one row would cover each other. A journey in
time is a gap of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

IDLE = 0.6
"""Seconds: a longer time in which nothing is drawn is no wider than this."""
PROPORTIONAL = 0.3
"""Share of the width that is given out by the second; the rest goes where marks need room."""
BREAK = 56.0
"""Width of a journey in time, where there is room."""
BETWEEN = 48.0
"""Room between two of them: what is written above each is wider than the journey itself."""
NICE_STEPS = (3600.0, 600.0, 60.0, 10.0, 5.0, 1.0, 0.5, 0.1)
MOST_TICKS = 12
MOST_CANDIDATES = 200
TINY = 1e-9
Point = tuple[float, int]  # (seconds, side): a break is wide, so it has a side 0 and a side 1


class Scale:
    """A monotone map from seconds to pixels.

    Args:
        times: every moment that is drawn, in seconds.
        needs: pairs of moments that must be `gap` pixels apart, as `(earlier, later, gap)`.
        breaks: moments at which time travels.
        left, right: pixels between which everything lies.
    """

    def __init__(
        self,
        times: Iterable[float],
        needs: Iterable[tuple[float, float, float]],
        breaks: Iterable[float],
        left: float,
        right: float,
    ) -> None:
        self.left, self.right = left, right
        self.breaks = sorted(set(breaks))
        both_sides = [(at, side) for at in self.breaks for side in (0, 1)]
        self._points: list[Point] = sorted({*((at, 0) for at in times), *both_sides}) or [(0.0, 0)]
        self._x = self._fit(_relaxed(self._points, self._gaps(needs), right - left))

    def _gaps(self, needs: Iterable[tuple[float, float, float]]) -> dict[int, dict[int, float]]:
        """For each point, how far it must be from which earlier ones."""
        place = {point: number for number, point in enumerate(self._points)}
        gaps: dict[int, dict[int, float]] = {}
        for at in self.breaks:
            gaps.setdefault(place[at, 1], {})[place[at, 0]] = BREAK
        for one, next_one in pairwise(self.breaks):
            gaps.setdefault(place[next_one, 0], {})[place[one, 1]] = BETWEEN
        for earlier, later, gap in needs:
            one, other = place[earlier, 0], place[later, 0]
            if one < other:
                known = gaps.setdefault(other, {})
                known[one] = max(gap, known.get(one, 0.0))
        return gaps

    def _fit(self, positions: list[float]) -> list[float]:
        """Stretched or squeezed to exactly the width; one moment alone lies in the middle."""
        extent = positions[-1]
        if extent < TINY:
            return [(self.left + self.right) / 2 for _ in positions]
        factor = (self.right - self.left) / extent
        return [min(self.left + at * factor, self.right) for at in positions]

    def x(self, at: float, after_break: bool = False) -> float:
        """The place of a moment; one that is not drawn lies between its neighbours."""
        point = (at, int(after_break))
        place = bisect_left(self._points, point)
        if place == len(self._points):
            return self._x[-1]
        if self._points[place] == point or place == 0:
            return self._x[place]
        before, after = self._points[place - 1][0], self._points[place][0]
        share = (at - before) / (after - before) if after > before else 0.0
        low, high = self._x[place - 1], self._x[place]
        return min(low + share * (high - low), high)

    def ticks(self, apart: float) -> list[tuple[float, float]]:
        """Round seconds with their places, at least `apart` pixels from each other: the roundest
        first, others where the axis is drawn so wide that there is room."""
        found: dict[float, float] = {}
        for at in self._round_seconds():
            x = self.x(at)
            if len(found) < MOST_TICKS and all(abs(x - other) >= apart for other in found.values()):
                found[at] = x
        return sorted(found.items())

    def _round_seconds(self) -> Iterator[float]:
        first, last = self._points[0][0], self._points[-1][0]
        for step in NICE_STEPS:
            number = math.floor(first / step) + 1
            for more in range(MOST_CANDIDATES):
                if (number + more) * step > last:
                    break
                yield round((number + more) * step, 1)


def _relaxed(
    points: Sequence[Point], gaps: Mapping[int, Mapping[int, float]], width: float
) -> list[float]:
    """The leftmost places that keep every gap, and leave room by the second."""
    steps = [min(b[0] - a[0], IDLE) for a, b in pairwise(points)]
    total = sum(steps)
    by_the_second = width * PROPORTIONAL / total if total > TINY else 0.0
    places = [0.0]
    for number, step in enumerate(steps, start=1):
        needed = [places[other] + gap for other, gap in gaps.get(number, {}).items()]
        places.append(max([places[-1] + step * by_the_second, *needed]))
    return places
