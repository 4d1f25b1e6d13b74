"""A signal is sent when main is at rest: Celery's handler must not interrupt a command to Redis."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labapp.node import procs
from labapp.stack.testing import wait_until

WAITING = "import select; print(flush=True); select.epoll().poll(600)"
BUSY = "print(flush=True)\nwhile True: pass"


@pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
@pytest.mark.parametrize(("program", "rests"), [(WAITING, True), (BUSY, False)])
def test_only_a_process_in_epoll_is_at_rest(program: str, rests: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            if rests:
                wait_until(lambda: procs.at_rest(process.pid), "the process to wait in epoll")
            else:
                assert not any(procs.at_rest(process.pid) for _ in range(200))
        finally:
            process.kill()
