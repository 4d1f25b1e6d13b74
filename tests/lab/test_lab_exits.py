"""A worker that exits by itself: nobody waits for what it leaves undone."""

from __future__ import annotations

import pytest
from lab_bench import LATE, SHOPS, experiment

from labapp.checker.history import BrokerState
from labapp.lab.publisher import Module
from labapp.lab.session import Session

HUNGRY = Module("hungry", SHOPS)
LONG = 60.0
"""Seconds until a queue that nobody drains is given up."""


@pytest.mark.parametrize(("settings", "left"), [(LATE, 4), ({}, 3)], ids=["late", "early"])
def test_the_run_ends_when_its_worker_has_exited(
    session: Session, settings: dict[str, bool], left: int
) -> None:
    one_ahead = {**settings, "worker_prefetch_multiplier": 1}
    run = experiment(session, module=HUNGRY, count=6, concurrency=1, deadline=LONG, **one_ahead)

    assert run.verdict.unknown == "a worker exited by itself (status 1)"
    assert run.timings["drain"] < LONG / 2
    last = run.history.of(BrokerState)[-1]
    assert (last.label, len(last.queue), last.unacked) == ("when the run was read", left, ())
