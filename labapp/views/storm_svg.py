"""Requests over time as one SVG that shows wherever a picture does.

Bars on one scale of seconds and one of requests, a panel for each run.  What was refused is
striped, what was charged solid, what was only answered hollow: no colour carries a meaning alone.
Depends on the arrivals and `labapp.views.svg`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from labapp.views.arrivals import End
from labapp.views.svg import BLUE, PAPER, QUIET, RULE, VERMILLION, canvas, px, rect, written

WIDTH, MARGIN = 860.0, 14.0
LEFT, RIGHT = 56.0, 846.0
TITLE, PLOT, GAP = 32.0, 110.0, 10.0
AXIS, LEGEND = 24.0, 20.0
STRIPE = 5.0
"""Pixels from one stripe of a refused bar to the next."""
MOST_LINES = 4
"""Lines across a panel, beside that at zero."""
MOST_TICKS = 16
NAME_LENGTH = 90
FILLS = {
    End.REFUSED: (VERMILLION, ""),
    End.REPEATED: (PAPER, f' stroke="{BLUE}"'),
    End.CHARGED: (BLUE, ""),
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One run: its name, and how many requests came in each slice, by their end."""

    name: str
    slices: Sequence[Mapping[End, int]]

    @property
    def highest(self) -> int:
        """Requests in its busiest slice."""
        return max((sum(counts.values()) for counts in self.slices), default=0)


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a bar, in pixels."""

    x: float
    y: float
    width: float
    height: float
    end: End


@dataclass(frozen=True, slots=True)
class Frame:
    """What the panels share: seconds of a slice, how many slices there are, requests at the top."""

    slice_seconds: float
    slices: int
    top: int

    @property
    def step(self) -> float:
        """Pixels of a slice."""
        return (RIGHT - LEFT) / max(1, self.slices)

    def high(self, requests: int) -> float:
        """Pixels of so many requests."""
        return PLOT * requests / max(1, self.top)


def frame_of(panels: Sequence[Panel], slice_seconds: float) -> Frame:
    """The one scale of these panels."""
    slices = max((len(panel.slices) for panel in panels), default=0)
    return Frame(slice_seconds, slices, max((panel.highest for panel in panels), default=0))


def boxes(panel: Panel, frame: Frame, bottom: float) -> list[Box]:
    """The parts of a panel's bars, from the bottom up: refused, only answered, charged."""
    found = []
    for number, counts in enumerate(panel.slices):
        x, y = LEFT + number * frame.step, bottom
        for end in End:
            if high := frame.high(counts.get(end, 0)):
                y -= high
                found.append(Box(x + 0.5, y, max(frame.step - 1, 0.5), high, end))
    return found


def storm_svg(panels: Sequence[Panel], slice_seconds: float, title: str, description: str) -> str:
    """The picture as SVG.

    Args:
        panels: one for each run.
        slice_seconds: how long a slice is.
        title: its name, for those who hear it.
        description: all that it says, in words.
    """
    frame = frame_of(panels, slice_seconds)
    parts: list[str] = []
    bottom = MARGIN
    for panel in panels:
        bottom += TITLE + PLOT
        parts += _panel(panel, frame, bottom)
        bottom += GAP
    parts += _seconds(frame, bottom - GAP)
    parts += _legend({end for panel in panels for end in ends(panel)}, bottom + AXIS)
    return canvas(WIDTH, bottom + AXIS + LEGEND, title, description, parts)


def ends(panel: Panel) -> Iterator[End]:
    """What became of its requests; each end as often as it comes."""
    return (end for counts in panel.slices for end, count in counts.items() if count)


