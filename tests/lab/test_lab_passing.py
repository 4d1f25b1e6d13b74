"""Hours that pass while work waits or runs: what a visibility timeout does to healthy workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lab_bench import LATE, PATIENCE, SHOP

from labapp.errors import LabError
from labapp.faults import (
    Effect,
    Fault,
    answer,
    charge_of,
    duplicate,
    kill_worker,
    nth_charge,
    slow_partner,
)
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session
from labapp.lab.surface import known_settings
from labapp.world.rules import Do, Point

HOUR = 3600.0
ONE = LATE | {"worker_prefetch_multiplier": 1}


def charges(*numbers: int) -> list[Effect]:
    """The charges of these orders."""
    return [charge_of(f"order-{number}") for number in numbers]


def timeout(hours: float) -> dict[str, Any]:
    """The setting for a visibility timeout of so many hours."""
    return {"broker_transport_options": {"visibility_timeout": hours * HOUR}}


SLOW = slow_partner(minutes=90, before=charges(3, 4))


def passing(
    session: Session,
    fault: Fault | None,
    settings: dict[str, Any],
    count: int = 10,
    module: Module = SHOP,
    **plan: Any,
) -> Run:
    """Charge orders while time passes."""
    worker = WorkerSettings(2, "prefork", settings)
    how: dict[str, Any] = {"deadline": PATIENCE, **plan}
    return conduct(session, Plan(module, "shop.charge", orders(count), worker, fault, **how))


def keys(*numbers: int) -> tuple[str, ...]:
    """The orders of these numbers."""
    return tuple(f"order-{number}" for number in numbers)


OF_SLOW_WORK: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "an hour is too short for ninety minutes": (ONE | timeout(1), keys(3, 4)),
    "two hours are enough": (ONE | timeout(2), ()),
    "what is fetched ahead ages, too": (LATE, keys(*range(3, 11))),
    "early, what runs is safe and what waits is not": ({}, keys(*range(5, 11))),
    "early, one message ahead for each process": (
        {"worker_prefetch_multiplier": 1},
        keys(5, 6),
    ),
    "early, and nothing fetched ahead": ({"worker_disable_prefetch": True}, ()),
}


@pytest.mark.parametrize("name", OF_SLOW_WORK)
def test_slow_charges_are_handed_out_again_when_their_timeout_is_over(
    session: Session, name: str
) -> None:
    settings, expected = OF_SLOW_WORK[name]

    run = passing(session, SLOW, settings)

    assert run.judged.unknown == ""
    assert run.judged.duplicated == expected, f"{run.broker}"
    assert run.judged.at_least_once
    assert all(run.attempts(key) == 2 for key in expected)


@pytest.mark.parametrize(("ours", "theirs", "expected"), [(2, 1, keys(3, 4)), (2, 2, ())])
def test_the_shortest_timeout_of_all_apps_decides(
    session: Session, ours: int, theirs: int, expected: tuple[str, ...]
) -> None:
    beside = WorkerSettings(2, "prefork", ONE | timeout(theirs))
    run = passing(session, SLOW, ONE | timeout(ours), beside=beside)
    assert (run.judged.duplicated, run.judged.recovered) == (expected, ())


@pytest.mark.parametrize(("multiplier", "expected"), [(4, keys(*range(3, 9))), (1, ())])
def test_time_passes_for_each_lot_of_slow_charges(
    session: Session, multiplier: int, expected: tuple[str, ...]
) -> None:
    fault = slow_partner(minutes=120, before=charges(1, 2, 3, 4))
    run = passing(session, fault, LATE | timeout(3) | {"worker_prefetch_multiplier": multiplier})
    assert run.judged.duplicated == expected


@pytest.mark.parametrize(("hours", "copies"), [(1, 3), (2, 2), (3, 1)])
def test_a_countdown_is_run_once_more_for_each_timeout_that_it_outlasts(
    session: Session, hours: int, copies: int
) -> None:
    run = passing(session, None, LATE | timeout(hours), count=1, countdown=2.5 * HOUR)
    assert run.judged.unknown == ""
    assert run.attempts("order-1") == copies


def test_a_countdown_counts_as_well_as_the_charge_after_it(session: Session) -> None:
    fault = slow_partner(minutes=120, before=charges(1, 2))
    verdicts = [
        passing(session, fault, ONE | timeout(hours), count=2, countdown=1.5 * HOUR).judged
        for hours in (3, 4)
    ]
    assert [verdict.duplicated for verdict in verdicts] == [keys(1, 2), ()]


@pytest.mark.parametrize(("hours", "stuck"), [(5, keys(3, 4)), (3, ())])
def test_after_a_crash_a_message_comes_back_when_so_much_time_has_passed(
    session: Session, hours: int, stuck: tuple[str, ...]
) -> None:
    fault = kill_worker(before=charges(3, 4))
    deadline = 1.0 if stuck else PATIENCE
    settings = ONE | timeout(hours)
    run = passing(session, fault, settings, 4, time_passes=4 * HOUR, deadline=deadline)
    assert run.judged.stuck == stuck
    assert run.judged.recovered == (() if stuck else keys(3, 4))


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("published", [("published", "#1", "#1", "no"), ("published", "#1", "#2", "no")]),
        ("redelivered", [("published", "#1", "#1", "no"), ("handed back", "#1", "#1", "yes")]),
    ],
)
def test_the_two_kinds_of_second_copy_differ_in_tag_and_flag(
    session: Session, kind: str, rows: list[tuple[str, ...]]
) -> None:
    run = passing(session, duplicate(kind, after=charge_of("order-3")), ONE, 4, drawing=True)
    assert run.judged.duplicated == keys(3)
    assert run.messages.rows == [("order-3", *row) for row in rows]


def test_a_run_without_a_drawing_has_no_messages_to_show(session: Session) -> None:
    run = passing(session, None, LATE, 1)
    with pytest.raises(LabError, match="kept nothing to draw messages from"):
        _ = run.messages


def test_the_rule_of_a_slow_partner_holds_every_copy() -> None:
    (rule,) = slow_partner(minutes=90, before=charge_of("order-3")).rules()
    assert (rule.point, rule.do, rule.key, rule.times) == (Point.BEFORE, Do.HOLD, "order-3", 0)


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "no minutes": (lambda: slow_partner(minutes=0, before=charges(3)), "cannot take 0 minutes"),
    "years": (lambda: slow_partner(minutes=1e6, before=charges(3)), "cannot take 1e.06 minutes"),
    "no charge": (lambda: slow_partner(minutes=90), "slow_partner needs a moment"),
    "no name": (
        lambda: slow_partner(minutes=90, before=nth_charge(3)),
        "slow_partner needs charges by name",
    ),
    "a multiplier that the command line drops": (
        lambda: known_settings({"worker_prefetch_multiplier": 0}),
        "takes no worker_prefetch_multiplier=0",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_had_is_told(name: str) -> None:
    act, told = MISTAKES[name]
    with pytest.raises(LabError, match=told) as caught:
        act()
    assert caught.value.hint


REFUSED: dict[str, tuple[Fault | None, dict[str, Any], str]] = {
    "one charge for two processes": (
        slow_partner(minutes=90, before=charges(3)),
        {},
        "the worker runs 2 tasks at a time, but the fault names 1",
    ),
    "a lot and a half": (
        slow_partner(minutes=90, before=charges(3, 4, 5)),
        {},
        "but the fault names 3",
    ),
    "solo": (
        slow_partner(minutes=90, before=charges(3)),
        {"worker": WorkerSettings(1, "solo")},
        "solo cannot",
    ),
    "a countdown into the past": (None, {"countdown": -1.0}, "a countdown of -1 seconds is none"),
    "a countdown for a worker killed as it fetches": (
        kill_worker(while_fetching=True),
        {"countdown": 60.0},
        "holds nothing that waits",
    ),
    "a second app beside nothing": (
        None,
        {"beside": WorkerSettings()},
        "a worker beside starts when the first one is at work",
    ),
    "a second app at no moment": (
        kill_worker(),
        {"beside": WorkerSettings()},
        "a worker beside starts when the first one is at work",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_plan_that_does_not_fit_is_refused_before_anything_starts(
    session: Session, name: str
) -> None:
    fault, how, told = REFUSED[name]
    with pytest.raises(LabError, match=told):
        conduct(session, Plan(SHOP, "shop.charge", orders(4), fault=fault, **how))
    assert session.workers() == []


def test_slow_charges_that_never_come_make_the_verdict_unknown(session: Session) -> None:
    fault = slow_partner(minutes=90, before=charges(33, 34))
    run = passing(session, fault, LATE)
    assert run.judged.unknown.startswith("the fault did not fire: slow partner before the charge")


def test_a_fault_of_the_world_strikes_after_a_countdown_as_well(session: Session) -> None:
    run = passing(session, answer(503, before=charge_of("order-1")), LATE, 2, countdown=HOUR / 2)
    assert run.judged.lost == keys(1)
