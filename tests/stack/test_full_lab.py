"""The whole of `lab up` once, with Flower and JupyterLab."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from conftest import Lab


def get(url: str) -> tuple[int, str]:
    """Status and text of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


def test_the_whole_lab(lab: Lab, living: Callable[..., list[str]]) -> None:
    stack = lab.up("--no-browser")
    assert set(stack.services) == {"broker", "world", "node", "flower", "jupyter"}
    _check_jupyter(lab, stack.jupyter_url)
    assert Path(stack.flower_socket or "").is_socket()
    family = lab.family()
    assert lab("down").returncode == 0
    assert not living(family)
    assert not Path(stack.flower_socket or "").exists()


def _check_jupyter(lab: Lab, url: str | None) -> None:
    assert url is not None
    assert urlsplit(url).path == "/lab/tree/notebooks/00_start_here.ipynb"
    status, page = get(url)
    assert status == 200
    assert '"news": {"disabled": true}' in page
    token = urlsplit(url).query
    root = f"http://{urlsplit(url).netloc}"
    assert get(f"{root}/api/kernels")[0] == 403
    specs = json.loads(get(f"{root}/api/kernelspecs?{token}")[1])
    assert specs["default"] == "python3"
    assert url in lab("status").stdout


@pytest.mark.parametrize("name", ["flower", "jupyter"])
def test_kill_9_of_a_web_service(lab: Lab, name: str) -> None:
    former = lab.up("--no-browser").services[name].pid
    assert former is not None
    os.kill(former, signal.SIGKILL)
    lab.wait_restarted(name, former)
