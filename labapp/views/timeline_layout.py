"""The geometry of a timeline: where each bar and mark of its rows lies, in pixels.

Pure: a tale in, plain numbers out; it knows nothing of SVG. Depends on the tale, its words, its
marks, its rows and the scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from labapp.views.timeline_legend import legend
from labapp.views.timeline_marks import (
    ACKNOWLEDGED,
    BROKER_KILLED,
    EFFECT,
    KILLED,
    NO_ANSWER,
    STILL,
    STOPPED,
    STRUCK,
    Stamp,
    asleep,
    effects,
    forgotten,
    gone_at,
    kind_of_strike,
    loose,
    moments,
    over,
    stamps,
    struck_after,
)
from labapp.views.timeline_picture import Break, Glyph, Name, Picture, Row, Span
from labapp.views.timeline_rows import MOST_LIVES, Group, assigned, clipped, groups, shown
from labapp.views.timeline_scale import Scale
from labapp.views.timeline_tasks import (
    CUT_OFF,
    ENDED,
    PAUSED,
    RUNNING,
    WOKEN,
    Delivery,
    Life,
    Strike,
    Tale,
)
from labapp.views.timeline_text import LEFT, passing

WIDTH = 860.0
MARGIN = 14.0
PLOT_LEFT, PLOT_RIGHT = 160.0, 766.0
FATE_X = 782.0
BREAK_TITLE = 18.0
LIFE = 20.0
LANE = 23.0
BAR_Y = 15.5  # the middle of the bar in its lane; its labels are above
AXIS = 26.0
MOST_STRIKES = 24
GLYPH_GAP = 19.0
NEAR_GAP = 10.0
TICK_GAP = 44.0
CHARACTER = 5.3  # pixels of a label's, about
PRIORITY = (
    BROKER_KILLED,
    KILLED,
    PAUSED,
    CUT_OFF,
    WOKEN,
    STOPPED,
    STRUCK,
    NO_ANSWER,
    EFFECT,
    STILL,
)
SHORT = {ACKNOWLEDGED: "", "woken": "wakes", "answered without a new effect": "no new effect"}
REMAINS = {RUNNING: "still running", **LEFT}


def layout(tale: Tale) -> Picture:
    """Where everything of a run's timeline goes."""
    found = groups(tale)
    lives = tale.lives[:MOST_LIVES]
    scale = _scale(tale, found, lives)
    top = MARGIN + (BREAK_TITLE if tale.travels else 0.0)
    life_rows = [_life_row(life, top + LIFE * n, scale, n) for n, life in enumerate(lives)]
    rows = _rows(tale, found, top + LIFE * len(lives) + (8.0 if lives else 0.0), scale)
    axis = max((row.y + row.height for row in (*life_rows, *rows)), default=top)
    entries, bottom = legend([*life_rows, *rows], MARGIN, WIDTH - MARGIN, axis + AXIS)
    return Picture(
        width=WIDTH,
        height=bottom + MARGIN,
        lives=tuple(life_rows),
        rows=tuple(rows),
        ticks=tuple((x, _seconds(at)) for at, x in scale.ticks(TICK_GAP)),
        breaks=tuple(_breaks(tale, scale)),
        legend=tuple(entries),
        axis_y=axis,
        top=top,
    )


# The scale: every moment that is drawn, and how far apart marks must be


def _scale(tale: Tale, found: Sequence[Group], lives: Sequence[Life]) -> Scale:
    needs = [need for group in found for need in _needs(group, tale.refusal)]
    needs += [need for life in lives for need in _needs_of_life(life)]
    times = [tale.end, *(at for earlier, later, _ in needs for at in (earlier, later))]
    breaks = (travel.at for travel in tale.travels)
    return Scale(times, needs, breaks, PLOT_LEFT, PLOT_RIGHT)