def _panel(panel: Panel, frame: Frame, bottom: float) -> Iterator[str]:
    top = bottom - PLOT
    yield written(LEFT, top - 17, panel.name[:NAME_LENGTH], ' font-weight="bold"')
    caption = f"requests in {frame.slice_seconds:g} s"
    yield written(RIGHT, top - 17, caption, f' text-anchor="end" font-size="10" fill="{QUIET}"')
    yield from _lines(frame, bottom)
    found = boxes(panel, frame, bottom)
    for box in found:
        fill, more = FILLS[box.end]
        yield rect(box.x, box.y, box.width, box.height, fill, more)
    if striped := "".join(map(stripes, (box for box in found if box.end is End.REFUSED))):
        yield f'<path d="{striped}" stroke="{PAPER}" stroke-width="1.4"/>'
    yield from _peak(panel, frame, bottom)


def stripes(box: Box) -> str:
    """Upright lines through a bar, at least one."""
    many = max(1, round(box.width / STRIPE) - 1)
    places = (box.x + box.width * (n + 1) / (many + 1) for n in range(many))
    return "".join(f"M{px(x)} {px(box.y)}v{px(box.height)}" for x in places)


def _peak(panel: Panel, frame: Frame, bottom: float) -> Iterator[str]:
    """The number of requests on the highest bar of a panel; where there is none, so it says."""
    if not panel.highest:
        yield written(LEFT + 8, bottom - 8, "no request came", f' fill="{QUIET}"')
        return
    sums = [sum(counts.values()) for counts in panel.slices]
    x = LEFT + (sums.index(panel.highest) + 0.5) * frame.step
    y = bottom - frame.high(panel.highest) - 3
    side = "start" if x < LEFT + 20 else "end" if x > RIGHT - 20 else "middle"
    yield written(x, y, str(panel.highest), f' text-anchor="{side}" font-size="10"')


def _lines(frame: Frame, bottom: float) -> Iterator[str]:
    """Lines across a panel, with how many requests each stands for."""
    step = nice_step(frame.top, MOST_LINES)
    marks = range(0, frame.top + 1, step)
    d = "".join(f"M{px(LEFT)} {px(bottom - frame.high(mark))}H{px(RIGHT)}" for mark in marks)
    upright = "".join(f"M{px(x)} {px(bottom)}v{px(-PLOT)}" for x, _ in ticks(frame))
    yield f'<g stroke="{RULE}"><path d="{d}"/><path d="{upright}" stroke-dasharray="1 3"/></g>'
    yield f'<g font-size="10" fill="{QUIET}" text-anchor="end">'
    yield from (written(LEFT - 6, bottom - frame.high(mark) + 3.5, str(mark)) for mark in marks)
    yield "</g>"


def _seconds(frame: Frame, bottom: float) -> Iterator[str]:
    """The scale of time, below the last panel."""
    yield f'<g font-size="10" fill="{QUIET}" text-anchor="middle">'
    yield from (written(x, bottom + 14, f"{seconds:g} s") for x, seconds in ticks(frame))
    yield "</g>"


def ticks(frame: Frame) -> list[tuple[float, float]]:
    """Where the scale of time has a mark, in pixels, and its seconds: whole ones, where a second
    has several slices."""
    width = frame.slice_seconds
    every = max(1, math.ceil(frame.slices / MOST_TICKS))
    in_a_second = round(1 / width) if 0 < width < 1 else 1
    every = math.ceil(every / in_a_second) * in_a_second
    marks = range(0, frame.slices + 1, every)
    return [(LEFT + number * frame.step, number * width) for number in marks]


def _legend(drawn: set[End], y: float) -> Iterator[str]:
    """What the bars mean: those that are drawn, and no others."""
    x = LEFT
    for end in (end for end in End if end in drawn):
        fill, more = FILLS[end]
        box = Box(x, y - 9, 20, 10, end)
        yield rect(box.x, box.y, box.width, box.height, fill, more)
        if end is End.REFUSED:
            yield f'<path d="{stripes(box)}" stroke="{PAPER}" stroke-width="1.4"/>'
        yield written(x + 26, y, end, ' font-size="11"')
        x += 26 + 6.0 * len(end) + 24


def nice_step(top: int, most: int) -> int:
    """A round number (1, 2 or 5 times a power of ten) that goes into ``top`` at most so often."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if top <= factor * power * most:
                return factor * power
        power *= 10
