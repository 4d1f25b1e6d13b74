"""Commands that need no running lab, and bad input: one clear line, no traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Lab


def test_a_taken_port_is_told_in_one_line(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for detach in ((), ("--detach",)):
            done = lab("up", "--no-browser", "--port", str(port), *detach)
            assert done.returncode == 2
            assert f"lab: port {port} is taken" in done.stdout + done.stderr
            assert "Traceback" not in done.stdout + done.stderr


def test_no_usable_broker_is_told_in_one_line(lab: Lab) -> None:
    done = lab("up", "--headless", LAB_BROKER_SERVER="/nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("lab: LAB_BROKER_SERVER is /nowhere")
    assert len(done.stderr.splitlines()) == 2


def test_doctor_names_broker_and_python(lab: Lab) -> None:
    done = lab("doctor")
    assert done.returncode == 0, done.stdout
    for word in ("tested", "python3", "celery 5.7", "Valkey", "(wheel)", "free for", "not running"):
        assert word in done.stdout


def test_doctor_fails_without_a_broker(lab: Lab) -> None:
    done = lab("doctor", LAB_BROKER_SERVER="/nowhere")
    assert done.returncode == 1
    assert "missing  broker" in done.stdout


def test_logs_of_all_and_of_one(lab: Lab) -> None:
    assert lab("logs").returncode == 2
    lab.up()
    assert "==> broker <==" in lab("logs").stdout
    assert "Ready to accept connections" in lab("logs", "broker").stdout
    assert len(lab("logs", "broker", "--lines", "1").stdout.splitlines()) == 1
    unknown = lab("logs", "barista")
    assert unknown.returncode == 2
    assert "no log of 'barista'" in unknown.stderr


def test_following_a_log_shows_what_is_added(lab: Lab) -> None:
    folder = lab.home / "logs"
    folder.mkdir(parents=True)
    log = folder / "world.log"
    log.write_text("first\n")
    process = lab.foreground("logs", "world", "--follow")
    assert process.stdout is not None
    assert process.stdout.readline() == "first\n"
    with log.open("a") as file:
        file.write("second\n")
    assert process.stdout.readline() == "second\n"
    process.terminate()
    process.communicate(timeout=10)


@pytest.mark.parametrize(
    "arguments",
    [
        ("world", "--port", "1234", "--history", "effects.jsonl"),
        ("node", "--port", "1234", "--logs", "."),
    ],
)
def test_a_service_without_its_token_says_so(lab: Lab, arguments: tuple[str, ...]) -> None:
    done = lab(*arguments)
    assert done.returncode == 2
    assert "lab: LAB_CONTROL_TOKEN is not set" in done.stderr


def test_the_command_starts_fast(lab: Lab) -> None:
    """Heavy packages stay out until a command needs them."""
    heavy = ["celery", "kombu", "redis", "httpx", "aiohttp", "jupyterlab", "tornado"]
    probe = f"import sys, labapp.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
