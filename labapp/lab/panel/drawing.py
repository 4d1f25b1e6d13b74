"""A moment of the panel as one SVG that stands still: for a saved notebook, GitHub, a slide.

Pure: complete in itself, no script and no style sheet, as the timelines of runs
(``labapp.views.timeline_svg``, from where shapes and colours are: Okabe and Ito's, and none of them
carries a meaning alone).  ``panel.js`` draws the moving one from the same shapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape
from itertools import accumulate, pairwise
from typing import Any

from labapp.lab.panel.moment import QUEUE, WORLD, Bar, Mark, Moment, ago, lanes, lanes_of
from labapp.lab.panel.moment import WINDOW as SECONDS
from labapp.lab.panel.words import lines, words
from labapp.views.keys import printable
from labapp.views.svg import BAND, INK, PAPER, QUIET, RULE
from labapp.views.timeline_svg import SHAPES, WORKERS

WIDTH, LEFT, RIGHT = 860.0, 90.0, 845.0
TOP, EDGE, LANE, BAR, LINE = 26.0, 8.0, 18.0, 16.0, 16.0
LETTER = 5.5
"""Pixels of a letter, about: a bar that is too short for its order's name goes without."""
HALO = f'stroke="{PAPER}" stroke-width="2" paint-order="stroke"'
"""Round letters on a bar, so that they can be read on each colour."""
SENT = ("M-4-4.4L4.4 0L-4 4.4Z", True, "#222")
AGAIN = SHAPES["redelivered"]
MARKS: dict[str, tuple[tuple[str, bool, str], str]] = {
    "sent": (SENT, "sent"),
    "sent again": (SHAPES["queued again"], "sent again (the same task id)"),
    "redelivered": (AGAIN, "redelivered"),
    "rejected": (SHAPES["rejected"], "put back by its worker"),
    "effect": (SHAPES["effect"], "happened"),
    "child killed": (SHAPES["struck"], "child killed"),
    "killed": (SHAPES["killed"], "worker killed"),
    "ended": (SHAPES["stop"], "ended by itself"),
    "paused": (SHAPES["paused"], "paused"),
    "woken": (SHAPES["woken"], "woken"),
    "broker killed": (SHAPES["broker killed"], "broker killed"),
    "broker back": (SHAPES["answered"], "broker back"),
    "time passed": (SHAPES["still there"], "time passed"),
}
"""Shape (path, whether it is filled, colour) and word of each mark."""
ENDS = {"runs": "running", "done": "done", "failed": "failed", "cut": "cut off by a kill"}
"""Word of each way in which a bar ends; its pattern differs, too."""
DASHES = {"failed": "3 2", "cut": "1 3"}


def look() -> dict[str, Any]:
    """The shapes and words for the browser."""
    shapes = {kind: [*shape, word] for kind, (shape, word) in MARKS.items()}
    colours = {"workers": WORKERS, "ink": INK, "paper": PAPER, "rule": RULE, "band": BAND}
    return {"shapes": shapes, "ends": ENDS, "dashes": DASHES, "colours": colours}


def svg(moment: Moment) -> str:
    """The moment as a picture, with its words below it and as its description."""
    below = [*legend(moment), "", *lines(moment)]
    axis = tops(moment)[-1]
    height = axis + 30 + LINE * len(below)
    size = f'width="{n(WIDTH)}" height="{n(height)}" viewBox="0 0 {n(WIDTH)} {n(height)}"'
    style = 'style="max-width: 100%; height: auto" font-family="Helvetica, Arial, sans-serif"'
    paint = f'role="img" font-size="12" fill="{INK}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} {paint}>',
        f"<title>The live panel at one moment</title><desc>{t(words(moment))}</desc>",
        f'<rect width="{n(WIDTH)}" height="{n(height)}" fill="{PAPER}" stroke="{RULE}"/>',
        text(LEFT, 16, f"the last {SECONDS:.0f} seconds", f' font-size="10" fill="{QUIET}"'),
        *rows(moment),
        *axis_of(axis),
        *(text(12, axis + 34 + LINE * place, line) for place, line in enumerate(below)),
        "</svg>",
    ]
    return "\n".join(parts)


def tops(moment: Moment) -> list[float]:
    """Where each row begins, and where the last one ends: a row is as high as its lanes."""
    high = (EDGE * 2 + LANE * count for count in lanes_of(moment))
    return list(accumulate(high, initial=TOP))


