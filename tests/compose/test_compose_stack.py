"""The stack as containers: started by health, closed to the outside, and the same lab."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from compose_bench import OURS, ROOT, RUNNING, liberties, run

from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from compose_bench import Compose

READ = """
import json, sys
sys.path.insert(0, "/lab/solutions/00_start_here")
from labapp import charge_of, connect, crash_broker, kill_worker, orders
from shop import charge

lab = connect()
moment = {"after": charge_of("order-3"), "before": charge_of("order-4")}
late = lab.worker(task_acks_late=True)
nodes = len(lab.session.nodes.urls)
runs = [lab.run(charge, orders(10), worker=late, fault=kill_worker(**moment), node=node)
        for node in range(nodes)]
runs.append(lab.run(charge, orders(10), worker=late, fault=crash_broker(**moment), node=nodes - 1))
print(json.dumps([str(run.verdict) for run in runs]))
"""
TWICE = "exactly once   NO       duplicated: order-3"


def address(compose: Compose, path: str, token: str | None) -> str:
    """An address of JupyterLab's, as the host sees it."""
    query = f"?token={token}" if token else ""
    return f"http://127.0.0.1:{compose.port.number}{path}{query}"


def test_every_service_is_healthy(compose: Compose) -> None:
    for service in RUNNING:
        (one,) = compose.containers(service)
        assert one["State"]["Health"]["Status"] == "healthy", service
    (init,) = compose.containers("init")
    assert (init["State"]["Status"], init["State"]["ExitCode"]) == ("exited", 0)


def test_one_port_is_published_and_on_loopback(compose: Compose) -> None:
    published: dict[str, Any] = {}
    for service in RUNNING:
        for one in compose.containers(service):
            ports = one["NetworkSettings"]["Ports"]
            published |= {f"{service} {port}": at for port, at in ports.items() if at}
    assert published == {
        "lab 8888/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(compose.port.number)}]
    }


@pytest.mark.parametrize("service", [*OURS, "redis"])
def test_a_container_may_do_nothing_that_it_need_not(compose: Compose, service: str) -> None:
    for one in compose.containers(service):
        assert liberties(one, compose.uid) == []


def test_no_secret_is_in_a_containers_description(compose: Compose) -> None:
    for service in (*OURS, "redis"):
        described = json.dumps(compose.containers(service))
        assert not [name for name, value in compose.secrets().items() if value in described]


def test_the_secrets_are_private_and_git_ignores_them(compose: Compose) -> None:
    file = compose.folder / "compose/state/secrets.env"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_uid == compose.uid
    trusted = ("-c", f"safe.directory={compose.folder}")
    run(["git", *trusted, "init", "--quiet"], compose.folder)
    ignored = run(["git", *trusted, "check-ignore", str(file)], compose.folder)
    assert ignored.returncode == 0, ignored.stderr


def test_jupyterlab_wants_its_token_and_flower_is_behind_it(compose: Compose) -> None:
    token = compose.secrets()["LAB_JUPYTER_TOKEN"]
    assert httpx.get(address(compose, "/api/contents", None)).status_code == 403
    assert httpx.get(address(compose, "/flower/metrics", None)).status_code in (302, 403)
    with httpx.Client(follow_redirects=True) as client:
        assert client.get(address(compose, "/api/contents", token)).status_code == 200
        assert "Flower" in client.get(address(compose, "/flower/", token)).text


def test_the_address_is_said_when_it_answers(compose: Compose) -> None:
    token = compose.secrets()["LAB_JUPYTER_TOKEN"]
    line = f"lab: open {address(compose, '/lab/tree/notebooks/00_start_here.ipynb', token)}"
    said = compose.must("logs", "lab").count(line)
    assert said
    compose.must("restart", "--timeout", "2", "lab")
    wait_until(lambda: compose.must("logs", "lab").count(line) > said, "the address", 60.0)
    assert httpx.get(address(compose, "/api/contents", token)).status_code == 200  # the first try
    compose.must("up", "--detach", "--wait")


def test_a_file_saved_in_jupyterlab_is_the_hosts_users(compose: Compose) -> None:
    token = compose.secrets()["LAB_JUPYTER_TOKEN"]
    body = {"type": "file", "format": "text", "content": "mine\n"}
    saved = httpx.put(address(compose, "/api/contents/notebooks/mine.txt", token), json=body)
    assert saved.status_code == 201, saved.text
    found = (compose.folder / "notebooks" / "mine.txt").stat()
    assert (found.st_uid, found.st_gid) == (compose.uid, compose.uid)


def test_what_the_learner_edits_is_what_workers_import(compose: Compose) -> None:
    before = compose("exec", "-T", "lab", "lab", "check", "02", "--json")
    assert json.loads(before.stdout)["passed"] is False
    exercise = compose.folder / "exercises/02_crash/shop.py"
    starter = exercise.read_text()
    exercise.write_text((compose.folder / "solutions/02_crash/shop.py").read_text())
    try:
        after = compose("exec", "-T", "lab", "lab", "check", "02", "--json")
    finally:
        exercise.write_text(starter)
    assert json.loads(after.stdout)["passed"] is True, after.stdout


def test_the_notebooks_pass_inside(compose: Compose) -> None:
    command = ("pytest", "-q", "-p", "no:cacheprovider", "--no-stack", "-n", "2", "notebooks")
    assert " passed" in compose.inside(*command, LAB_ANSWERS="solutions")


def test_scaled_to_three_a_fault_hits_any_of_them(compose: Compose) -> None:
    compose.must("up", "--detach", "--wait", "--scale", "worker=3")
    try:
        assert len(compose.containers("worker")) == 3
        verdicts = json.loads(compose.inside("python", "-c", READ).splitlines()[-1])
        assert len(verdicts) == 4
        assert all(TWICE in verdict for verdict in verdicts), verdicts
    finally:
        compose.must("up", "--detach", "--wait", "--scale", "worker=1")


def test_containers_struck_from_outside_give_the_verdicts_that_the_docs_show(
    compose: Compose,
) -> None:
    """The first victim of each fault; `python scripts/boundaries.py --write` does all of them."""
    program = [sys.executable, "scripts/boundaries.py", "--victims", "1"]
    try:
        done = run(program, compose.folder, compose.env, timeout=900)
    finally:
        compose.must("up", "--detach", "--wait", "--scale", "worker=1")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    rows = [line for line in done.stdout.splitlines() if "| worker 1 |" in line]
    assert len(rows) == 4
    assert set(rows) <= set((ROOT / "docs/boundaries.md").read_text().splitlines())


def test_status_says_what_it_is_and_where(compose: Compose) -> None:
    said = compose.inside("lab", "status").splitlines()
    token = compose.secrets()["LAB_JUPYTER_TOKEN"]
    page = "/lab/tree/notebooks/00_start_here.ipynb"
    assert said[0].startswith("lab: broker is Redis 8")
    assert said[1:] == ["lab: 1 node", f"lab: open {address(compose, page, token)}"]


@pytest.mark.parametrize("command", ["up", "down", "logs"])
def test_what_the_engine_does_is_not_done_inside(compose: Compose, command: str) -> None:
    done = compose("exec", "-T", "lab", "lab", command)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "lab: the lab's services are containers here",
        f"     on the host: `docker compose {command}`",
    ]


def test_doctor_finds_nothing_missing(compose: Compose) -> None:
    said = compose.inside("lab", "doctor")
    assert "ok       lab       its services are containers" in said
    assert not [line for line in said.splitlines() if not line.startswith("  ok")]
