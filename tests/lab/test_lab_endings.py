"""A run that is interrupted, or loses a service under way, leaves nothing and spoils no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from lab_bench import BETWEEN, KNOWN, LATE, PATIENCE, SHOP, experiment

from labapp.faults import charge_of, kill_worker
from labapp.lab.broker import Broker
from labapp.lab.session import Session
from labapp.stack.state import Stack, load
from labapp.stack.testing import headless_stack, wait_until

HALF = kill_worker(after=charge_of("order-3"), before=charge_of("order-33"))
"""Its first request is held; its second never comes: the run waits until it is disturbed."""


def test_nothing_of_a_run_is_left_after_its_session(stack: Stack) -> None:
    with Session(stack) as session:
        run = experiment(session, kill_worker(**BETWEEN), **LATE)
        url, lease = session.broker.url, session.lease.name
        scope = session.scope()
        assert str(run.verdict) == KNOWN["late ack, worker killed"]
        assert session.broker.redis.dbsize() > 0, "the broker stays for the learner to look at"
        assert session.workers() == []
    broker = Broker(url)
    wait_until(lambda: broker.redis.dbsize() == 0, "the session's database to be emptied")
    with Session(stack) as other:
        assert [w for w in other.nodes.workers() if w["lease"] == lease] == []
    assert scope.read().open == 0
    scope.close()
    broker.close()


def test_runs_leave_no_descriptor_behind(session: Session) -> None:
    experiment(session, count=2)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        experiment(session, kill_worker(after=charge_of("order-1")), count=2, concurrency=1)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


INTERRUPTED = """
import signal, sys
# as a kernel does: a test run in the background of a shell hands down that it is ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv[1])
from shop import charge
from labapp import charge_of, connect, kill_worker, orders

lab = connect()
half = kill_worker(after=charge_of("order-3"), before=charge_of("order-33"))
print(lab.session.lease.name, flush=True)
try:
    lab.run(charge, orders(10), fault=half)
    print("it ran to its end", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
fault = kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))
print(lab.run(charge, orders(10), fault=fault).verdict, flush=True)
assert lab.session.workers() == []
"""


@pytest.mark.parametrize("when", ["publishing", "starting", "running"])
def test_an_interrupt_leaves_nothing_and_the_next_run_works(
    session: Session, here: dict[str, str], when: str
) -> None:
    def ready() -> bool:
        assert process.poll() is None, "it ended before it was interrupted"
        if when == "publishing":
            return bool(psutil.Process(process.pid).children())
        return when in states(session, lease)

    command = [sys.executable, "-c", INTERRUPTED, str(SHOP.path)]
    env = {**os.environ, **here}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        lease = process.stdout.readline().strip()
        wait_until(ready, f"a worker that is {when}", PATIENCE)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=2 * PATIENCE)
    finally:
        process.kill()
        process.communicate()

    first, _, verdict = told.partition("\n")
    assert first == "interrupted"
    assert verdict.strip() == KNOWN["early ack, worker killed"]
    assert process.returncode == 0


def states(session: Session, lease: str) -> list[str]:
    return [w["state"] for w in session.nodes.workers() if w["lease"] == lease]


REASONS = {
    "world": ("the world was restarted during the run", "the world does not answer"),
    "node": ("the node was restarted during the run", "the node does not answer"),
    # a worker whose broker goes away stops, but waits for what it runs: here, for ever
    "broker": ("the fault did not fire", "a worker exited by itself", "the broker does not answer"),
}


@pytest.mark.parametrize("service", REASONS)
def test_a_service_that_dies_during_a_run_makes_its_verdict_unknown(
    tmp_path: Path, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labapp.lab.strike.TRIGGER_DEADLINE", 10.0)
    home = tmp_path / ".lab"
    with headless_stack(home) as stack, ThreadPoolExecutor(1) as pool:
        with Session(stack) as session:
            running = pool.submit(experiment, session, HALF, **LATE)
            wait_until(lambda: running_workers(session), "the worker to be ready", PATIENCE)
            os.kill(pid_of(home, service), signal.SIGKILL)
            unknown = running.result().verdict.unknown
        wait_until(lambda: restarted(home, service), f"{service} to be back", PATIENCE)
        with Session(stack) as session:
            again = experiment(session, kill_worker(**BETWEEN), **LATE)

    assert unknown.startswith(REASONS[service])
    assert str(again.verdict) == KNOWN["late ack, worker killed"]


def running_workers(session: Session) -> bool:
    return "running" in states(session, session.lease.name)


def pid_of(home: Path, service: str) -> int:
    stack = load(home)
    assert stack is not None
    pid = stack.services[service].pid
    assert pid is not None
    return pid


def restarted(home: Path, service: str) -> bool:
    stack = load(home)
    if stack is None:
        return False
    status = stack.services[service]
    return status.state == "running" and status.restarts == 1
