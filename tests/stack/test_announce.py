"""The address of a service is said when it answers, by nobody that stays behind."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx
import psutil

from labapp.stack.ports import Port

SERVICE = """
import os, sys
from labapp.stack.announce import when_it_answers

port = sys.argv[1]
when_it_answers(f"http://127.0.0.1:{port}/", "open")
os.execv(sys.executable, [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1"])
"""


def test_whoever_reads_the_line_is_answered_at_the_first_try() -> None:
    port = Port()
    command = [sys.executable, "-c", SERVICE, str(port.number)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as service:
        try:
            assert service.stdout is not None
            while (line := service.stdout.readline()) != "open\n":  # the server says things, too
                assert line, "the service ended"
            assert httpx.get(f"http://127.0.0.1:{port.number}/").status_code == 200
            assert psutil.Process(service.pid).children() == []
        finally:
            service.terminate()
            port.release()