def rows(moment: Moment) -> Iterator[str]:
    """Each row: its band, its name, its bars and marks."""
    placed = list(zip(moment.bars, lanes(moment), strict=True))
    for place, (row, (y, end)) in enumerate(zip(moment.rows, pairwise(tops(moment)), strict=True)):
        if place % 2 == 0:
            size = f'width="{n(WIDTH - 2)}" height="{n(end - y)}"'
            yield f'<rect x="1" y="{n(y)}" {size} fill="{BAND}"/>'
        yield text(12, (y + end) / 2 + 4, row)
        for bar, lane in placed:
            if bar.row == row:
                yield from drawn_bar(bar, y + EDGE + LANE * lane, moment)
        for mark in moment.marks:
            if mark.row == row:
                yield drawn_mark(mark, x_of(mark.at, moment.at), (y + end) / 2)


def drawn_bar(bar: Bar, y: float, moment: Moment) -> Iterator[str]:
    """A bar with its order's name; how it ended is in its outline."""
    begin, end = x_of(bar.begin, moment.at), x_of(bar.until(moment.at), moment.at)
    dash = f' stroke-dasharray="{DASHES[bar.how]}"' if bar.how in DASHES else ""
    colour = colour_of(bar.row, moment.rows)
    size = f'width="{n(max(end - begin, 2))}" height="{n(BAR)}"'
    named = f"<title>{t(f'{bar.key}: {ENDS[bar.how]}')}</title>"
    paint = f'fill="{colour}" stroke="{INK}"{dash}'
    yield f'<rect x="{n(begin)}" y="{n(y + 1)}" {size} {paint}>{named}</rect>'
    if end - begin >= len(bar.key) * LETTER:
        yield text(begin + 3, y + 13, bar.key, f' font-size="10" {HALO}')


def drawn_mark(mark: Mark, x: float, y: float) -> str:
    """A mark as its shape."""
    (path, filled, colour), _ = MARKS[mark.kind]
    fill, stroke = (colour, "#fff") if filled else ("none", colour)
    wide = "" if filled else ' stroke-width="2.2"'
    where = f'transform="translate({n(x)} {n(y)})"'
    return f'<path {where} d="{path}" fill="{fill}" stroke="{stroke}"{wide}/>'


def legend(moment: Moment) -> list[str]:
    """What is on the timeline, in words: how many marks and bars of each kind, row by row."""
    counts = Counter((mark.row, MARKS[mark.kind][1]) for mark in moment.marks)
    counts.update((bar.row, ENDS[bar.how]) for bar in moment.bars)
    told: dict[str, list[str]] = {row: [] for row in moment.rows}
    for (row, word), count in counts.items():
        told[row].append(f"{count} {word}")
    return [f"{row}: {', '.join(items) or 'nothing'}" for row, items in told.items()]


def axis_of(y: float) -> Iterator[str]:
    """The scale: seconds before now."""
    yield f'<path d="M{n(LEFT)} {n(y)}H{n(RIGHT)}" stroke="{RULE}"/>'
    for seconds in range(0, int(SECONDS) + 1, 5):
        words = f"{seconds} s ago" if seconds else "now"
        x = RIGHT - seconds / SECONDS * (RIGHT - LEFT)
        yield text(x, y + 13, words, f' font-size="10" fill="{QUIET}" text-anchor="middle"')


def x_of(at: float, now: float) -> float:
    """Where a moment is; what is older than the window is at its edge."""
    return RIGHT - min(ago(at, now), SECONDS) / SECONDS * (RIGHT - LEFT)


def colour_of(row: str, known: tuple[str, ...]) -> str:
    """A worker's colour, by its number among the rows."""
    place = [name for name in known if name not in (QUEUE, WORLD)].index(row)
    return WORKERS[place % len(WORKERS)]


def text(x: float, y: float, words: str, more: str = "") -> str:
    """A line of text."""
    return f'<text x="{n(x)}" y="{n(y)}"{more}>{t(words)}</text>'


def t(words: str) -> str:
    """Text that XML allows: what cannot be printed is shown as Python writes it."""
    return escape("\n".join(printable(line) if line else "" for line in words.split("\n")))


def n(number: float) -> str:
    """A number with one decimal at most."""
    return f"{number:.1f}".removesuffix(".0")
