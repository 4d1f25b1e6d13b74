"""A stack for tests: headless, in a folder of its own, and gone when the test process is.

Used by the fixtures of tests and notebooks, one per pytest-xdist worker, and by the rehearsal of
`lab doctor --workshop`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from labapp.stack.detach import is_ready
from labapp.stack.environment import without_lab
from labapp.stack.home import make_private
from labapp.stack.logs import tail
from labapp.stack.service import Guarded
from labapp.stack.state import Stack, load

RUN_MARK = "LABTEST_RUN"
"""Environment variable by which tests know the processes that they started."""
START_SECONDS = 60.0
END_SECONDS = 15.0
LAB = (sys.executable, "-m", "labapp")


def wait_until(
    condition: Callable[[], object], awaited: str, timeout: float = 10.0, log: Path | None = None
) -> None:
    """Return as soon as the condition holds.

    Args:
        condition: asked every 20 ms.
        awaited: what is waited for, for the error.
        timeout: seconds.
        log: a file whose tail the error shows.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            shown = f"; the end of {log}:\n{tail(log, 30)}" if log else ""
            raise AssertionError(f"waited {timeout:.0f} s in vain for: {awaited}{shown}")
        time.sleep(0.02)


def environment(home: Path, **changes: str) -> dict[str, str]:
    """This process's environment, without any other lab's variables, for a lab in `home`."""
    return {**without_lab(), "LAB_HOME": str(home), "PYTHONUNBUFFERED": "1", **changes}


def launch(home: Path, log: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Guarded:
    """Start `lab up` with these arguments under a guard that dies with this process."""
    make_private(home)
    return Guarded((*LAB, "up", *arguments), log, env or environment(home), home)


def wait_ready(home: Path, lab: Guarded, log: Path) -> Stack:
    """The stack in `home` as soon as all of its services run.

    Raises:
        AssertionError: `lab` ended, or it took more than START_SECONDS.
    """

    def ready() -> bool:
        lab.read_pid_if_new()
        if lab.exit_code() is not None:
            raise AssertionError(f"`lab up` ended with {lab.exit_code()}:\n{tail(log, 30)}")
        return lab.pid is not None and is_ready(load(home), lab.pid)

    wait_until(ready, f"the lab in {home}", START_SECONDS, log)
    stack = load(home)
    assert stack is not None  # noqa: S101 - it was ready a moment ago, and is ours alone
    return stack


def headless_stack(
    home: Path, broker: str = "", shared: bool = False
) -> AbstractContextManager[Stack]:
    """A running broker, world and node; for the rest see `running_stack`."""
    return running_stack(home, "--headless", broker=broker, shared=shared)


@contextmanager
def running_stack(
    home: Path, *arguments: str, broker: str = "", shared: bool = False
) -> Iterator[Stack]:
    """A running lab; stopped, and waited for, at the end.

    Args:
        home: the state folder; created if need be.
        arguments: of `lab up`.
        broker: wheel or system; if not given, what $LAB_BROKER says, else wheel.
        shared: it outlives the test during which it starts: no left-over of that one.

    Raises:
        AssertionError: it did not start or did not stop; with the log's tail.
    """
    log = home.parent / f"{home.name}.up.log"
    chosen = broker or os.environ.get("LAB_BROKER", "wheel")
    env = environment(home, LAB_BROKER=chosen)
    if shared:
        env.pop(RUN_MARK, None)
    lab = launch(home, log, *arguments, env=env)
    try:
        yield wait_ready(home, lab, log)
        lab.terminate()
        if lab.wait(END_SECONDS) is None:
            raise AssertionError(f"the lab in {home} did not stop:\n{tail(log, 30)}")
    finally:
        lab.close()
