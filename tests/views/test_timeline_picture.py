"""A timeline as a picture: properties of its geometry and of its SVG, for any history at all."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timeline_bench import HOSTILE, crash, done, histories, many, orders, paused, poison, sent

from labapp.checker.history import Event, Mark, WorkerStarted
from labapp.views.timeline import Timeline
from labapp.views.timeline_layout import PLOT_LEFT, PLOT_RIGHT, layout
from labapp.views.timeline_picture import Picture
from labapp.views.timeline_rows import MOST_ALONE, MOST_DELIVERIES
from labapp.views.timeline_scale import Scale
from labapp.views.timeline_svg import BAR, SHAPES, WORKERS
from labapp.views.timeline_tasks import tale

HIGHEST = 620.0  # pixels
LARGEST = 60_000  # bytes
SVG = "{http://www.w3.org/2000/svg}"
REAL = {"crash": crash(), "early": crash(early=True), "paused": paused(), "poison": poison(10)}


def drawn(events: list[Event]) -> Picture:
    return layout(tale(events))


def svg(events: list[Event]) -> ET.Element:
    return ET.fromstring(Timeline(events)._repr_svg_())  # noqa: S314  our own


# --- geometry ------------------------------------------------------------------------------------


@given(histories)
def test_no_bar_runs_backwards_and_nothing_lies_outside_the_canvas(history: list[Event]) -> None:
    picture = drawn(history)
    for row in (*picture.lives, *picture.rows):
        assert 0 <= row.y <= row.y + row.height <= picture.height
        for span in row.spans:
            assert PLOT_LEFT <= span.x0 <= span.x1 <= PLOT_RIGHT
        for thing in (*row.spans, *row.glyphs, *row.names):
            assert row.y <= thing.y <= row.y + row.height
        assert all(PLOT_LEFT <= glyph.x <= PLOT_RIGHT for glyph in row.glyphs)
        assert all(PLOT_LEFT <= x <= PLOT_RIGHT for x in row.ticks)
    assert all(0 <= entry.x <= picture.width for entry in picture.legend)
    assert all(entry.y <= picture.height for entry in picture.legend)
    assert all(PLOT_LEFT <= x <= PLOT_RIGHT for x, _ in picture.ticks)


@given(histories)
def test_rows_do_not_cover_each_other(history: list[Event]) -> None:
    picture = drawn(history)
    rows = [*picture.lives, *picture.rows]
    assert all(a.y + a.height <= b.y for a, b in pairwise(rows))


@given(histories)
def test_every_task_has_exactly_one_row(history: list[Event]) -> None:
    shown = [key for row in drawn(history).rows for key in row.keys]
    assert sorted(shown) == sorted(task.key for task in tale(history).tasks)


@given(histories)
def test_what_is_drawn_is_in_the_legend_and_what_is_not_is_not(history: list[Event]) -> None:
    picture = drawn(history)
    rows = (*picture.lives, *picture.rows)
    known = {entry.word for entry in picture.legend if not entry.bar}
    used = {glyph.word for row in rows for glyph in row.glyphs}
    assert known <= used
    assert used == known or len(used) > 12  # a legend of four lines holds that many


@given(histories)
def test_time_never_runs_backwards_on_paper(history: list[Event]) -> None:
    picture = drawn(history)
    places = [x for x, _ in picture.ticks]
    assert places == sorted(places)


moments = st.floats(0.0, 1e6)


@given(st.lists(moments, min_size=1), st.lists(moments, max_size=3), st.lists(moments, min_size=2))
def test_the_scale_keeps_order_and_stays_between_its_ends(
    times: list[float], breaks: list[float], asked: list[float]
) -> None:
    needs = [(min(a, b), max(a, b), 20.0) for a, b in pairwise(times)]
    scale = Scale(times, needs, breaks, 100.0, 700.0)
    places = [scale.x(at) for at in sorted([*asked, *times])]
    assert places == sorted(places)
    assert all(100.0 <= x <= 700.0 for x in places)
    for at in breaks:
        assert scale.x(at) <= scale.x(at, after_break=True)


@given(st.lists(moments, min_size=2, max_size=4, unique=True))
def test_what_is_written_above_two_journeys_does_not_touch(breaks: list[float]) -> None:
    scale = Scale([0.0, *breaks, 2e6], [], breaks, 100.0, 800.0)
    middles = [(scale.x(at) + scale.x(at, after_break=True)) / 2 for at in sorted(breaks)]
    widest = len("150 minutes pass") * 5.3
    assert all(b - a >= widest for a, b in pairwise(middles))


def test_marks_of_one_row_are_told_apart() -> None:
    for events in REAL.values():
        for row in drawn(events).rows:
            for y in {glyph.y for glyph in row.glyphs}:
                places = sorted(glyph.x for glyph in row.glyphs if glyph.y == y)
                assert all(b - a > 12 for a, b in pairwise(places))


def test_labels_of_one_lane_do_not_touch() -> None:
    (row,) = drawn(poison(10)).rows
    labels = sorted((glyph.x, len(glyph.label)) for glyph in row.glyphs if glyph.label)
    assert labels
    for (x0, size0), (x1, size1) in pairwise(labels):
        assert x1 - x0 >= (size0 + size1) * 5.3 / 2


def test_a_crash_is_drawn_as_it_was() -> None:
    picture = drawn(crash())
    names = [(row.name, row.fate) for row in picture.rows]
    assert names[2:] == [
        ("order-3", "duplicated"),
        ("order-4", "recovered"),
        ("order-5", "recovered"),
    ]
    third = picture.rows[2]
    marks = [glyph.kind for glyph in sorted(third.glyphs, key=lambda glyph: glyph.x)]
    assert marks == ["effect", "killed", "redelivered", "effect", "acknowledged"]
    assert [span.kind for span in third.spans] == ["wait", "try", "adrift", "wait", "try"]
    assert [one.text for one in picture.breaks] == ["an hour passes"]
    (one,) = picture.breaks
    killed = next(glyph for glyph in third.glyphs if glyph.kind == "killed")
    back = next(glyph for glyph in third.glyphs if glyph.kind == "redelivered")
    assert killed.x < one.x0 < one.x1 < back.x


def test_two_workers_at_one_task_at_the_same_time_have_a_lane_each() -> None:
    (row,) = drawn(paused()).rows
    by_lane = {span.y: span.worker for span in row.spans}
    assert list(by_lane.values()) == [0, 1]
    assert "asleep" in {span.kind for span in row.spans}


# --- folding -------------------------------------------------------------------------------------


def test_ten_tasks_have_a_row_each() -> None:
    events = [*sent(orders(*range(1, 11))), WorkerStarted(0.1, "w1")]
    for number in range(1, 11):
        events += done(f"order-{number}", 1.0 + number, "w1")
    assert [row.name for row in drawn(events).rows] == list(orders(*range(1, 11)))


def test_of_many_tasks_those_that_went_well_fold() -> None:
    picture = drawn(many(200, every=25))
    names = [row.name for row in picture.rows]
    assert names == [*orders(*range(25, 201, 25)), "192 went well"]
    assert len(picture.rows[-1].ticks) > 20
    assert len(names) < MOST_ALONE + 1


def test_too_many_of_one_story_fold_into_its_first() -> None:
    names = [row.name for row in drawn(many(200, every=4)).rows]
    assert names == ["order-4 + 49 alike", "150 went well"]


def test_too_many_stories_are_counted() -> None:
    """Each order is delivered once more than the one before: no two have the same story."""
    events: list[Event] = sent(orders(*range(1, 41)))
    for number in range(1, 41):
        for turn in range(number):
            at = 1.0 + number / 10 + turn / 1000
            events += [Mark(at, f"order-{number}", "fetched", f"w{turn}")]
            events += [Mark(at + 0.0005, f"order-{number}", "rejected", f"w{turn}")]
    rows = drawn(events).rows
    assert rows[-1].name.endswith(" more")
    assert len([key for row in rows for key in row.keys]) == 40


def test_a_row_of_very_many_deliveries_leaves_out_its_middle() -> None:
    (row,) = drawn(poison(500)).rows
    assert len([span for span in row.spans if span.kind == "wait"]) == MOST_DELIVERIES


# --- the page ------------------------------------------------------------------------------------


@given(histories)
def test_any_history_is_valid_svg_of_a_bounded_size(history: list[Event]) -> None:
    text = Timeline(history)._repr_svg_()
    root = ET.fromstring(text)  # noqa: S314  our own
    assert float(root.get("height", "0")) <= HIGHEST
    assert len(text.encode()) <= LARGEST


deliveries = st.lists(
    st.sampled_from(["well", "lost", "stuck", "twice", "never"]), min_size=200, max_size=200
)


@given(deliveries)
def test_two_hundred_tasks_fit_a_page(ends: list[str]) -> None:
    events: list[Event] = [*sent(orders(*range(1, 201))), WorkerStarted(0.1, "w1")]
    for number, end in enumerate(ends, start=1):
        key, at = f"order-{number}", 1.0 + number / 10
        well = done(key, at, "w1")
        events += {
            "well": well,
            "lost": [well[0], well[1], well[4]],
            "stuck": well[:1],
            "twice": [*well[:3], Mark(at + 0.08, key, "rejected", "w1"), *done(key, at + 1, "w1")],
            "never": [],
        }[end]
    text = Timeline(events)._repr_svg_()
    assert float(ET.fromstring(text).get("height", "0")) <= HIGHEST  # noqa: S314  our own
    assert len(text.encode()) <= LARGEST


@pytest.mark.parametrize("events", REAL.values(), ids=REAL)
def test_the_description_is_the_text(events: list[Event]) -> None:
    root = svg(events)
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}desc") == repr(Timeline(events))
    assert root.findtext(f"{SVG}title") == f"Timeline of {len(tale(events).tasks)} tasks"


def test_the_picture_is_complete_in_itself() -> None:
    """GitHub shows no script, no style sheet, nothing from elsewhere; ids could meet others."""
    for events in REAL.values():
        root = svg(events)
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
            *("svg", "title", "desc", "g", "rect", "path", "circle", "text")
        }
        # The one style is of no loss where a sanitiser takes it away: the picture is not shrunk.
        assert root.attrib.pop("style") == "max-width: 100%; height: auto"
        attributes = {name for element in root.iter() for name in element.attrib}
        assert not {name for name in attributes if name.startswith("on")}
        assert not attributes & {
            "id",
            "class",
            "style",
            "href",
            "{http://www.w3.org/1999/xlink}href",
        }


def test_the_background_is_its_own() -> None:
    first = next(svg(crash()).iter(f"{SVG}rect"))
    assert (first.get("fill"), float(first.get("width", 0)) > 850) == ("#fdfdfb", True)


def test_no_two_shapes_are_the_same_and_every_bar_has_a_height() -> None:
    paths = [(path, filled) for path, filled, _ in SHAPES.values()]
    assert len(set(paths)) == len(paths)
    assert len(set(BAR.values())) == len(BAR)
    assert len(set(WORKERS)) == len(WORKERS)


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys_are_text_and_nothing_else(key: str) -> None:
    events = [*sent([key]), *done(key, 1.0, "<script>w</script>")]
    root = svg(events)
    assert not list(root.iter(f"{SVG}script"))
    raw = Timeline(events)._repr_svg_()
    assert "<script" not in raw
    assert not re.search("[\x00-\x08\ud800-\udfff]", raw)


def test_jupyter_gets_the_picture_and_the_words() -> None:
    timeline = Timeline(crash())
    bundle = timeline._repr_mimebundle_()
    assert bundle == {"text/plain": repr(timeline), "image/svg+xml": timeline._repr_svg_()}
