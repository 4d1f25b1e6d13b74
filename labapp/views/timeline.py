"""The timeline of a run: a picture in Jupyter and on GitHub, and the same story as fixed text.

`repr` is the same on every run, so nbval compares it; the picture shows real times and is not
compared.  Depends on the checker and on the other modules of the timeline.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from labapp.views.timeline_layout import layout
from labapp.views.timeline_svg import timeline_svg
from labapp.views.timeline_tasks import Tale, tale
from labapp.views.timeline_text import timeline_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labapp.checker.history import Event


class Timeline:
    """What happened to each task of a run, in order.

    Args:
        events: the history of a run that was made with ``drawing=True``.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = tuple(events)

    @cached_property
    def _tale(self) -> Tale:
        return tale(self._events)

    def __repr__(self) -> str:
        return timeline_text(self._tale)

    def _repr_svg_(self) -> str:
        title = f"Timeline of {len(self._tale.tasks)} tasks"
        return timeline_svg(layout(self._tale), title, repr(self))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self._repr_svg_()}
