"""A small process between an owner and one service, so that nothing survives its owner.

    python -S -E -s guard.py SOCKET-FD DEADLINE-SECONDS COMMAND...

Standard library only, and few modules of it: one guard starts per service. It
 - starts the command in a session of its own, and writes its pid as one line to the socket;
 - at end-of-file on the socket (the owner closed it, or died) kills every descendant and exits;
 - when the command exits, kills and reaps what it left behind, and exits with its code;
 - on SIGTERM passes it on, waits for the deadline, then kills every descendant.

On Linux it is a subreaper: a grandchild that daemonised itself becomes the guard's child and is
found. If the guard itself is killed with -9, the kernel kills the command (PDEATHSIG), and the
supervisor, a subreaper too, kills what the command left.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
KILL_SECONDS = 5.0  # how long to go on killing before giving up
LINUX = sys.platform == "linux"
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def prctl(option: int, value: int) -> None:
    """Call prctl(2); does nothing elsewhere than on Linux."""
    if LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def start(command: list[str]) -> int:
    """Fork and exec the command in a new session; returns its pid.

    PDEATHSIG is tied to the thread that forks: the guard has one thread only. Signals wait until
    the child has shed the guard's handlers, else one sent right away would be lost.
    """
    guard = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == guard:  # else the guard died before prctl took effect
            for number in (*PASSED_ON, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"guard: cannot start {command[0]}: {error.strerror}\n".encode())
    os._exit(127)


def parents() -> dict[int, int]:
    """pid → parent's pid of every process on this machine that is no zombie."""
    if not LINUX:
        return _parents_by_ps()
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            state, parent = _stat(name)
            if state not in "ZX":
                found[int(name)] = parent
    return found


def _stat(pid: str) -> tuple[str, int]:
    """State letter and parent of a process; the name before them may contain anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return "X", 0
    return fields[0].decode(), int(fields[1])


def _parents_by_ps() -> dict[int, int]:
    with os.popen("ps -axo pid=,ppid=") as listing:  # noqa: S605 - fixed
        return {int(pid): int(parent) for pid, parent in map(str.split, listing)}


def descendants() -> list[int]:
    """Pids of all living processes below this one."""
    by_pid = parents()
    below: dict[int, bool] = {os.getpid(): True, 0: False, 1: False}

    def is_below(pid: int) -> bool:
        if pid not in below:
            below[pid] = False  # a cycle cannot be, but a pid reused while we read can
            below[pid] = is_below(by_pid.get(pid, 0))
        return below[pid]

    return [pid for pid in by_pid if pid != os.getpid() and is_below(pid)]


def reap() -> dict[int, int]:
    """Collect every child that has exited: pid → wait status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def signal_quietly(pid: int, number: int) -> None:
    """Send a signal; a process that is gone already is fine."""
    try:
        os.kill(pid, number)
    except OSError:
        pass


def kill_descendants() -> dict[int, int]:
    """SIGKILL everything below, again and again until nothing is left; returns who was reaped."""
    reaped: dict[int, int] = {}
    deadline = time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline:
        reaped |= reap()
        below = descendants()
        if not below:
            break
        for pid in below:
            signal_quietly(pid, signal.SIGKILL)
        time.sleep(0.005)
    return reaped | reap()


class Guard:
    """The event loop: the owner's socket, signals, and the service's end."""

    def __init__(self, owner: int, deadline: float, command: list[str]) -> None:
        self.owner, self.deadline = owner, deadline
        self.wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if LINUX else os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self.terminate = False
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.give_up_at: float | None = None
        self.service = start(command)
        os.write(owner, f"{self.service}\n".encode())

    def _on_signal(self, number: int, _frame: object) -> None:
        self.terminate = self.terminate or number != signal.SIGCHLD

    def run(self) -> int:
        """Watch until the end; returns the service's exit code (128 + n if signal n ended it)."""
        while True:
            ended = reap()
            if self.service in ended:
                kill_descendants()
                return exit_code(ended[self.service])
            if self._owner_is_gone() or self._is_overdue():
                return exit_code(kill_descendants().get(self.service, signal.SIGKILL))

    def _is_overdue(self) -> bool:
        if self.terminate and self.give_up_at is None:
            self.give_up_at = time.monotonic() + self.deadline
            signal_quietly(self.service, signal.SIGTERM)
            signal_quietly(self.service, signal.SIGCONT)  # a stopped process hears nothing
        return self.give_up_at is not None and time.monotonic() >= self.give_up_at

    def _owner_is_gone(self) -> bool:
        """Wait for news; True at end-of-file on the owner's socket."""
        wait = None if self.give_up_at is None else max(0.0, self.give_up_at - time.monotonic())
        ready, _, _ = select.select([self.owner, self.wake], [], [], wait)
        if self.wake in ready:
            os.read(self.wake, 512)
        if self.owner not in ready:
            return False
        try:
            return os.read(self.owner, 64) == b""
        except OSError:
            return True


def exit_code(status: int) -> int:
    """A wait status as a shell would report it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    """Run one guard; arguments as in the module's docstring."""
    owner, deadline, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    os.set_inheritable(owner, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    return Guard(owner, deadline, command).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
