"""The legend of a timeline: the marks that are drawn, each once, and no others.

Pure; depends on the picture's values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labapp.views.timeline_picture import Entry, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

LINE = 18.0
CHARACTER = 5.7  # pixels, about
BARS = {
    "wait": "fetched, kept by the worker",
    "try": "request under way",
    "asleep": "asleep",
    "adrift": "unacked, with nobody",
}
TICKS = "the effects of a folded row"
LONGEST = 60
MOST_LINES = 4


def legend(rows: Sequence[Row], left: float, right: float, top: float) -> tuple[list[Entry], float]:
    """The entries, in as many lines as they need, and the height of the last line.

    Args:
        rows: all that is drawn.
        left, right: where a line begins and ends.
        top: above the first line.
    """
    entries: list[Entry] = []
    x, y = left, top + LINE
    for kind, word, is_bar in words(rows):
        wide = 26.0 + CHARACTER * len(word) + 18.0
        if x > left and x + wide > right:
            x, y = left, y + LINE
        if y > top + LINE * MOST_LINES:
            return entries, y - LINE
        entries.append(Entry(x, y, kind, word, is_bar))
        x += wide
    return entries, y


def words(rows: Sequence[Row]) -> list[tuple[str, str, bool]]:
    """Kind, word and whether it is a bar, of everything that is drawn; each once."""
    spans = {span.kind for row in rows for span in row.spans}
    glyphs = dict.fromkeys((g.kind, g.word[:LONGEST]) for row in rows for g in row.glyphs)
    bars = [(kind, word, True) for kind, word in BARS.items() if kind in spans]
    folded = [("ticks", TICKS, True)] if any(row.ticks for row in rows) else []
    return [*bars, *folded, *((kind, word, False) for kind, word in glyphs)]
