"""A worker from a warm process is the command line's worker, as seen from outside."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from node_bench import PATIENCE, family, state

from labapp.errors import LabError
from labapp.node.forkserver import MARK
from labapp.node.workers import WorkerSpec
from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from node_bench import Bench

    from labapp.node.client import StartedWorker

FORKING = '''
import os, signal, sys
import httpx
from celery import Celery

app = Celery("work")
print("seed", hash("order-1"), "from", "EDITION", flush=True)


@app.task
def leave_a_copy(order):
    """Leave a process that has left the family, and never ran another program."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            print(f"the copy is {os.getpid()}", flush=True)
            while True:
                signal.pause()
        os._exit(0)
    os.wait3(0)
    httpx.post(os.environ["PARTNER_URL"] + "/charges", json={"order": order}, timeout=600)
'''


def word_after(bench: Bench, worker: StartedWorker, words: str) -> str:
    """What a worker printed behind these words."""
    bench.nodes.verb(worker, "wait_log", text=words, timeout=PATIENCE)
    tail: str = bench.nodes.verb(worker, "log", lines=1000)["tail"]
    return tail.partition(words)[2].split()[0]


def likeness(bench: Bench, worker: StartedWorker) -> list[Any]:
    """All that ``ps`` tells of a worker, without what differs between any two workers."""
    main = psutil.Process(worker.pid)
    return [
        [word.replace(worker.name, "NAME") for word in words(main)],
        main.cwd(),
        os.getsid(main.pid) == main.pid,
        main.ppid(),
        main.name(),
        [words(process) == words(main) for process in main.children(recursive=True)],
        len(main.environ()[MARK].strip("-")),
        {**worker.report, "pid": 0, "hostname": ""},
        (main.num_threads(), main.nice()),
    ]


def words(process: psutil.Process) -> list[str]:
    """Its command line, without the room that is left behind it."""
    return [word for word in process.cmdline() if word]


@pytest.fixture
def warm(bench: Bench) -> Bench:
    """A bench whose node has warmed up: the next workers are forked."""
    bench.write(FORKING)
    wait_until(lambda: servers(bench)[1:], "two fork servers", PATIENCE)
    wait_until(lambda: forked(bench), "a forked worker", PATIENCE)
    return bench


def servers(bench: Bench) -> list[psutil.Process]:
    """The node's fork servers."""
    node = psutil.Process(bench.pid_of_node())
    return [p for p in node.children() if "labapp.node.forkserver" in p.cmdline()]


def start_servers_anew(bench: Bench) -> None:
    """Of a node on which other tests' modules have been, end the servers; others take their turns.

    Both have to be new ones: two workers in a row are forked, by one each."""
    old = {server.pid for server in servers(bench)}
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: forked(bench) and forked(bench), "two forked workers in a row", PATIENCE)
    assert not old & {server.pid for server in servers(bench)}


def forked(bench: Bench) -> bool:
    """Start and end a worker; whether it was forked (its program has not been run anew)."""
    worker = bench.start()
    try:
        return is_forked(bench, worker)
    finally:
        bench.nodes.kill(worker)


def is_forked(bench: Bench, worker: StartedWorker) -> bool:
    """A forked process has its server's environment; a started one has its own."""
    return "CELERY_BROKER_URL" not in psutil.Process(worker.pid).environ()


def test_a_forked_worker_looks_like_the_command_lines(warm: Bench) -> None:
    one, other = warm.start(), warm.start(warm=False)
    assert is_forked(warm, one)
    assert not is_forked(warm, other)
    assert likeness(warm, one) == likeness(warm, other)


def test_workers_started_one_after_the_other_do_not_share_the_seed_of_hash(warm: Bench) -> None:
    workers = [warm.start(), warm.start()]
    assert all(is_forked(warm, worker) for worker in workers)
    assert len({word_after(warm, worker, "seed") for worker in workers}) == 2


def test_a_module_that_was_edited_is_imported_afresh(warm: Bench) -> None:
    editions = []
    for edition in ("first", "second"):
        warm.write(FORKING.replace("EDITION", edition))
        editions.append(word_after(warm, warm.start(), "from"))
    assert editions == ["first", "second"]


def test_a_large_library_is_imported_once_for_all_workers_to_come(warm: Bench) -> None:
    told = 'print("there", "sqlalchemy" in sys.modules, "already", flush=True)'
    plain = FORKING.replace("import httpx\n", f"import httpx\n{told}\n")
    large = plain.replace("from celery", "import sqlalchemy\nfrom celery", 1)
    start_servers_anew(warm)
    found = []
    for source in (plain, large):
        warm.write(source)
        found.append(word_after(warm, warm.start(), "there"))
    assert found == ["False", "True"]


def test_kill_finds_a_copy_that_has_left_the_family(warm: Bench) -> None:
    worker = warm.start()
    warm.hold("leave_a_copy", "order-1")
    copy = int(word_after(warm, worker, "the copy is"))
    assert copy not in family(worker.pid)
    assert state(copy) == "sleeping"

    warm.nodes.kill(worker)

    assert state(copy) == "gone"


@pytest.mark.parametrize("way", [True, False], ids=["forked", "started"])
def test_a_module_that_ends_the_worker_gives_the_same_error(warm: Bench, way: bool) -> None:
    warm.write("import sys\nprint('not today')\nsys.exit(3)\n")
    with pytest.raises(LabError) as raised:
        warm.start(warm=way)
    assert "exited with status 3 at start" in raised.value.message
    assert raised.value.message.endswith("not today")


@pytest.mark.parametrize("way", [True, False], ids=["forked", "started"])
@pytest.mark.parametrize(("word", "status"), [("TERM", 0), ("QUIT", 0), ("KILL", -9)])
def test_the_exit_status_is_the_same(warm: Bench, way: bool, word: str, status: int) -> None:
    worker = warm.start(warm=way)
    warm.nodes.verb(worker, "signal", signal=word)
    assert warm.nodes.verb(worker, "wait", timeout=PATIENCE)["exit_status"] == status


def test_a_fork_server_that_was_killed_is_replaced(warm: Bench) -> None:
    for server in servers(warm):
        server.send_signal(signal.SIGKILL)

    workers = [warm.start(), warm.start()]  # by the command line, meanwhile

    assert not any(is_forked(warm, worker) for worker in workers)
    wait_until(lambda: forked(warm), "a forked worker", PATIENCE)


@pytest.mark.parametrize(
    "changes",
    [{"pool": "gevent"}, {"env": {"REMAP_SIGTERM": "SIGQUIT"}}, {"env": {"PYTHONHASHSEED": "1"}}],
)
def test_what_is_read_at_import_is_not_forked(changes: dict[str, Any]) -> None:
    assert WorkerSpec("w", "work", ".").may_be_forked
    assert not WorkerSpec("w", "work", ".", **changes).may_be_forked
