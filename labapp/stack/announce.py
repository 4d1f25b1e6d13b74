"""Saying where a service is as soon as it answers, and not before: people click at once.

For a process that is about to become the service (``labapp.stack.container``); may depend on
``labapp.stack.health``.
"""

from __future__ import annotations

import os
import time

from labapp.stack.health import answers

POLL = 0.1
"""Seconds between two looks."""
PATIENCE = 300.0
"""Seconds after which nobody waits for the line any more."""


def when_it_answers(url: str, line: str) -> None:
    """Return at once; the line is printed when a GET of this URL is answered with 200.

    Who waits is no child of this process, which may go on as another program and would not reap it.
    It ends with its container, at the latest after ``PATIENCE`` seconds.

    Args:
        url: of something that needs no login.
        line: to be printed to standard output.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if not os.fork():
        _wait_and_say(url, line)
    os._exit(0)


def _wait_and_say(url: str, line: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if answers(url):
            os.write(1, f"{line}\n".encode())
            return
        time.sleep(POLL)
