"""A timeline as one SVG that shows wherever a picture does: GitHub, an exported page, a slide.

No colour carries a meaning alone: each mark has its shape and its word in the legend, each worker
its name.  Depends on the layout, its picture and `labapp.views.svg`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labapp.views.svg import (
    BAND,
    BLUE,
    GREEN,
    INK,
    NOBODY,
    ORANGE,
    PAPER,
    PURPLE,
    QUIET,
    RULE,
    SKY,
    VERMILLION,
    YELLOW,
    canvas,
    px,
    rect,
    written,
)
from labapp.views.timeline_layout import FATE_X, LANE, MARGIN, PLOT_LEFT, PLOT_RIGHT
from labapp.views.timeline_picture import Break, Entry, Glyph, Picture, Row, Span

WORKERS = (SKY, ORANGE, GREEN, PURPLE, YELLOW, BLUE)
LOUD = ("lost", "duplicated", "stuck", "dead-lettered", "unexpected")
TEAR = 18.0  # width of the strip that a journey in time tears out
BAR = {"try": 9.0, "wait": 3.0, "life": 7.0}

# Shapes around (0, 0), 10 pixels across: (path, whether it is filled, colour).
SHAPES = {
    "effect": ("M0-4.6A4.6 4.6 0 1 1 0 4.6A4.6 4.6 0 1 1 0-4.6Z", True, BLUE),
    "acknowledged": ("M-4.5 0.5L-1.2 3.8L4.5-3.6", False, "#00664a"),
    "killed": ("M-4.2-4.2L4.2 4.2M4.2-4.2L-4.2 4.2", False, VERMILLION),
    "broker killed": (
        "M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5ZM-3.5-3.5L3.5 3.5M3.5-3.5L-3.5 3.5",
        False,
        INK,
    ),
    "paused": ("M-3.6-4.5H-0.9V4.5H-3.6ZM0.9-4.5H3.6V4.5H0.9Z", True, INK),
    "cut off": ("M-5.4 4.2L-1.2-4.2M1.2 4.2L5.4-4.2", False, VERMILLION),
    "woken": ("M-3.2-4.6L4.6 0L-3.2 4.6Z", True, INK),
    "stop": ("M-3.8-3.8H3.8V3.8H-3.8Z", True, VERMILLION),
    "struck": ("M0-5.2L5 4H-5Z", True, VERMILLION),
    "redelivered": ("M3.6-2.6A4.4 4.4 0 1 0 4.3 1.4M4.6-5V-1.8H1.4", False, "#8a3b68"),
    "given back": ("M5 0H-3.4M0-3.8L-4.2 0L0 3.8", False, "#8a3b68"),
    "rejected": ("M5 0H-1.6M1.4-3.6L-2.2 0L1.4 3.6M-4.6-4.4V4.4", False, "#8a3b68"),
    "queued again": ("M-4.6 0H4.6M0-4.6V4.6", False, "#8a3b68"),
    "no answer": ("M0-4.2A4.2 4.2 0 1 1 0 4.2A4.2 4.2 0 1 1 0-4.2ZM-3-3L3 3", False, VERMILLION),
    "answered": ("M0-4.2A4.2 4.2 0 1 1 0 4.2A4.2 4.2 0 1 1 0-4.2Z", False, BLUE),
    "still there": ("M-4-4.6H4L-4 4.6H4Z", False, INK),
}


def timeline_svg(picture: Picture, title: str, description: str) -> str:
    """The picture as SVG.

    Args:
        picture: from the layout.
        title: its name, for those who hear it.
        description: all that it says, in words.
    """
    parts = [
        *_bands(picture.rows),
        *_axis(picture),
        *(part for row in (*picture.lives, *picture.rows) for part in _row(row)),
        *(part for one in picture.breaks for part in _break(one, picture)),
        *(part for row in (*picture.lives, *picture.rows) for part in _marks(row)),
        *(_entry(entry) for entry in picture.legend),
    ]
    return canvas(picture.width, picture.height, title, description, parts)


def _bands(rows: Iterable[Row]) -> Iterator[str]:
    """Every other row is tinted, to lead the eye from its name to its fate."""
    for number, row in enumerate(rows):
        if number % 2 == 0:
            yield rect(1, row.y, 858, row.height, BAND)


def _axis(picture: Picture) -> Iterator[str]:
    y = picture.axis_y
    yield f'<g stroke="{RULE}">'
    yield f'<path d="M{px(PLOT_LEFT)} {px(y)}H{px(PLOT_RIGHT)}"/>'
    lines = "".join(f"M{px(x)} {px(picture.top)}V{px(y + 4)}" for x, _ in picture.ticks)
    yield f'<path d="{lines}" stroke-dasharray="1 3"/></g>'
    yield f'<g font-size="10" fill="{QUIET}" text-anchor="middle">'
    yield from (written(x, y + 15, text) for x, text in picture.ticks)
    yield "</g>"
    yield written(MARGIN, y + 15, "seconds, not to scale", f' font-size="10" fill="{QUIET}"')


def _row(row: Row) -> Iterator[str]:
    middle = row.y + (LANE / 2 + 8 if row.keys else row.height / 2 + 4)
    yield written(MARGIN, middle, row.name)
    if row.fate:
        weight = ' font-weight="bold"' if row.fate in LOUD else f' fill="{QUIET}"'
        yield written(FATE_X, middle, row.fate, weight)
    yield from (_span(span) for span in row.spans)
    if row.ticks:
        y = row.y + 9
        strokes = "".join(f"M{px(x)} {px(y)}v11" for x in row.ticks)
        yield f'<path d="{strokes}" stroke="{NOBODY}" stroke-width="2"/>'


def _span(span: Span) -> str:
    long = span.x1 - span.x0
    if span.kind == "adrift":
        d = f"M{px(span.x0)} {px(span.y)}h{px(long)}"
        return f'<path d="{d}" stroke="{NOBODY}" stroke-width="2" stroke-dasharray="2 4"/>'
    if span.kind == "asleep":
        return rect(span.x0, span.y - 2.5, long, 5, PAPER, ' fill-opacity="0.8"')
    high = BAR[span.kind]
    return rect(span.x0, span.y - high / 2, max(long, 1.5), high, _colour(span.worker))


def _marks(row: Row) -> Iterator[str]:
    yield from (_glyph(glyph) for glyph in row.glyphs)
    labels = [written(g.x, g.y - 7.5, g.label) for g in row.glyphs if g.label]
    labels += [written(n.x, n.y - 7.5, n.text, ' text-anchor="start"') for n in row.names]
    if labels:
        yield f'<g font-size="9.5" text-anchor="middle">{"".join(labels)}</g>'


def _glyph(glyph: Glyph) -> str:
    path, filled, colour = SHAPES.get(glyph.kind, SHAPES["struck"])
    paint = f'fill="{colour}" stroke="#fff"' if filled else f'fill="none" stroke="{colour}"'
    width = "" if filled else ' stroke-width="2.2"'
    disc = "" if filled else f'<circle r="6.2" fill="{PAPER}" fill-opacity="0.85"/>'
    where = f"translate({px(glyph.x)} {px(glyph.y)})"
    return f'<g transform="{where}">{disc}<path d="{path}" {paint}{width}/></g>'


def _break(one: Break, picture: Picture) -> Iterator[str]:
    """A strip of paper torn out of the axis, and what is missing there."""
    top, bottom = picture.top - 6, picture.axis_y + 6
    middle = (one.x0 + one.x1) / 2
    left, right = middle - TEAR / 2, middle + TEAR / 2
    shape = f"{_torn(left, top, bottom)}{_torn(right, bottom, top, 'L')}Z"
    edges = f"{_torn(left, top, bottom)}{_torn(right, bottom, top)}"
    yield f'<path d="{shape}" fill="#fff"/><path d="{edges}" fill="none" stroke="{QUIET}"/>'
    at = min(max(middle, 60), picture.width - 60)
    yield written(at, top - 6, one.text, ' text-anchor="middle" font-size="11" font-style="italic"')


def _torn(x: float, begin: float, end: float, move: str = "M") -> str:
    """A zigzag from one height to the other."""
    step = 7 if end > begin else -7
    turns = max(1, int((end - begin) / step))
    zigzag = "".join(f"l{3 if turn % 2 else -3} {step}" for turn in range(turns))
    return f"{move}{px(x)} {px(begin)}{zigzag}"


def _entry(entry: Entry) -> str:
    words = written(entry.x + 26, entry.y + 4, entry.word, ' font-size="11"')
    if not entry.bar:
        return _glyph(Glyph(entry.x + 12, entry.y, entry.kind, "")) + words
    if entry.kind == "ticks":
        d = f"M{px(entry.x + 6)} {px(entry.y - 5)}v11m5-11v11m5-11v11"
        return f'<path d="{d}" stroke="{NOBODY}" stroke-width="2"/>{words}'
    sample = Span(entry.x, entry.x + 20, entry.y, entry.kind, 0)
    under = _span(Span(entry.x, entry.x + 20, entry.y, "try", 0)) if entry.kind == "asleep" else ""
    return under + _span(sample) + words


def _colour(worker: int) -> str:
    return WORKERS[worker % len(WORKERS)] if worker >= 0 else NOBODY
