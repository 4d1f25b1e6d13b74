"""Nothing survives its owner: not the kernel that holds a lease, not the node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from node_bench import PATIENCE, family, kill, state, wait_gone

from labapp.errors import LabError
from labapp.lab.broker import Broker
from labapp.node.client import Lease, Nodes
from labapp.stack.control import Gone
from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from node_bench import Bench

    from labapp.stack.state import Stack

KERNEL = """
import json, sys
from pathlib import Path
from labapp.lab.publisher import Module
from labapp.lab.session import Session
from labapp.node.workers import WorkerSpec
from labapp.stack.state import find_stack

session = Session(find_stack())
world = session.scope()
spec = WorkerSpec(
    name=session.worker_name(), module="work", path=sys.argv[1],
    env=session.environment(world.partner_url), lease=session.lease.name, restart=True,
)
worker = session.nodes.start(spec)
publisher = session.publisher(Module("work", Path(sys.argv[1])))
session.broker.redis.set("left", "behind")
print(json.dumps([worker.pid, publisher._process.pid, session.lease.database]), flush=True)
sys.stdin.read()
"""


def kernel(stack: Stack, folder: Path) -> subprocess.Popen[str]:
    """A process that holds a lease, as a notebook's kernel does."""
    env = {
        **os.environ,
        "LAB_BROKER_URL": stack.broker_url(0),
        "LAB_WORLD_URL": stack.world_url,
        "LAB_NODE_URLS": ",".join(stack.node_urls),
        "LAB_CONTROL_TOKEN": stack.control_token,
    }
    return subprocess.Popen(
        [sys.executable, "-c", KERNEL, str(folder)],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_kill_9_of_the_kernel_ends_its_workers_and_frees_its_database(
    bench: Bench, stack: Stack, tmp_path: Path
) -> None:
    process = kernel(stack, tmp_path)
    assert process.stdout is not None
    main, publisher, database = json.loads(process.stdout.readline())
    pids = [*family(main), publisher]
    broker = Broker(stack.broker_url(database))
    assert broker.redis.exists("left")

    process.kill()
    process.communicate()
    began = time.monotonic()
    wait_gone(pids, seconds=5.0)
    wait_until(lambda: not broker.redis.keys(), f"database {database} to be emptied")
    broker.close()

    assert time.monotonic() - began < 5.0
    wait_until(lambda: leased(bench.nodes) == database, f"database {database} to be free")
    assert [w for w in bench.nodes.workers() if w["pid"] == main] == []


def leased(nodes: Nodes) -> int:
    """The database of a new lease, which ends at once; 0 where all are in use."""
    try:
        lease = nodes.lease()
    except LabError:
        return 0
    lease.close()
    return lease.database


def test_a_module_that_hangs_does_not_outlive_the_kernel(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("import os, time\nprint(os.getpid())\ntime.sleep(600)\n")
    source = (
        "import sys; from pathlib import Path; from labapp.lab.publisher import Module, Publisher;"
        "Publisher(Module('work', Path(sys.argv[1])), {})"
    )
    process = subprocess.Popen([sys.executable, "-c", source, str(tmp_path)])
    wait_until(lambda: family(process.pid)[1:], "the publishing process", 30)
    pids = family(process.pid)

    process.kill()
    process.wait()
    wait_gone(pids)


def test_all_databases_in_use_is_one_clear_line(bench: Bench) -> None:
    leases: list[Lease] = []
    try:
        with pytest.raises(LabError, match="all 63 sessions of this stack are in use") as refused:
            leases.extend(bench.nodes.lease() for _ in range(64))
        assert refused.value.hint == "shut down some kernels"
    finally:
        for lease in leases:
            lease.close()
    wait_until(lambda: leased(bench.nodes) == bench.session.lease.database + 1, "free databases")


def test_a_lease_without_the_token_is_refused(stack: Stack) -> None:
    with pytest.raises(LabError, match="the control token is missing"):
        Lease(stack.node_urls, "wrong")


def test_a_lease_ends_once(bench: Bench) -> None:
    lease = bench.nodes.lease()
    assert lease.alive
    lease.close()
    lease.close()
    assert not lease.alive


def test_no_descriptor_is_left_by_sessions(stack: Stack) -> None:
    from labapp.lab.session import Session

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    Session(stack).close()
    before = open_files()
    for _ in range(5):
        with Session(stack) as session:
            session.clean()
    assert open_files() <= before


def test_kill_9_of_the_node_leaves_no_worker(
    stack: Stack, bench: Bench, own_node: Any, tmp_path: Path
) -> None:
    node = own_node()
    lease = node.nodes.lease()
    worker = node.nodes.start(bench.spec(lease=lease.name))
    bench.hold("charge_and_leave", "order-1", str(tmp_path / "pids"))
    pids = [*family(worker.pid), *family(node.pid)]
    assert len(set(pids)) > 5  # node, main, two children, what the task started, the daemon

    kill(node.pid)

    wait_gone(pids)
    wait_until(lambda: not lease.alive, "the lease to end")
    with pytest.raises(Gone, match="the node does not answer"):
        node.nodes.workers()
    lease.close()


def test_sigterm_ends_the_node_and_its_workers(
    stack: Stack, bench: Bench, own_node: Any, tmp_path: Path
) -> None:
    node = own_node()
    lease = node.nodes.lease()
    worker = node.nodes.start(bench.spec(lease=lease.name))
    bench.hold("charge", "order-1")
    pids = family(worker.pid)

    os.kill(node.pid, 15)
    assert node.guarded.wait(PATIENCE) == 0

    assert {state(pid) for pid in pids} == {"gone"}
    assert "Traceback" not in node.log.read_text()
    wait_until(lambda: not lease.alive, "the lease to end")
    lease.close()


def test_the_live_worker_always_comes_back(bench: Bench, own_node: Any, tmp_path: Path) -> None:
    node = own_node("--default-app", "work", "--default-path", str(tmp_path))

    def live() -> dict[str, Any]:
        return next((w for w in node.nodes.workers() if w["state"] == "running"), {})

    def back_after(former: int) -> int:
        wait_until(lambda: live().get("pid", former) != former, "the live worker", PATIENCE)
        return int(live()["pid"])

    first = back_after(0)
    kill(first)
    second = back_after(first)
    node.nodes.kill_named("live")
    back_after(second)
    assert "restarting" in node.log.read_text()


def test_a_node_whose_live_module_is_broken_serves_all_the_same(
    bench: Bench, own_node: Any, tmp_path: Path
) -> None:
    bench.write("import nonsense_of_the_shop", "broken")
    node = own_node("--default-app", "broken", "--default-path", str(tmp_path))

    wait_until(
        lambda: "nonsense_of_the_shop" in node.log.read_text(), "the reason in the log", PATIENCE
    )
    lease = node.nodes.lease()
    assert node.nodes.start(bench.spec(lease=lease.name)).pid
    lease.close()


def test_a_port_that_is_taken_is_one_clear_line(stack: Stack, tmp_path: Path) -> None:
    from labapp.stack.testing import LAB, environment

    port = stack.node_urls[0].rpartition(":")[2]
    env = environment(
        tmp_path, LAB_CONTROL_TOKEN="t", LAB_BROKER_URL="redis://x", LAB_WORLD_URL="http://x"
    )
    done = subprocess.run(
        [*LAB, "node", "--port", port, "--logs", str(tmp_path)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"lab: the node cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
