"""A whole headless lab: kill -9 of any part of it, two side by side, up twice, down."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
import pytest
import redis

from labapp.stack.ports import is_listening
from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from conftest import Lab

Gone = Callable[[list[psutil.Process]], None]
Kill = Callable[[int | None], None]
BROKER = os.environ.get("LAB_BROKER", "wheel")
SERVICES = ("broker", "world", "node")


def test_kill_9_of_the_supervisor_leaves_nothing(lab: Lab, gone: Gone, kill: Kill) -> None:
    first = lab.up()
    family = lab.family()
    kill(first.pid)
    gone(family)
    assert json.loads(lab("status", "--json").stdout)["running"] is False

    again = lab("up", "--detach", "--headless")
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"removed the state of supervisor {first.pid}, which was killed" in again.stdout
    assert lab.state().pid != first.pid


def test_what_a_dead_supervisor_recorded_and_still_lives_is_killed(
    lab: Lab, gone: Gone, kill: Kill
) -> None:
    stack = lab.up()
    world = psutil.Process(stack.services["world"].pid)
    guards = [psutil.Process(service.pid).ppid() for service in stack.services.values()]
    for pid in guards:  # so that no guard can do its work
        os.kill(pid, signal.SIGSTOP)
    kill(stack.pid)
    assert world.is_running()
    said = lab("up", "--detach", "--headless").stdout
    assert "processes it left behind" in said
    gone([world])
    assert not [pid for pid in guards if _is_guard(pid)]


def _is_guard(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != "zombie" and any("guard.py" in a for a in process.cmdline())
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_is_started_again(lab: Lab, gone: Gone, kill: Kill, name: str) -> None:
    stack = lab.up()
    former = stack.services[name].pid
    below = [psutil.Process(former), *psutil.Process(former).children(recursive=True)]
    kill(former)
    lab.wait_restarted(name, former)
    gone(below)
    after = lab.state()
    assert after.services[name].restarts == 1
    assert (after.broker.port, after.world_url, after.node_urls) == (
        stack.broker.port,
        stack.world_url,
        stack.node_urls,
    )
    others = [other for other in SERVICES if other != name]
    assert [after.services[o].pid for o in others] == [stack.services[o].pid for o in others]


@pytest.mark.parametrize("name", SERVICES)
def test_kill_9_of_a_guard_restarts_its_service(
    lab: Lab, gone: Gone, kill: Kill, name: str
) -> None:
    stack = lab.up()
    former = psutil.Process(stack.services[name].pid)
    family = [former, *former.children(recursive=True)]
    kill(former.ppid())
    lab.wait_restarted(name, former.pid)
    gone(family)


def test_a_service_that_keeps_ending_has_failed(lab: Lab, kill: Kill) -> None:
    pid = lab.up().services["world"].pid
    for _ in range(5):
        kill(pid)
        pid = lab.wait_restarted("world", pid)
    kill(pid)
    wait_until(lambda: lab.state().services["world"].state == "failed", "world to have failed")
    log = (lab.home / "logs" / "supervisor.log").read_text()
    assert "world failed: it ended too often" in log
    assert lab.state().services["broker"].state == "running"


def test_two_labs_run_side_by_side(labs: Callable[..., Lab], gone: Gone) -> None:
    one, two = labs("one"), labs("two")
    first, second = one.up(), two.up()
    assert first.broker.port != second.broker.port
    assert first.broker.password != second.broker.password
    family = one.family()
    assert one("down").returncode == 0
    gone(family)
    assert json.loads(two("status", "--json").stdout)["running"] is True
    assert is_listening(second.broker.port)


def test_up_twice_says_that_it_runs_already(lab: Lab) -> None:
    stack = lab.up()
    for arguments in (("up", "--headless"), ("up", "--headless", "--detach")):
        again = lab(*arguments)
        assert again.returncode == 0
        assert f"already running here (pid {stack.pid})" in again.stdout
    assert lab.state() == stack


def test_down_waits_until_all_is_gone(lab: Lab, living: Callable[..., list[str]]) -> None:
    stack = lab.up()
    family = lab.family()
    done = lab("down")
    assert "lab: stopped in" in done.stdout
    assert not living(family)
    assert not is_listening(stack.broker.port)
    assert not (lab.home / "stack.json").exists()
    assert lab("down").stdout == "lab: nothing runs here\n"


def test_down_cleans_up_after_a_killed_lab(lab: Lab, gone: Gone, kill: Kill) -> None:
    stack = lab.up()
    family = lab.family()
    kill(stack.pid)
    gone(family)
    assert "cleaned up" in lab("down").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_lab_in_the_foreground(
    lab: Lab, gone: Gone, number: signal.Signals
) -> None:
    process = lab.foreground("up", "--headless")
    assert process.stdout is not None
    said = ""
    while "lab: ready" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    family = lab.family()
    process.send_signal(number)
    rest = process.communicate(timeout=10)[0]
    assert process.returncode == 0, said + rest
    assert rest.startswith("lab: stopped in")
    gone(family)


def test_a_signal_during_the_start_stops_it(lab: Lab) -> None:
    process = lab.foreground("up", "--headless")
    assert process.stdout is not None
    assert "lab: starting" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=10)[0]
    assert (process.returncode, "Traceback" in rest) == (0, False)


def test_status_as_json(lab: Lab) -> None:
    stack = lab.up()
    status = json.loads(lab("status", "--json").stdout)
    assert status == {
        "running": True,
        "jupyter_url": None,
        "flower_url": None,
        "broker": {
            "engine": "Valkey" if BROKER == "wheel" else "Redis",
            "version": stack.broker.version,
            "source": BROKER,
        },
        "services": {
            name: {"pid": stack.services[name].pid, "state": "running"} for name in SERVICES
        },
        "nodes": 1,
    }
    lab("down")
    assert json.loads(lab("status", "--json").stdout) == {
        "running": False,
        "jupyter_url": None,
        "flower_url": None,
        "broker": None,
        "services": {},
        "nodes": 0,
    }


def test_secrets_are_in_private_files_only(lab: Lab) -> None:
    stack = lab.up()
    arguments = " ".join(" ".join(process.cmdline()) for process in lab.family())
    assert stack.broker.password not in arguments
    assert stack.control_token not in arguments
    assert stat.S_IMODE((lab.home / "stack.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(lab.home.stat().st_mode) == 0o700
    with socket.create_connection(("127.0.0.1", stack.broker.port), 5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")


def test_the_brokers_data_outlive_the_lab(lab: Lab) -> None:
    with redis.Redis.from_url(lab.up().broker_url(7)) as client:
        client.set("order", "1")
    lab("down")
    with redis.Redis.from_url(lab.up().broker_url(7), decode_responses=True) as client:
        assert client.get("order") == "1"


def test_damaged_data_are_shown_with_the_brokers_own_words(lab: Lab) -> None:
    lab.up()
    lab("down")
    [manifest] = lab.home.glob("broker/*/appendonlydir/*.manifest")
    manifest.write_text("nonsense\n")
    done = lab("up", "--headless")
    assert done.returncode == 2
    assert "broker did not start" in done.stderr
    assert "AOF" in done.stderr
    assert "move the folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(lab("status", "--json").stdout)["running"] is False
