"""Run a program, and start it again whenever a source of labapp changes.

    python -P reload.py COMMAND...

For those who develop the lab itself: docker-compose.override.example.yml starts services with it.
Standard library only, and nothing of labapp is imported: what is being edited may not import at
all.  Files are looked at, since no events come through a folder that is mounted from another
operating system; ninety of them take about a millisecond.

The program runs under a guard (``guard.py``), so that nothing of it is left when the next one
starts.  One that ends by a mistake of its source (exit status 1 or 2) waits for the next change;
any other end is this process's end as well, and the engine's to restart.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1]
GUARD = Path(__file__).resolve().with_name("guard.py")
LOOK_SECONDS = 0.3
"""Between two looks at the sources."""
STOP_SECONDS = 3.0
"""From SIGTERM to SIGKILL."""
MISTAKES = (1, 2)
"""Exit statuses of a traceback and of a `LabError`."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Seen = dict[str, tuple[int, int]]
"""File → its time of change, in nanoseconds, and its size."""


class Stopped(BaseException):
    """A signal asked for the end."""


class Program:
    """A command under a guard: all its descendants end with it, and with this process."""

    def __init__(self, command: list[str]) -> None:
        self._owner, theirs = socket.socketpair()
        guard = [sys.executable, "-S", "-E", "-s", str(GUARD)]
        with theirs:
            self._guard = subprocess.Popen(
                [*guard, str(theirs.fileno()), str(STOP_SECONDS), *command],
                pass_fds=[theirs.fileno()],
            )

    def exit_code(self) -> int | None:
        """The exit status once it has ended, else None."""
        return self._guard.poll()

    def stop(self) -> int:
        """End it, wait until nothing of it is left, and say with which exit status it ended."""
        self._guard.terminate()
        code = self._guard.wait()
        self._owner.close()
        return code


def look(folder: Path = SOURCES) -> Seen:
    """What all sources below this folder look like now."""
    found: Seen = {}
    for path in folder.rglob("*.py"):
        with suppress(OSError):  # deleted between the two
            status = path.stat()
            found[str(path)] = (status.st_mtime_ns, status.st_size)
    return found


def changed(since: Seen) -> bool:
    """True once something has changed and nothing changes any more: a checkout takes a moment."""
    now = look()
    if now == since:
        return False
    while True:
        time.sleep(LOOK_SECONDS)
        before, now = now, look()
        if before == now:
            return True


def run_once(command: list[str]) -> int | None:
    """Run the command until a source changes.

    Returns:
        None if one did; the exit status if the program ended by itself, or a signal asked for it.
    """
    seen = look()
    program = Program(command)
    try:
        while not changed(seen):
            code = program.exit_code()
            if code in MISTAKES:
                say(f"{command[-1]} ended with exit status {code}; waiting for a change of labapp")
                wait_for_change(seen)
                return None
            if code is not None:
                return code
            time.sleep(LOOK_SECONDS)
    except Stopped:
        return program.stop()
    finally:
        program.stop()
    return None


def wait_for_change(since: Seen) -> None:
    """Return as soon as a source is not what it was."""
    while not changed(since):
        time.sleep(LOOK_SECONDS)


def say(text: str) -> None:
    """One line for `docker compose logs`."""
    print(f"lab: {text}", flush=True)


def stop_here(number: int, _frame: object) -> None:
    """What SIGNALS do: end once, however many come."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped


def main(command: list[str]) -> int:
    """Run the command, again and again; its exit status once it is not to be run any more."""
    for number in SIGNALS:
        signal.signal(number, stop_here)
    while (code := run_once(command)) is None:
        say(f"labapp has changed: {command[-1]} starts again")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
