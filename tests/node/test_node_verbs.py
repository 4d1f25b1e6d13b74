"""The verbs strike real processes, exactly, and leave nothing behind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from node_bench import PATIENCE, family, state

from labapp.errors import LabError
from labapp.node.workers import SCRATCH
from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from node_bench import Bench

FAR_MORE_THAN_IT_TAKES = 3.0
"""Seconds; a plain kill of a child can go unnoticed for five."""


def test_kill_child_is_noticed_at_once(bench: Bench) -> None:
    worker = bench.start(settings={"task_acks_late": True})
    main, *children = family(worker.pid)
    held = bench.hold("charge", "order-1")

    pid = bench.nodes.verb(worker, "kill_child", port=held.port)["pid"]
    began = time.monotonic()
    bench.world.drop([held])
    wait_until(lambda: "FAILURE" in bench.session.broker.result_states(), "the lost task's result")
    noticed = time.monotonic() - began

    assert pid in children
    assert state(pid) in ("gone", "zombie")
    assert state(main) not in ("stopped", "gone")
    assert noticed < FAR_MORE_THAN_IT_TAKES, f"main noticed after {noticed:.2f} s"
    # A worker stores the result first, and logs the error after that.
    bench.nodes.verb(worker, "wait_log", text="WorkerLostError", timeout=PATIENCE)
    assert bench.hold("charge", "order-2").key == "order-2"  # the pool goes on


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_kill_child_needs_a_pool_with_children(bench: Bench, pool: str) -> None:
    worker = bench.start(pool=pool)
    held = bench.hold("charge", "order-1")

    with pytest.raises(LabError, match=f"kill child needs .* {worker.name} is {pool}") as refused:
        bench.nodes.verb(worker, "kill_child", port=held.port)

    assert "kill_worker" in refused.value.hint
    assert state(worker.pid) not in ("stopped", "zombie", "gone")


def test_kill_child_of_a_connection_that_it_does_not_have(bench: Bench) -> None:
    worker = bench.start()
    with pytest.raises(LabError, match=f"worker {worker.name} does not own port 1"):
        bench.nodes.verb(worker, "kill_child", port=1)


def test_the_owner_of_a_connection_is_the_pool_child(bench: Bench) -> None:
    bench.start(pool="solo", name=bench.session.worker_name(), arguments=("-Q", "other"))
    worker = bench.start()
    held = bench.hold("charge", "order-1")

    owner = bench.nodes.owner(held.port)

    assert owner is not None
    assert owner[0] == worker.name
    assert owner[1] in family(worker.pid)[1:]
    assert bench.nodes.owner(1) is None


def test_the_owner_in_a_pool_of_threads_is_the_main_process(bench: Bench) -> None:
    worker = bench.start(pool="threads")
    held = bench.hold("charge", "order-1")

    assert bench.nodes.owner(held.port) == (worker.name, worker.pid)


def left_family(bench: Bench, worker: int, pids: Path) -> list[int]:
    """All of a worker, with the child and the daemon that its task has started."""
    bench.hold("charge_and_leave", "order-1", str(pids))
    node = psutil.Process(worker).parent()
    assert node is not None
    mark = psutil.Process(worker).environ()["LAB_WORKER"]
    everything = [
        p.pid for p in node.children(recursive=True) if p.environ().get("LAB_WORKER") == mark
    ]
    daemons = set(everything) - set(family(worker))
    assert int(pids.read_text()) in family(worker)
    assert len(daemons) == 1, f"one has left the family: {daemons}"
    return everything


def test_kill_ends_and_reaps_all_of_a_worker(bench: Bench, tmp_path: Path) -> None:
    worker = bench.start()
    everything = left_family(bench, worker.pid, tmp_path / "pids")

    clients = bench.nodes.kill(worker)

    assert [pid for pid in everything if psutil.pid_exists(pid)] == []
    assert clients
    assert bench.state_of(worker.name) == ""
    bench.session.broker.wait_gone(clients)
    assert bench.world.wait(quiet=True, timeout=PATIENCE).keys("effect") == []


@pytest.mark.parametrize("signal", ["TERM", "QUIT", "KILL"])
def test_a_worker_that_ends_by_itself_is_buried_whole(
    bench: Bench, tmp_path: Path, signal: str
) -> None:
    worker = bench.start()
    everything = left_family(bench, worker.pid, tmp_path / "pids")
    bench.world.answer()

    bench.nodes.verb(worker, "signal", signal=signal)
    status = bench.nodes.verb(worker, "wait", timeout=PATIENCE)["exit_status"]

    assert status == (-9 if signal == "KILL" else 0)
    assert [pid for pid in everything if psutil.pid_exists(pid)] == []
    assert bench.state_of(worker.name) == "exited"
    for _ in range(2):  # killing what is gone is no error
        assert bench.nodes.kill(worker) == []
        assert bench.state_of(worker.name) == ""


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_a_worker_leaves_no_temporary_file(bench: Bench, end: str) -> None:
    worker = bench.start()
    log = Path(f"/proc/{worker.pid}/fd/1").resolve()
    scratch = log.with_suffix(SCRATCH)
    assert scratch.is_dir()
    (scratch / "left-by-a-task").touch()

    if end == "exit":
        bench.nodes.verb(worker, "signal", signal="TERM")
        bench.nodes.verb(worker, "wait", timeout=PATIENCE)
    bench.nodes.kill(worker)

    assert not scratch.exists()


def test_waiting_for_a_worker_that_does_not_end(bench: Bench) -> None:
    worker = bench.start(pool="solo")
    assert bench.nodes.verb(worker, "wait", timeout=0.05) == {"exit_status": None}


def test_pause_stops_all_of_a_worker_and_resume_wakes_it(bench: Bench) -> None:
    worker = bench.start()
    bench.hold("charge", "order-1")

    clients = bench.nodes.verb(worker, "pause")["clients"]
    assert clients
    assert {state(pid) for pid in family(worker.pid)} == {"stopped"}
    assert bench.state_of(worker.name) == "paused"

    bench.nodes.verb(worker, "resume")
    assert "stopped" not in {state(pid) for pid in family(worker.pid)}
    assert bench.state_of(worker.name) == "running"
    bench.world.answer()
    wait_until(lambda: "SUCCESS" in bench.session.broker.result_states(), "the task to end", 30)


def test_pause_of_main_only_leaves_the_children_running(bench: Bench) -> None:
    worker = bench.start()
    bench.nodes.verb(worker, "pause", main_only=True)

    main, *children = [state(pid) for pid in family(worker.pid)]
    assert main == "stopped"
    assert "stopped" not in children


def test_a_paused_worker_can_be_killed(bench: Bench) -> None:
    worker = bench.start()
    pids = family(worker.pid)
    bench.nodes.verb(worker, "pause")
    bench.nodes.kill(worker)

    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


def test_a_log_without_measure_is_shown_by_its_end(bench: Bench) -> None:
    worker = bench.start(pool="solo")
    bench.hold("shout", "order-1")

    tail = bench.nodes.verb(worker, "log", lines=1000)["tail"]

    assert len(tail) <= 64 * 1024
    assert tail.count("y") > 60_000
    bench.world.answer()
    bench.nodes.verb(worker, "wait_log", text="succeeded in", timeout=PATIENCE)


def test_words_that_never_come_into_a_log_are_named(bench: Bench) -> None:
    worker = bench.start(pool="solo")
    with pytest.raises(LabError, match="in vain for 'nothing like it' in the log"):
        bench.nodes.verb(worker, "wait_log", text="nothing like it", timeout=0.05)


def test_a_kept_worker_comes_back_after_kill_9_and_stays_away_after_kill(bench: Bench) -> None:
    worker = bench.start(pool="solo", restart=True)

    psutil.Process(worker.pid).kill()
    wait_until(
        lambda: (
            bench.pid_of(worker.name) != worker.pid and bench.state_of(worker.name) == "running"
        ),
        "the worker to be back",
        PATIENCE,
    )
    assert bench.hold("charge", "order-1").key == "order-1"

    bench.nodes.kill_named(worker.name)
    bench.nodes.kill(bench.start(pool="solo"))  # longer than the pause before a restart
    assert bench.state_of(worker.name) == ""


def test_a_worker_that_is_not_kept_stays_away(bench: Bench) -> None:
    worker = bench.start(pool="solo")
    psutil.Process(worker.pid).kill()
    wait_until(lambda: bench.state_of(worker.name) == "exited", "the node to notice")
    bench.nodes.kill(bench.start(pool="solo"))
    assert bench.state_of(worker.name) == "exited"
