"""Requests over time: what became of each, and a picture that says no more and no less."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timeline_bench import HOSTILE, histories, orders, sent

from labapp.checker.history import Answered, Attempt, Effect, Event
from labapp.views.arrivals import MOST_SLICES, End, arrivals, slice_width, sliced
from labapp.views.storm import Requests, Storm
from labapp.views.storm_svg import LEFT, PLOT, RIGHT, Box, Panel, boxes, frame_of, nice_step

SVG = "{http://www.w3.org/2000/svg}"
LARGEST = 90_000  # bytes
REFUSED, REPEATED, CHARGED = End


def refused(key: str, at: float) -> list[Event]:
    return [Attempt(at, key)]


def charged(key: str, at: float) -> list[Event]:
    return [Attempt(at, key), Effect(at + 0.001, key), Answered(at + 0.002, key)]


def lock_step(count: int = 200) -> list[Event]:
    """Everybody comes at 10, 12 and 16 seconds; the partner is back at 15."""
    keys = orders(*range(1, count + 1))
    events: list[Event] = [*sent(keys)]
    for number, key in enumerate(keys):
        late = number / 400
        events += [*refused(key, 10 + late), *refused(key, 12 + late), *charged(key, 16 + late)]
    return events


def svg(events: list[Event]) -> ET.Element:
    return ET.fromstring(Requests(events)._repr_mimebundle_()["image/svg+xml"])  # noqa: S314  ours


# --- what became of each -------------------------------------------------------------------------


@given(histories)
def test_every_request_is_there_once_and_in_order(history: list[Event]) -> None:
    found = arrivals(history)
    came = Counter(event.key for event in history if isinstance(event, Attempt))
    assert Counter(arrival.key for arrival in found) == came
    times = [arrival.at for arrival in found]
    assert times == sorted(times)
    assert times[:1] in ([], [0.0])


@given(histories)
def test_a_key_has_as_many_charged_requests_as_charges_where_so_many_came(
    history: list[Event],
) -> None:
    found = arrivals(history)
    for key in {arrival.key for arrival in found}:
        effects = sum(isinstance(event, Effect) and event.key == key for event in history)
        ends = [arrival.end for arrival in found if arrival.key == key]
        assert ends.count(CHARGED) == min(effects, len(ends))


def test_a_charge_belongs_to_the_last_request_before_it() -> None:
    events = [*refused("order-1", 1.0), *refused("order-1", 2.0), *charged("order-1", 4.0)]
    found = arrivals([*events, *refused("order-1", 5.0)])
    assert [(a.at, a.end) for a in found] == [
        (0.0, REFUSED),
        (1.0, REFUSED),
        (3.0, CHARGED),
        (4.0, REFUSED),
    ]


def test_a_request_that_found_its_charge_is_neither_refused_nor_charged() -> None:
    """Its first answer was lost on the way; the second one is the first one, told again."""
    lost_reply: list[Event] = [Attempt(1.0, "order-1"), Effect(1.1, "order-1")]
    found = arrivals([*lost_reply, Attempt(2.0, "order-1"), Answered(2.1, "order-1")])
    assert [arrival.end for arrival in found] == [CHARGED, REPEATED]


def test_effects_that_no_request_asked_for_are_not_drawn() -> None:
    assert arrivals([Effect(1.0, "booking of order-1"), *charged("order-1", 2.0)])[0].at == 0.0


def test_figures_of_a_run_in_lock_step() -> None:
    requests = Requests(lock_step())
    assert len(requests) == 600
    assert requests.waits("order-7") == pytest.approx((2.0, 4.0))
    assert requests.silence == pytest.approx(3.5, abs=0.01)
    assert requests.busiest(1.0) == 200
    assert requests.busiest(0.25) == pytest.approx(100, abs=1)


@given(histories, st.floats(0.01, 100.0))
def test_the_busiest_stretch_holds_no_less_than_any_other(
    history: list[Event], seconds: float
) -> None:
    requests = Requests(history)
    times = [arrival.at for arrival in requests.arrivals]
    counted = [sum(begin <= at < begin + seconds for at in times) for begin in times]
    assert requests.busiest(seconds) >= max((n - 1 for n in counted), default=0)
    assert requests.busiest(seconds) <= len(requests)


# --- slices and bars -----------------------------------------------------------------------------


@given(histories)
def test_no_request_falls_between_the_slices(history: list[Event]) -> None:
    found = arrivals(history)
    width = slice_width(found[-1].at if found else 0.0)
    slices = sliced(found, width)
    assert len(slices) <= MOST_SLICES + 1
    total = Counter(arrival.end for arrival in found)
    assert {end: sum(counts[end] for counts in slices) for end in End} == {
        end: total[end] for end in End
    }


@given(histories)
def test_bars_lie_in_their_panel_and_are_as_high_as_their_requests(history: list[Event]) -> None:
    found = arrivals(history)
    width = slice_width(found[-1].at if found else 0.0)
    panel = Panel("", sliced(found, width))
    frame = frame_of([panel], width)
    drawn = boxes(panel, frame, bottom=200.0)
    assert all(LEFT <= box.x <= box.x + box.width <= RIGHT + 0.5 for box in drawn)
    assert all(200.0 - PLOT - 1e-6 <= box.y <= 200.0 for box in drawn)
    total = sum(sum(counts.values()) for counts in panel.slices)
    assert sum(box.height for box in drawn) == pytest.approx(frame.high(1) * total)


@given(histories, histories)
def test_two_panels_have_one_scale(one: list[Event], other: list[Event]) -> None:
    """A request is as high, and a second as wide, in the one as in the other."""
    found = [arrivals(one), arrivals(other)]
    width = slice_width(max((a[-1].at for a in found if a), default=0.0))
    panels = [Panel(str(n), sliced(a, width)) for n, a in enumerate(found)]
    frame = frame_of(panels, width)
    for panel in panels:
        heights = sum(box.height for box in boxes(panel, frame, 0.0))
        requests = sum(sum(counts.values()) for counts in panel.slices)
        assert heights == pytest.approx(requests * frame.high(1))
        assert all(box.x + box.width <= RIGHT + 0.5 for box in boxes(panel, frame, 0.0))


def test_parts_of_one_bar_stand_on_each_other() -> None:
    panel = Panel("", [{REFUSED: 3, REPEATED: 2, CHARGED: 5}])
    drawn: list[Box] = boxes(panel, frame_of([panel], 1.0), bottom=PLOT)
    assert [box.end for box in drawn] == [REFUSED, REPEATED, CHARGED]
    assert all(a.y == pytest.approx(b.y + b.height) for a, b in pairwise(drawn))
    assert drawn[-1].y == pytest.approx(0.0)


@given(st.integers(0, 10**9), st.integers(1, 12))
def test_a_round_step_goes_into_the_top_a_few_times(top: int, most: int) -> None:
    step = nice_step(top, most)
    assert top / step <= most
    assert str(step).rstrip("0") in {"1", "2", "5"}


# --- the page and the words ----------------------------------------------------------------------


@given(histories)
def test_any_history_is_valid_svg_of_a_bounded_size(history: list[Event]) -> None:
    text = Storm({"one": Requests(history), "two": Requests(history)}).svg()
    root = ET.fromstring(text)  # noqa: S314  our own
    assert root.get("width") == "860"
    assert float(root.get("height", "0")) < 400
    assert len(text.encode()) <= LARGEST


def test_the_description_tells_every_bar() -> None:
    told = svg(lock_step(8)).findtext(f"{SVG}desc")
    assert told == "0 to 0.25 s: 8 refused\n2 to 2.25 s: 8 refused\n6 to 6.25 s: 8 charged"


def test_the_legend_names_what_is_drawn_and_nothing_else() -> None:
    said = [element.text for element in svg(lock_step(8)).iter(f"{SVG}text")]
    assert REFUSED in said
    assert CHARGED in said
    assert REPEATED not in said


def test_each_panel_tells_its_highest_bar() -> None:
    runs = {"lock step": Requests(lock_step(8)), "one": Requests(charged("order-1", 3.0))}
    root = ET.fromstring(Storm(runs).svg())  # noqa: S314  our own
    said = [element.text for element in root.iter(f"{SVG}text")]
    assert {"lock step", "one", "8", "1"} <= set(said)


def test_the_picture_is_complete_in_itself() -> None:
    root = svg(lock_step(20))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "g", "rect", "path", "text"}
    assert root.get("role") == "img"
    assert not {name for element in root.iter() for name in element.attrib} & {"id", "class"}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_and_nothing_else(name: str) -> None:
    storm = Storm({name: Requests(charged(name, 1.0))})
    raw = storm.svg()
    assert not list(ET.fromstring(raw).iter(f"{SVG}script"))  # noqa: S314  our own
    assert not re.search("[\x00-\x08\ud800-\udfff]", raw)
    assert len(repr(storm).splitlines()) == 1


def test_words_are_the_same_whenever_the_requests_came() -> None:
    early, late = lock_step(20), [*lock_step(20), *refused("order-1", 16.01)]
    assert repr(Requests(early)) == "20 orders · 20 charged · requests were refused"
    assert repr(Requests(late)) == repr(Requests(early))
    assert repr(Requests(charged("order-1", 1.0))).endswith("no request was refused")
    assert repr(Requests(sent(orders(1)))) == "no request came"


def test_storms_are_told_line_by_line() -> None:
    storm = Storm({"lock step": Requests(lock_step(2)), "none": Requests([])})
    assert repr(storm) == (
        "lock step  2 orders · 2 charged · requests were refused\nnone       no request came"
    )
    assert storm._repr_mimebundle_()["text/plain"] == repr(storm)
