"""What happens to a notebook's kernel, and what the lab makes of it: a real ipykernel each time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
from kernel_bench import PATIENCE, notebook

from labapp.node.client import Nodes
from labapp.stack.state import Stack
from labapp.stack.testing import headless_stack, wait_until

RUN = "print(repr(lab.run(charge, orders(4)).verdict))"
HANG = 'lab.run(charge, orders(4), fault=never_answer(before=charge_of("order-2")), deadline=600)'
ALL_WELL = "at least once  yes      4 of 4 happened"


def workers_of(stack: Stack, lease: str) -> list[int]:
    """Pids of the main processes that run under a lease."""
    nodes = Nodes(stack.node_urls, stack.control_token)
    try:
        return [worker["pid"] for worker in nodes.workers() if worker["lease"] == lease]
    finally:
        nodes.close()


def wait_for_worker(stack: Stack, lease: str) -> int:
    """Pid of the worker that the lease's run has started."""
    wait_until(lambda: workers_of(stack, lease), "the run's worker to start", PATIENCE)
    return workers_of(stack, lease)[0]


def test_a_cell_run_twice_says_the_same(stack: Stack, stack_home: Path) -> None:
    with notebook(stack_home) as book:
        book.lease()
        first, second = book.run(RUN), book.run(RUN)
    assert first.startswith(ALL_WELL)
    assert second == first


def test_an_interrupted_run_leaves_no_worker_and_the_next_one_works(
    stack: Stack, stack_home: Path
) -> None:
    with notebook(stack_home) as book:
        lease = book.lease()
        hanging = book.start(HANG)
        pid = wait_for_worker(stack, lease)
        book.manager.interrupt_kernel()
        assert "KeyboardInterrupt" in book.outcome(hanging)
        wait_until(lambda: not psutil.pid_exists(pid), "the worker to end", PATIENCE)
        assert book.run(RUN).startswith(ALL_WELL)


def test_kill_9_of_the_kernel_ends_its_workers(stack: Stack, stack_home: Path) -> None:
    with notebook(stack_home) as book:
        lease = book.lease()
        book.start(HANG)
        pid = wait_for_worker(stack, lease)
        os.kill(book.pid, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(pid), "the worker to end", 5.0)
        wait_until(lambda: not workers_of(stack, lease), "the node to forget it", 5.0)


def test_a_restarted_kernel_starts_afresh(stack: Stack, stack_home: Path) -> None:
    with notebook(stack_home) as book:
        lease = book.lease()
        book.start(HANG)
        pid = wait_for_worker(stack, lease)
        book.manager.restart_kernel(now=True)
        book.client.wait_for_ready(timeout=PATIENCE)
        wait_until(lambda: not psutil.pid_exists(pid), "the old worker to end", PATIENCE)
        assert book.lease() != lease
        assert book.run(RUN).startswith(ALL_WELL)


def test_a_cell_before_the_setup_cell_is_an_ordinary_name_error(
    stack: Stack, stack_home: Path
) -> None:
    with notebook(stack_home) as book:
        assert "NameError" in book.run(RUN)


def test_the_stack_stopped_under_an_open_notebook(tmp_path: Path) -> None:
    home = tmp_path / ".lab"
    with notebook(home) as book:
        with headless_stack(home):
            book.lease()
            assert book.run(RUN).startswith(ALL_WELL)
        said = book.run(RUN)
        assert said.splitlines()[0] == "lab: no lab is running here"
        assert "make lab" in said
        assert "Traceback" not in said
        with headless_stack(home):
            assert book.run(RUN).startswith(ALL_WELL)


def test_no_stack_at_all_is_two_lines(tmp_path: Path) -> None:
    with notebook(tmp_path / ".lab") as book:
        said = book.run("from labapp import connect; lab = connect()")
    assert said.splitlines()[0] == "lab: no lab is running here"
    assert "Traceback" not in said
