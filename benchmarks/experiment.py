"""The crash experiment: worker start, 10 tasks, kill, redelivery, verdict.

Goals: 1.5 s in the median on an idle machine; 0.5 s for its waits other than worker starts.
Cold starts (the command line in a fresh interpreter) are measured in turns with the warm ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from rows import Row

from labapp.course.kernels import Environment
from labapp.errors import LabError

ROOT = Path(__file__).resolve().parent.parent
RUNS = 10
WORKER_STARTS = ("start", "restart", "survivor")
RECOVERED = "duplicated"  # late ack, killed after the effect of order-3: that one comes twice


def rows() -> Iterator[Row]:
    """Total, waits other than worker starts, and every phase.

    Raises:
        LabError: a verdict was not the expected one, so the time means nothing.
    """
    environment = Environment()
    try:
        with environment.exported():
            measured = _measure()
    finally:
        environment.close()
    (totals, phases), (cold, _) = measured
    waits = [sum(s for p, s in run.items() if p not in WORKER_STARTS) for run in phases]
    share = 100 * median(wait / total for wait, total in zip(waits, totals, strict=True))
    ratio = 100 * median(total / other for total, other in zip(totals, cold, strict=True))
    yield Row("crash experiment, median", median(totals), 1.5, note=f"{RUNS} runs")
    yield Row("crash experiment, slowest", max(totals), note=f"{RUNS} runs")
    yield Row("… with cold starts", median(cold), 3.0, note=f"median, {RUNS} runs in turns")
    yield Row("… warm against cold", ratio, unit="%", note="median of pairs")
    yield Row("… waits other than worker starts", median(waits), 0.5, note="median")
    yield Row("… their share of the whole", share, unit="%", note="median")
    for phase in phases[0]:
        yield Row(f"… {phase}", median(run.get(phase, 0.0) for run in phases), note="median")


Measured = tuple[list[float], list[dict[str, float]]]


def _measure() -> tuple[Measured, Measured]:
    """Seconds of each run, and of its phases: with warm starts, and with cold ones."""
    sys.path.insert(0, str(ROOT / "solutions" / "00_start_here"))
    from labapp import charge_of, connect, kill_worker, orders
    from shop import charge  # the learner's module, as a notebook imports it

    lab = connect()
    worker = lab.worker(task_acks_late=True)
    crash = kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))
    warm: Measured = ([], [])
    cold: Measured = ([], [])
    for _ in range(RUNS):
        for lab.session.warm, (totals, phases) in ((True, warm), (False, cold)):
            began = perf_counter()
            run = lab.run(charge, orders(10), worker=worker, fault=crash)
            totals.append(perf_counter() - began)
            _require_expected(repr(run.verdict))
            phases.append(dict(run.timings))
    return warm, cold


def _require_expected(verdict: str) -> None:
    if f"{RECOVERED}: order-3\n" not in verdict:
        raise LabError(f"not the verdict of a crash with late ack:\n{verdict}")
