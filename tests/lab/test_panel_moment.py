"""The panel's pure parts: the rolling tape, the queues behind lists, words and pictures."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labapp.lab.monitor import Command
from labapp.lab.panel.drawing import ENDS, MARKS, look, svg
from labapp.lab.panel.hearing import Told, told
from labapp.lab.panel.moment import (
    QUEUE,
    WINDOW,
    WORLD,
    Bar,
    Elsewhere,
    Mark,
    Moment,
    Queue,
    Task,
    WorkerView,
    lanes,
    lanes_of,
    plain,
    queues,
)
from labapp.lab.panel.tape import MOST, Tape
from labapp.lab.panel.words import words

NOW = 1_000.0
WORKERS = ("w1", "w2")
TASKS = ("a", "b", "c")
instants = st.floats(NOW - 60, NOW)
begins = st.tuples(st.just("begin"), st.sampled_from(WORKERS), st.sampled_from(TASKS))
ends = st.tuples(st.just("end"), st.sampled_from(WORKERS), st.sampled_from(TASKS))
cuts = st.tuples(st.just("cut"), st.sampled_from(WORKERS), st.sampled_from(("", *TASKS)))
marked = st.tuples(st.just("mark"), st.sampled_from((QUEUE, WORLD)), st.sampled_from(TASKS))
stories = st.lists(st.one_of(begins, ends, cuts, marked), max_size=60).flatmap(
    lambda steps: st.tuples(
        st.just(steps),
        st.lists(instants, min_size=len(steps), max_size=len(steps)).map(sorted),
    )
)
keys = st.text(max_size=12)
names = st.sampled_from(("w1", "w2", "w10"))
moments = st.builds(
    Moment,
    at=st.just(NOW),
    queues=st.lists(st.builds(Queue, name=keys, depth=st.integers(0, 9))).map(tuple),
    unacked=st.lists(keys).map(tuple),
    workers=st.lists(
        st.builds(
            WorkerView,
            name=names,
            state=st.sampled_from(("running", "paused", "ended by itself (status 1)")),
            tasks=st.lists(st.builds(Task, key=keys, held=st.booleans())).map(tuple),
        ),
        unique_by=lambda worker: worker.name,
    ).map(tuple),
    elsewhere=st.lists(st.builds(Elsewhere, keys, keys, keys), max_size=2).map(tuple),
    bars=st.lists(
        st.builds(
            Bar,
            row=names,
            key=keys,
            begin=st.floats(NOW - 60, NOW - 20),
            end=st.none() | st.floats(NOW - 20, NOW),
            how=st.sampled_from(list(ENDS)),
        ),
        max_size=8,
    ).map(tuple),
    marks=st.lists(
        st.builds(
            Mark,
            row=names | st.sampled_from((QUEUE, WORLD)),
            kind=st.sampled_from(list(MARKS)),
            at=instants,
            key=keys,
        ),
        max_size=8,
    ).map(tuple),
    said=keys,
    trouble=keys,
    over=keys,
)


def played(story: tuple[list[tuple[str, str, str]], list[float]]) -> Tape:
    """A tape to which all of this has happened."""
    tape = Tape()
    for (what, row, task), at in zip(*story, strict=True):
        match what:
            case "begin":
                tape.begin(row, task, task, at)
            case "end":
                tape.end(row, task, at, "done")
            case "cut":
                tape.cut(row, at, task)
            case _:
                tape.mark(row, "sent", at, task)
    return tape


# The tape


@given(stories)
def test_a_bar_never_ends_before_it_begins(
    story: tuple[list[tuple[str, str, str]], list[float]],
) -> None:
    assert all(bar.end is None or bar.end >= bar.begin for bar in played(story).bars())


@given(stories)
def test_a_worker_that_is_gone_runs_nothing(
    story: tuple[list[tuple[str, str, str]], list[float]],
) -> None:
    tape = played(story)
    gone = {row for what, row, key in story[0] if what == "cut" and not key}
    assert not [row for row in gone if tape.running(row)]


@given(stories)
def test_what_runs_is_never_forgotten_and_what_is_old_always(
    story: tuple[list[tuple[str, str, str]], list[float]],
) -> None:
    tape = played(story)
    before = [bar for bar in tape.bars() if bar.end is None]
    kept = {bar for bar in tape.bars() if bar.end is not None and bar.end >= NOW - WINDOW}
    tape.trim(NOW)
    assert [bar for bar in tape.bars() if bar.end is None] == before
    assert {bar for bar in tape.bars() if bar.end is not None} == kept
    assert all(mark.at >= NOW - WINDOW for mark in tape.marks())


@given(stories)
def test_each_begin_of_a_worker_that_is_there_has_one_bar(
    story: tuple[list[tuple[str, str, str]], list[float]],
) -> None:
    begun, gone = 0, set[str]()
    for what, row, key in story[0]:
        begun += what == "begin" and row not in gone
        gone |= {row} if what == "cut" and not key else set()
    assert len(played(story).bars()) == begun


def test_of_two_copies_on_one_worker_the_first_ends_first() -> None:
    tape = Tape()
    tape.begin("w1", "id", "order-1", 1.0)
    tape.begin("w1", "id", "order-1", 2.0)
    tape.end("w1", "id", 3.0, "done")
    assert [(bar.begin, bar.end) for bar in tape.bars()] == [(1.0, 3.0), (2.0, None)]


def test_a_flood_of_marks_costs_the_oldest_ones() -> None:
    tape = Tape()
    for number in range(MOST + 5):
        tape.mark(QUEUE, "sent", NOW, str(number))
    assert [tape.marks()[0].key, len(tape.marks())] == ["5", MOST]


# Queues


@pytest.mark.parametrize(
    ("lengths", "known", "shown"),
    [
        ({}, ["celery"], ["celery: 0 waiting"]),
        ({"celery": 2}, [], ["celery: 2 waiting"]),
        (
            {"celery": 2, "celery\x06\x163": 1, "celery\x06\x169": 4},
            ["celery"],
            ["celery: 7 waiting (1 at priority 3, 4 at priority 9)"],
        ),
        (
            {"celery\x06\x166": 1, "mail": 1},
            [],
            ["celery: 1 waiting (1 at priority 6)", "mail: 1 waiting"],
        ),
        ({"odd\x06\x16x": 1}, [], ["odd\x06\x16x: 1 waiting"]),
    ],
)
def test_a_queue_is_all_its_priority_steps_together(
    lengths: dict[str, int], known: list[str], shown: list[str]
) -> None:
    assert [str(queue) for queue in queues(lengths, known)] == shown


@given(st.dictionaries(keys, st.integers(1, 99)))
def test_no_message_is_counted_twice_or_left_out(lengths: dict[str, int]) -> None:
    found = queues(lengths)
    assert sum(queue.depth for queue in found) == sum(lengths.values())
    assert all(queue.depth == sum(count for _, count in queue.steps) for queue in found)


# Lanes


@given(moments)
def test_bars_of_one_lane_do_not_overlap(moment: Moment) -> None:
    placed = zip(moment.bars, lanes(moment), strict=True)
    found = sorted((bar.row, lane, bar.begin, bar.until(NOW)) for bar, lane in placed)
    for (row, lane, _, end), (other, next_lane, begin, _) in pairwise(found):
        assert (row, lane) != (other, next_lane) or end <= begin


def test_bars_that_follow_each_other_share_a_lane() -> None:
    bars = (Bar("w1", "a", 1, 2), Bar("w1", "b", 1.5, 3), Bar("w1", "c", 2, 4), Bar("w2", "d", 1))
    moment = Moment(NOW, bars=bars)
    assert (lanes(moment), lanes_of(moment)) == ([0, 1, 0, 0], [1, 2, 1, 1])


# Words and pictures


@given(moments)
def test_the_picture_is_xml_and_says_all_the_words(moment: Moment) -> None:
    picture = ElementTree.fromstring(svg(moment))  # noqa: S314  we have just made it
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    said = {node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert set(words(moment).splitlines()) <= said


@given(moments)
def test_nothing_is_drawn_outside_the_picture(moment: Moment) -> None:
    picture = ElementTree.fromstring(svg(moment))  # noqa: S314  we have just made it
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    for node in picture.iter("{http://www.w3.org/2000/svg}rect"):
        x, y = float(node.get("x", 0)), float(node.get("y", 0))
        assert x >= 0
        assert x + float(node.attrib["width"]) <= width
        assert 0 <= y <= y + float(node.attrib["height"]) <= height


@given(moments)
def test_what_the_browser_gets_is_json_and_every_row_is_there(moment: Moment) -> None:
    data = json.loads(json.dumps(plain(moment)))
    assert all(0 <= item[0] < len(data["rows"]) for item in [*data["bars"], *data["marks"]])
    assert all(begin >= 0 <= end for _, _, begin, end, *_ in data["bars"])
    assert (data["rows"][0], data["rows"][-1]) == (QUEUE, WORLD)
    assert len(set(data["rows"])) == len(data["rows"])


@given(moments)
def test_the_words_do_not_depend_on_times(moment: Moment) -> None:
    later = replace(moment, at=moment.at + 5, bars=(), marks=())
    assert words(later) == words(moment)


def test_every_mark_has_a_shape_of_its_own() -> None:
    paths = [shape[0] for shape in look()["shapes"].values()]
    assert len(set(paths)) == len(paths)


def test_the_words_of_a_moment() -> None:
    moment = Moment(
        NOW,
        (Queue("celery", 3, ((0, 1), (6, 2))),),
        ("order-1", "order-2"),
        (
            WorkerView("w1", "running", (Task("order-1", held=True), Task("order-2"))),
            WorkerView("w2", "paused"),
        ),
        (Elsewhere("live worker", "running", "0 waiting"),),
        sent=5,
        happened=2,
        twice=1,
    )
    assert words(moment).splitlines() == [
        "celery: 3 waiting (2 at priority 6)",
        "unacked: 2 (order-1, order-2)",
        "w1 running: order-1 (held by the partner), order-2",
        "w2 paused: idle",
        "sent 5, happened 2, more than once 1",
        "the partner answers at once",
        "elsewhere: live worker running: 0 waiting",
    ]


# What the broker hears


def published(body: object, channel: str = "/0.celeryev/task.multi") -> list[Told]:
    payload = json.dumps({"body": base64.b64encode(json.dumps(body).encode()).decode()})
    return list(told(Command(5.0, 0, "client", "PUBLISH", (channel, payload))))


def test_several_events_in_one_message_are_all_heard() -> None:
    event = {"type": "task-started", "uuid": "id", "hostname": "w1@host", "timestamp": 3.0}
    assert published([event, {**event, "type": "worker-online"}, {**event, "uuid": "other"}]) == [
        Told(3.0, "task-started", "id", "w1"),
        Told(3.0, "task-started", "other", "w1"),
    ]


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists))
def test_what_is_no_event_is_passed_over(body: object) -> None:
    assert published(body) == []


def test_other_channels_are_passed_over() -> None:
    assert published({"type": "task-started"}, "/0.celery.pidbox") == []
    assert list(told(Command(5.0, 0, "client", "PUBLISH", ("/0.celeryev/task", "no JSON")))) == []
