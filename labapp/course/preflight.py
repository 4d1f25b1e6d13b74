"""``lab doctor --workshop``, second part: everything once, end to end, on a lab of its own.

A headless lab starts in a temporary folder, charges one order, loses one in a crash, and is gone.
It shares nothing with a lab that runs in the project's folder: neither state nor ports nor data.
It asks no network.

Used by ``labapp.cli``; depends on ``labapp.lab`` and ``labapp.stack``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from labapp.errors import LabError
from labapp.faults import Fault, charge_of, kill_worker
from labapp.lab.conductor import conduct
from labapp.lab.publisher import first_shop
from labapp.lab.run import Plan, WorkerSettings
from labapp.lab.session import Session
from labapp.stack.doctor import Finding
from labapp.stack.logs import tail
from labapp.stack.service import Guarded
from labapp.stack.state import Stack, find_stack, in_container
from labapp.stack.testing import END_SECONDS, environment, launch, wait_ready

KEPT = ("LAB_BROKER", "LAB_BROKER_SERVER", "LAB_COLD_STARTS")
"""Of the lab's own variables, those that say how a lab is to start here."""
ORDERS = tuple((f"order-{number}",) for number in range(1, 11))
STRUCK = kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))
"""The crash of stage 00: with Celery's defaults it costs order-4, and no other."""
REMEDY = "close other programs and try again; if it stays, see `lab logs` after `lab up --headless`"
END_OF_LOG = 20
"""Lines of the lab's log in which the reason for a failed start is looked for."""

Say = Callable[[str], object]
"""Takes one line of progress."""


def rehearse(say: Say) -> Iterator[Finding]:
    """Start a lab, charge, crash, stop; a finding for each as soon as it is known.

    Args:
        say: takes a line before each step, for it may take seconds.
    """
    if in_container():
        yield from _on(find_stack(), say)
        return
    with TemporaryDirectory(prefix="lab-preflight-") as folder:
        yield from _in(Path(folder) / ".lab", say)


def _in(home: Path, say: Say) -> Iterator[Finding]:
    log = home.parent / "up.log"
    say("starting a lab in a temporary folder")
    began = time.monotonic()
    with _lab(home, log) as lab:
        try:
            stack = wait_ready(home, lab, log)
        except AssertionError:
            yield Finding("failed", "start", f"{_reason(log)}: {REMEDY}")
            return
        took = time.monotonic() - began
        broker = f"{stack.broker.engine} {stack.broker.version} ({stack.broker.source})"
        yield Finding("ok", "start", f"{broker}, world and node in {took:.1f} s")
        yield from _on(stack, say)
        say("stopping it")
        yield _stopped(lab)


@contextmanager
def _lab(home: Path, log: Path) -> Iterator[Guarded]:
    """A lab under a guard: gone at the end, and when this process is."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    lab = launch(home, log, "--headless", env=environment(home, **kept))
    try:
        yield lab
    finally:
        lab.close()


def _reason(log: Path) -> str:
    """Why the lab did not start, in one line: what it said itself, or else its last word."""
    lines = [line.strip() for line in tail(log, END_OF_LOG).splitlines() if line.strip()]
    own = [line.removeprefix("lab: ") for line in lines if line.startswith("lab: ")]
    return (own or lines or ["it did not start, without a word"])[-1]


def _on(stack: Stack, say: Say) -> Iterator[Finding]:
    """One order charged and one crash judged, on this lab."""
    say("charging an order")
    yield _experiment(stack, "charge", ORDERS[:1], None, lost=())
    say("killing a worker in the midst of ten orders")
    yield _experiment(stack, "crash", ORDERS, STRUCK, lost=("order-4",))


def _experiment(
    stack: Stack,
    what: str,
    work: tuple[tuple[str], ...],
    fault: Fault | None,
    lost: tuple[str, ...],
) -> Finding:
    """Whether an experiment comes out as it does everywhere."""
    settings = WorkerSettings(settings={"task_acks_late": False})
    plan = Plan(first_shop(), "shop.charge", work, settings, fault)
    began = time.monotonic()
    try:
        with Session(stack) as session:
            verdict = conduct(session, plan).judged
    except LabError as error:
        return Finding("failed", what, _in_one_line(str(error)))
    took = f"in {time.monotonic() - began:.1f} s"
    counts = f"{verdict.happened} of {verdict.sent} charged, lost: {', '.join(lost) or 'none'}"
    if verdict.unknown:
        return Finding("failed", what, f"no verdict, {_in_one_line(verdict.unknown)}: {REMEDY}")
    if verdict.lost != lost or verdict.happened != len(work) - len(lost) or verdict.duplicated:
        told = f"{verdict.happened} of {verdict.sent} charged, lost: {', '.join(verdict.lost)}"
        wanted = f"expected was {counts.partition(', ')[2]}"
        return Finding("failed", what, f"{told}; {wanted}: {REMEDY}")
    return Finding("ok", what, f"{counts}, as everywhere; {took}")


def _in_one_line(text: str) -> str:
    first, *rest = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason"]
    return f"{first} {rest[-1]}" if rest else first


def _stopped(lab: Guarded) -> Finding:
    """Whether all processes of the lab end when it is told to."""
    try:
        family = psutil.Process(lab.guard_pid).children(recursive=True)
    except psutil.Error:
        return Finding("failed", "stop", f"the lab had ended by itself: {REMEDY}")
    lab.terminate()
    ended = lab.wait(END_SECONDS) is not None
    _, alive = psutil.wait_procs(family, timeout=END_SECONDS if ended else 0)
    if alive or not ended:
        names = ", ".join(sorted({process.name() for process in alive if process.is_running()}))
        return Finding("failed", "stop", f"still running: {names or 'the lab'}: {REMEDY}")
    return Finding("ok", "stop", f"all of its {len(family)} processes are gone")
