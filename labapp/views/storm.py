"""Requests over time: how many came in each moment, how many of them were refused.

``Requests`` is one run's; ``Storm`` puts several below each other, on one scale.  Both show a
picture and the same in words.  When a request comes differs from run to run, so the words beside
the picture (which tests compare) are what does not: how many orders there were, how many of them
were charged, whether any request was refused.  What the picture shows is in its description.

Depends on the arrivals and on ``storm_svg``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from labapp.checker.history import Event
from labapp.views.arrivals import Arrival, End, arrivals, silence, slice_width, sliced, waits
from labapp.views.keys import one_line
from labapp.views.storm_svg import Panel, storm_svg

NOTHING = "no request came"


class Requests:
    """The requests of one run, in order of time.

    Args:
        events: of a history.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = tuple(events)

    @cached_property
    def arrivals(self) -> tuple[Arrival, ...]:
        """Each request, with what became of it."""
        return arrivals(self._events)

    @property
    def silence(self) -> float:
        """The longest time, in seconds, in which none came between the first and the last."""
        return silence(self.arrivals)

    def waits(self, key: str) -> tuple[float, ...]:
        """Seconds from each request of this business key to its next one."""
        return waits(self.arrivals, key)

    def busiest(self, seconds: float = 1.0) -> int:
        """How many requests came in the busiest stretch of so many seconds."""
        most, begin, times = 0, 0, [arrival.at for arrival in self.arrivals]
        for end, at in enumerate(times):
            while times[begin] <= at - seconds:
                begin += 1
            most = max(most, end - begin + 1)
        return most

    def __len__(self) -> int:
        return len(self.arrivals)

    def __repr__(self) -> str:
        if not self.arrivals:
            return NOTHING
        keys = {arrival.key for arrival in self.arrivals}
        charged = {arrival.key for arrival in self.arrivals if arrival.end is End.CHARGED}
        any_refused = any(arrival.end is End.REFUSED for arrival in self.arrivals)
        refused = "requests were refused" if any_refused else "no request was refused"
        orders = f"{len(keys)} order{'' if len(keys) == 1 else 's'}"
        return f"{orders} · {len(charged)} charged · {refused}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": Storm({"": self}).svg()}


class Storm:
    """The requests of several runs, one below the other, on the same scale.

    Args:
        runs: their requests, by name.
    """

    def __init__(self, runs: Mapping[str, Requests]) -> None:
        self._runs = dict(runs)

    def __repr__(self) -> str:
        told = {one_line(name): one for name, one in self._runs.items()}
        wide = max(map(len, told), default=0)
        return "\n".join(f"{name:<{wide}}  {one!r}" for name, one in told.items())

    def svg(self) -> str:
        """The picture."""
        last = max((one.arrivals[-1].at for one in self._runs.values() if one.arrivals), default=0)
        width = slice_width(last)
        panels = [
            Panel(one_line(name), sliced(one.arrivals, width)) for name, one in self._runs.items()
        ]
        return storm_svg(panels, width, "Requests over time", described(panels, width))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self.svg()}


def described(panels: Iterable[Panel], width: float) -> str:
    """All that the picture shows, in words: one line for each slice in which something came."""
    lines: list[str] = []
    for panel in panels:
        lines += [panel.name] if panel.name else []
        for number, counts in enumerate(panel.slices):
            told = ", ".join(f"{count} {end}" for end, count in counts.items() if count)
            if told:
                lines.append(f"{number * width:g} to {(number + 1) * width:g} s: {told}")
    return "\n".join(lines or [NOTHING])