def _needs(group: Group, refusal: str) -> Iterator[tuple[float, float, float]]:
    if group.folded:
        yield from ((at, at, 0.0) for task in group.tasks for at in effects(task))
        return
    task = group.tasks[0]
    deliveries = shown(task)
    found = [*loose(task), *(stamp for one in deliveries for stamp in stamps(one, refusal))]
    marks = sorted({stamp.at for stamp in found})
    yield from ((at, at, 0.0) for at in marks)
    yield from ((a, b, GLYPH_GAP) for a, b in pairwise(marks))
    for delivery in deliveries:
        yield from _needs_of_delivery(delivery, marks)


def _needs_of_delivery(
    delivery: Delivery, marks: Sequence[float]
) -> Iterator[tuple[float, float, float]]:
    yield from ((at, at, 0.0) for at in moments(delivery))
    before = [at for at in marks if at < delivery.fetched][-1:]
    after = [at for at in marks if at > delivery.fetched][:1]
    yield from ((at, delivery.fetched, NEAR_GAP) for at in before)
    yield from ((delivery.fetched, at, GLYPH_GAP) for at in after)
    for one in delivery.tries:
        following = [at for at in marks if at > one.begun][:1]
        yield from ((one.begun, at, NEAR_GAP) for at in following)


def _needs_of_life(life: Life) -> Iterator[tuple[float, float, float]]:
    yield life.started, life.started, 0.0
    yield from ((strike.at, strike.at, 0.0) for strike in life.strikes)
    marked = sorted({strike.at for strike in life.strikes if strike.step != ENDED})
    yield from ((a, b, GLYPH_GAP) for a, b in pairwise(marked[:MOST_STRIKES]))


# Rows of tasks


def _rows(tale: Tale, found: Iterable[Group], y: float, scale: Scale) -> list[Row]:
    numbers = {life.name: number for number, life in enumerate(tale.lives)}
    rows: list[Row] = []
    for group in found:
        row = _folded(group, y, scale) if group.folded else _row(group, y, scale, tale, numbers)
        rows.append(row)
        y += row.height
    return rows


def _folded(group: Group, y: float, scale: Scale) -> Row:
    ticks = {round(scale.x(at), 1) for task in group.tasks for at in effects(task)}
    return Row(y, LANE, group.name, group.fate, group.keys, ticks=tuple(sorted(ticks)))


def _row(group: Group, y: float, scale: Scale, tale: Tale, numbers: dict[str, int]) -> Row:
    task = group.tasks[0]
    deliveries = shown(task)
    lanes = assigned(deliveries)
    middles = [y + lane * LANE + BAR_Y for lane in lanes]
    spans: list[Span] = []
    glyphs: list[Glyph] = []
    for delivery, middle in zip(deliveries, middles, strict=True):
        end = forgotten(task)
        spans += _spans(delivery, middle, scale, numbers.get(delivery.worker, -1), end)
        glyphs += _glyphs(stamps(delivery, tale.refusal), middle, scale)
    last = middles[-1] if middles else y + BAR_Y
    glyphs += _glyphs(loose(task), last, scale)
    if task.remaining in REMAINS:
        glyphs.append(Glyph(PLOT_RIGHT, last, STILL, REMAINS[task.remaining]))
    names = tuple(_names(deliveries, middles, scale))
    height = LANE * (max(lanes, default=0) + 1)
    marks = tuple(labelled(glyphs, names))
    return Row(y, height, group.name, group.fate, group.keys, tuple(spans), marks, names)


def _names(
    deliveries: Iterable[Delivery], middles: Iterable[float], scale: Scale
) -> Iterator[Name]:
    """The worker's name where a lane's bars begin, and where another one takes over."""
    seen: dict[float, str] = {}
    for delivery, middle in zip(deliveries, middles, strict=True):
        if seen.get(middle) != delivery.worker and delivery.worker:
            yield Name(scale.x(delivery.fetched), middle, clipped(delivery.worker))
        seen[middle] = delivery.worker


def _glyphs(found: Iterable[Stamp], y: float, scale: Scale) -> list[Glyph]:
    return [Glyph(scale.x(stamp.at), y, stamp.kind, stamp.word) for stamp in found]


