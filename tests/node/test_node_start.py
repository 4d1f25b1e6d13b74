"""Workers start, tell what they are, or say in their own words why they cannot."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest

from labapp.errors import LabError
from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from node_bench import Bench

    from labapp.stack.state import Stack

MANY = """
from celery import Celery

app = Celery("many")


def nothing():
    pass


for number in range(150):
    app.task(nothing, name=f"task-{number}-{'x' * 600}")
"""
HANGING = "import time\nprint('hanging', flush=True)\ntime.sleep(600)\n"


@pytest.mark.parametrize(
    ("pool", "kind", "concurrency", "children"),
    [("prefork", "prefork", 2, 2), ("threads", "thread", 2, 0), ("solo", "solo", 1, 0)],
)
def test_a_ready_worker_tells_what_it_is(
    bench: Bench, pool: str, kind: str, concurrency: int, children: int
) -> None:
    options = {"visibility_timeout": 77}
    worker = bench.start(
        pool=pool,
        settings={
            "task_acks_late": True,
            "worker_prefetch_multiplier": 3,
            "broker_transport_options": options,
        },
    )

    report = worker.report
    assert (report["pid"], report["pool"], report["queues"]) == (worker.pid, kind, ["celery"])
    assert worker.hostname.startswith(f"{worker.name}@")
    assert (worker.concurrency, worker.prefetch) == (concurrency, 3 * concurrency)
    assert report["visibility_timeout"] == 77.0
    assert report["tasks"]["work.charge"] == {"acks_late": True, "reject_on_worker_lost": False}
    assert len(psutil.Process(worker.pid).children()) == children
    assert bench.state_of(worker.name) == "running"


def test_a_report_of_many_tasks_arrives_whole(bench: Bench) -> None:
    bench.write(MANY, "many")

    assert len(bench.start("many").report["tasks"]) == 150


FAILURES = {
    "an import error": ("import nonsense_of_the_shop", "No module named 'nonsense_of_the_shop'"),
    "an exit": ("import sys\nsys.exit('closed today')", "closed today"),
    "a syntax error": ("def charge(:", "SyntaxError"),
    "no app": ("x = 1", "has no attribute 'celery'"),
}


@pytest.mark.parametrize(("source", "words"), FAILURES.values(), ids=list(FAILURES))
def test_a_worker_that_exits_at_start_shows_the_end_of_its_log(
    bench: Bench, source: str, words: str
) -> None:
    bench.write(source, "broken")
    spec = bench.spec("broken")

    with pytest.raises(LabError) as refused:
        bench.nodes.start(spec)

    assert f"worker {spec.name} exited with status" in refused.value.message
    assert words in refused.value.message
    assert bench.state_of(spec.name) == ""


def test_the_log_of_an_earlier_start_is_not_shown(bench: Bench) -> None:
    bench.write("import first_mistake", "broken")
    name = bench.session.worker_name()
    with pytest.raises(LabError, match="first_mistake"):
        bench.start("broken", name=name)
    bench.write("import second_mistake", "broken")
    with pytest.raises(LabError) as refused:
        bench.start("broken", name=name)

    assert "second_mistake" in refused.value.message
    assert "first_mistake" not in refused.value.message


def test_a_name_is_given_once(bench: Bench) -> None:
    worker = bench.start()
    with pytest.raises(LabError, match=f"a worker named {worker.name} is running already"):
        bench.start(name=worker.name)

    bench.nodes.kill(worker)
    assert bench.start(name=worker.name).pid != worker.pid


def test_a_lease_that_has_ended_starts_nothing(bench: Bench) -> None:
    with pytest.raises(LabError, match="this lease has ended"):
        bench.start(lease="0000")


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/workers", {"name": "x"}, "bad request"),
        ("POST", "/workers", ["x"], "bad request: a JSON object is wanted"),
        ("POST", "/workers/nobody/pause", {}, "there is no worker named nobody here"),
        ("POST", "/owner", {}, "bad request"),
        ("GET", "/nothing", None, r"the node refused \(status 404\)"),
    ],
)
def test_a_bad_request_is_refused_in_one_line(
    stack: Stack, method: str, path: str, body: Any, words: str
) -> None:
    from labapp.stack.control import ControlClient

    control = ControlClient("the node", stack.node_urls[0], stack.control_token)
    with pytest.raises(LabError, match=words) as refused:
        control.call(method, path, body)
    control.close()
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("verb", "body", "words"),
    [("dance", {}, "no verb dance"), ("signal", {"signal": "WAVE"}, "bad request")],
)
def test_a_bad_verb_is_refused(bench: Bench, verb: str, body: dict[str, str], words: str) -> None:
    worker = bench.start(pool="solo")
    with pytest.raises(LabError, match=words):
        bench.nodes.verb(worker, verb, **body)


@pytest.mark.parametrize("token", ["", "Bearer wrong"])
def test_the_node_refuses_without_the_token(stack: Stack, token: str) -> None:
    import httpx

    for method, path in [("GET", "/workers"), ("GET", "/lease"), ("POST", "/owner")]:
        answer = httpx.request(
            method,
            stack.node_urls[0] + path,
            headers={"Authorization": token},
            trust_env=False,
        )
        assert answer.status_code == 401


def test_a_worker_whose_caller_has_gone_during_the_start_is_ended(
    bench: Bench, stack: Stack
) -> None:
    bench.write(HANGING, "hanging")
    spec = bench.spec("hanging")
    address = urlsplit(stack.node_urls[0])
    body = json.dumps({"name": spec.name, "module": "hanging", "path": spec.path})
    with socket.create_connection((address.hostname, address.port)) as caller:
        caller.sendall(
            f"POST /workers HTTP/1.1\r\nHost: node\r\nContent-Length: {len(body)}\r\n"
            f"Authorization: Bearer {stack.control_token}\r\n\r\n{body}".encode()
        )
        wait_until(lambda: bench.pid_of(spec.name), "the worker to be there", 30)
        pid = bench.pid_of(spec.name)

    wait_until(lambda: not bench.state_of(spec.name), "the node to forget the worker")
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("by", ["kill", "lease"])
def test_a_worker_that_is_ended_during_its_start_says_so(
    bench: Bench, stack: Stack, by: str
) -> None:
    bench.write(HANGING, "hanging")
    lease = bench.nodes.lease()
    spec = bench.spec("hanging", lease=lease.name)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(bench.nodes.start, spec)
        wait_until(lambda: "hanging" in log_of(bench, spec.name), "the worker to hang", 30)
        if by == "kill":
            bench.session.nodes.kill_named(spec.name)
        lease.close()
        with pytest.raises(LabError, match="exited with status -9 at start"):
            starting.result()
    assert bench.state_of(spec.name) == ""


def log_of(bench: Bench, name: str) -> str:
    from labapp.node.client import StartedWorker

    if not bench.state_of(name):
        return ""
    return str(bench.nodes.verb(StartedWorker(0, name, 0, {}), "log")["tail"])


def test_a_workers_environment_has_no_secret_of_the_lab(bench: Bench, stack: Stack) -> None:
    from node_bench import family, secrets_in

    worker = bench.start()
    password = stack.broker.password

    for pid in family(worker.pid):
        names = {name for name in psutil.Process(pid).environ() if name.startswith("LAB_")}
        assert names <= {"LAB_PROBE_FD", "LAB_WORKER"}
        assert secrets_in(pid, [stack.control_token]) == []
        addresses = {"CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"}
        assert set(secrets_in(pid, [password])) <= addresses
