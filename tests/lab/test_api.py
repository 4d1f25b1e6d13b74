"""A learner's API is served for a while: what it needs, how it fails to start, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from labapp.errors import LabError
from labapp.lab import api as api_room
from labapp.lab.api import Api
from labapp.lab.publisher import Module
from labapp.stack.testing import wait_until

HELLO = """
import os
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    return {"said": os.environ.get("WORD"), "secret": os.environ.get("LAB_CONTROL_TOKEN")}
"""
Write = Callable[[str], Module]


def gone(url: str) -> bool:
    """Whether nothing answers there."""
    try:
        httpx.get(url, timeout=5)
    except httpx.TransportError:
        return True
    return False


def test_an_api_runs_with_the_environment_it_is_given_and_without_the_labs_secrets(
    module_in: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CONTROL_TOKEN", "secret")
    api = Api(module_in(HELLO), {"WORD": "hello"})
    try:
        assert httpx.get(api.url).json() == {"said": "hello", "secret": None}
        assert api.alive
        assert api.url.startswith("http://127.0.0.1:")
    finally:
        api.close()
    assert gone(api.url)


def test_two_apis_of_one_module_run_side_by_side(module_in: Write) -> None:
    module = module_in(HELLO)
    one, two = Api(module, {"WORD": "1"}), Api(module, {"WORD": "2"})
    try:
        assert [httpx.get(a.url).json()["said"] for a in (one, two)] == ["1", "2"]
    finally:
        one.close()
        two.close()


def test_an_edited_module_is_served_anew(module_in: Write) -> None:
    for word in ("one", "two"):
        api = Api(module_in(HELLO.replace('os.environ.get("WORD")', repr(word))), {})
        try:
            assert httpx.get(api.url).json()["said"] == word
        finally:
            api.close()


BAD = {
    "import": ("import no_such_thing\n", "No module named 'no_such_thing'"),
    "syntax": ("def broken(:\n", "SyntaxError"),
    "no app": ("answer = 42\n", 'Attribute "app" not found'),
    "sys.exit": ("import sys\nsys.exit('bye')\n", "bye"),
    "os._exit": ("import os\nos._exit(4)\n", "it ended without a word"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_module_that_cannot_be_served_is_told_in_one_line(kind: str, module_in: Write) -> None:
    source, said = BAD[kind]

    with pytest.raises(LabError) as caught:
        Api(module_in(source), {})

    assert caught.value.message.startswith("answer.py does not start: ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert "uvicorn answer:app" in caught.value.hint


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"there is no api\.py in "):
        Api(Module("api", tmp_path), {})


def test_a_module_that_hangs_when_imported_is_given_up(
    module_in: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_room, "START_DEADLINE", 2.0)  # as patient as a test has time for

    with pytest.raises(LabError, match=r"answer\.py took more than 2 s to start"):
        Api(module_in("import time\ntime.sleep(1e6)\n"), {})


FORKS = HELLO.replace(
    "app = FastAPI()", "import subprocess\nsubprocess.Popen(['sleep', '1000'])\napp = FastAPI()"
)


def test_what_an_api_started_ends_with_it(module_in: Write) -> None:
    before = psutil.Process().children(recursive=True)  # the session's stack, if it runs
    api = Api(module_in(FORKS), {})
    ours = [p for p in psutil.Process().children(recursive=True) if p not in before]
    assert any(process.name() == "sleep" for process in ours)

    api.close()

    assert not [process for process in ours if process.is_running()]


OWNER = """
import sys, time
from pathlib import Path
from labapp.lab.api import Api
from labapp.lab.publisher import Module

api = Api(Module("answer", Path(sys.argv[1])), {})
print(api.url, flush=True)
time.sleep(1000)
"""


def test_an_api_ends_when_its_owner_is_killed(module_in: Write) -> None:
    module = module_in(FORKS)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(module.path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        below = psutil.Process(owner.pid).children(recursive=True)
        assert httpx.get(url).status_code == 200

        owner.send_signal(signal.SIGKILL)
        owner.wait()

    wait_until(lambda: not any(p.is_running() for p in below), "the API to end with its owner")
    assert gone(url)