def _spans(
    delivery: Delivery, y: float, scale: Scale, worker: int, forgotten_at: float | None
) -> Iterator[Span]:
    """Thin while the worker keeps the message, thick while a request is under way, dashed when
    the worker is gone and the broker still keeps the message for it."""
    gone = gone_at(delivery)
    last = gone if gone is not None else max(moments(delivery)) if over(delivery) else None
    end = PLOT_RIGHT if last is None else scale.x(last)
    yield _span(scale.x(delivery.fetched), end, y, "wait", worker)
    for number, one in enumerate(delivery.tries):
        stop = _try_end(delivery, number)
        yield _span(scale.x(one.begun), end if stop is None else scale.x(stop), y, "try", worker)
    yield from _asleep(delivery.strikes, y, scale, worker)
    if gone is not None and delivery.acknowledged is None:
        back = forgotten_at if delivery.returned is None else delivery.returned
        until = PLOT_RIGHT if back is None else scale.x(back)
        if until > end:
            yield Span(end, until, y, "adrift", -1)


def _try_end(delivery: Delivery, number: int) -> float | None:
    """When a request ended; None where only the end of the delivery says so."""
    one = delivery.tries[number]
    if one.answered is not None:
        return one.answered
    following = [other.begun for other in delivery.tries[number + 1 : number + 2]]
    return min([*following, *struck_after(delivery, one.begun)], default=None)


def _asleep(strikes: Sequence[Strike], y: float, scale: Scale, worker: int) -> Iterator[Span]:
    for begin, end in asleep(strikes):
        until = PLOT_RIGHT if end is None else scale.x(end)
        yield _span(scale.x(begin), until, y, "asleep", worker)


def _span(x0: float, x1: float, y: float, kind: str, worker: int) -> Span:
    """Clocks of different processes may differ by a hair: a bar never runs backwards."""
    return Span(x0, max(x0, x1), y, kind, worker)


# Rows of workers


def _life_row(life: Life, y: float, scale: Scale, number: int) -> Row:
    middle = y + LIFE / 2
    ended = life.ended_at()
    end = PLOT_RIGHT if ended is None else scale.x(ended)
    bar = _span(scale.x(life.started), end, middle, "life", number)
    spans = (bar, *_asleep(life.strikes, middle, scale, number))
    struck = [s for s in life.strikes if s.step != ENDED][:MOST_STRIKES]
    found = [Stamp(s.at, kind_of_strike(s.step), s.step) for s in struck]
    glyphs = tuple(_glyphs(found, middle, scale))
    return Row(y, LIFE, clipped(f"worker {life.name}"), "", (), spans, glyphs)


# Journeys in time, and labels


def _breaks(tale: Tale, scale: Scale) -> Iterator[Break]:
    for travel in tale.travels:
        x0, x1 = scale.x(travel.at), scale.x(travel.at, after_break=True)
        yield Break(x0, max(x0, x1), passing(travel.seconds))


def labelled(glyphs: Sequence[Glyph], names: Iterable[Name]) -> list[Glyph]:
    """The glyphs; those beside which there is room have their word as a label, what is worst
    first."""
    taken = [(name.x, name.x + CHARACTER * len(name.text) + 6, name.y) for name in names]
    told = list(glyphs)
    for number in sorted(range(len(glyphs)), key=lambda n: (_rank(glyphs[n].kind), n)):
        glyph = glyphs[number]
        text = SHORT.get(glyph.word, glyph.word)
        half = CHARACTER * len(text) / 2 + 3
        x0, x1 = glyph.x - half, glyph.x + half
        free = all(y != glyph.y or x1 <= a or x0 >= b for a, b, y in taken)
        if text and free and x0 >= PLOT_LEFT - 12 and x1 <= FATE_X:
            taken.append((x0, x1, glyph.y))
            told[number] = Glyph(glyph.x, glyph.y, glyph.kind, glyph.word, text)
    return told


def _rank(kind: str) -> int:
    return PRIORITY.index(kind) if kind in PRIORITY else len(PRIORITY)


def _seconds(at: float) -> str:
    return f"{at:g} s" if at == round(at) else f"{at:.1f} s"
