"""Requests over time, of a whole experiment: when they came, what became of them, and for how long
each retry was to wait."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labapp.errors import LabError
from labapp.faults import outage
from labapp.lab import orders, storm
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan
from labapp.lab.session import Session
from labapp.views.arrivals import End

LESSON = Path(__file__).parents[2] / "solutions" / "05_retries" / "lesson"
PLAN = Plan(
    Module("storms", LESSON),
    "storms.in_step",
    orders(6),
    fault=outage(seconds=1),
    drawing=True,
    deadline=60.0,
)
ORDERS = [order for (order,) in PLAN.work]


def test_requests_of_an_outage_are_refused_until_it_is_over(session: Session) -> None:
    run = conduct(session, PLAN)
    requests = run.requests
    assert run.judged.exactly_once, run
    assert len(requests) == sum(map(run.attempts, ORDERS))
    for order in ORDERS:
        *before, last = [arrival for arrival in requests.arrivals if arrival.key == order]
        assert {arrival.end for arrival in before} <= {End.REFUSED}
        assert last.end is End.CHARGED
        assert all(arrival.at < 1.0 for arrival in before)
        assert len(run.waits(order)) == len(before)
    first = requests.arrivals[0]
    assert first.end is End.REFUSED
    assert 1.0 < run.waits(first.key)[0] <= 2.0  # as its message said, less its way to the broker
    assert requests.waits(first.key)[0] >= 2.0
    assert repr(requests) == "6 orders · 6 charged · requests were refused"
    assert repr(storm(one=run)).startswith("one  6 orders")


def test_waits_need_a_drawing_and_requests_do_not(session: Session) -> None:
    run = conduct(session, replace(PLAN, work=orders(1), fault=None, drawing=False))
    assert repr(run.requests) == "1 order · 1 charged · no request was refused"
    with pytest.raises(LabError, match="kept nothing to draw waits from"):
        run.waits("order-1")
