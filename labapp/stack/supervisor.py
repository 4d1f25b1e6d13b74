"""`lab up`: starts every service as soon as what it needs is there, and keeps them running.

One thread and one loop, for two reasons: the guards' sockets and the signals are all there is to
wait for, and a process that forks from one thread only has no surprises.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from labapp.errors import LabError
from labapp.stack import flower, jupyter, stale
from labapp.stack.home import SHARED, emptied, make_private
from labapp.stack.lock import FolderLock
from labapp.stack.logs import log_folder, tail
from labapp.stack.processes import become_subreaper, creation_time, kill_all
from labapp.stack.service import STOP_SECONDS, Guarded, Service
from labapp.stack.services import Blueprint, Options, base_environment, draw
from labapp.stack.space import require_space_for_a_lab
from labapp.stack.state import STATE_FILE, Stack, load, save

Say = Callable[[str], None]
TAIL_LINES = 15
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Runs the services of one blueprint until a signal, or until the start fails."""

    def __init__(self, home: Path, blueprint: Blueprint, options: Options, say: Say) -> None:
        self.home, self.stack, self.options, self.say = home, blueprint.stack, options, say
        self._blueprint = blueprint
        self._marker = stale.marker_of(self.stack.pid, self.stack.started)
        environment = base_environment(self._marker)
        self.services = {
            plan.name: Service(plan, log_folder(home) / f"{plan.name}.log", environment)
            for plan in blueprint.plans
        }
        self._began = time.monotonic()
        self._stopping = self._hurried = False
        self._is_up = False
        self._wake = self._listen_to_signals()

    def run(self) -> None:
        """Start, watch, and on a signal stop everything.

        Raises:
            LabError: a service did not start; all of it is stopped by then.
        """
        become_subreaper()
        make_private(log_folder(self.home) / "workers")
        emptied(self.home / SHARED)  # a kernel that was killed has left its folder there
        self._say_notes()
        try:
            while not self._stopping:
                self._turn()
                self._wait()
        finally:
            self._stop()

    def _say_notes(self) -> None:
        for note in self._blueprint.notes:
            if not note.startswith("no "):
                self.say(f"  note: {note}")

    # signals

    def _listen_to_signals(self) -> int:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # wakes the loop
        return read

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._hurried = self._stopping  # the second one: do not wait for anyone
        self._stopping = True

    def _wait(self) -> None:
        """Until a signal or news from a guard, or the next look at a service that is coming."""
        guards = (service.guarded for service in self.services.values())
        watched: list[int | Guarded] = [self._wake, *(g for g in guards if g and g.pid is None)]
        busy = any(service.is_coming for service in self.services.values())
        ready, _, _ = select.select(watched, [], [], 0.02 if busy else 1.0)
        if self._wake in ready:
            os.read(self._wake, 512)

    # one turn of the loop

    def _turn(self) -> None:
        changed = False
        for service in self.services.values():
            changed |= self._start_if_due(service)
            changed |= service.notice_pid()
            changed |= self._note_exit(service)
            changed |= self._note_ready(service)
        self._reap_strays()
        if changed:
            self._save()
        if not self._is_up and all(s.state == "running" for s in self.services.values()):
            self._is_up = True
            self._announce()

    def _start_if_due(self, service: Service) -> bool:
        needed = (self.services[name] for name in service.plan.needs)
        if service.state != "waiting" or any(other.state != "running" for other in needed):
            return False
        service.start()
        return True

    def _note_ready(self, service: Service) -> bool:
        if not service.has_become_ready():
            return False
        seconds = time.monotonic() - service.began
        word = "again" if service.restarts else "ready"
        self.say(f"  {service.plan.name:<8} {word}  {seconds:4.1f} s  {service.plan.note}")
        return True

    def _note_exit(self, service: Service) -> bool:
        code = service.notice_exit()
        if code is None:
            return False
        self._kill_strays()
        name = service.plan.name
        if not self._is_up and not service.restarts:
            raise LabError(self._obituary(name, f"did not start (exit code {code})"))
        if service.restart():
            self.say(f"  {name} ended with exit code {code}; started again")
        else:
            self.say(self._obituary(name, "failed: it ended too often; `lab down`, then `lab up`"))
        return True

    def _obituary(self, name: str, what: str) -> str:
        service = self.services[name]
        last = tail(service.log, TAIL_LINES) or "(its log is empty)"
        return "\n".join([f"{name} {what}; the end of {service.log}:", last, service.plan.hint])

    # strays: what a guard that was itself killed left behind

    def _strays(self) -> list[psutil.Process]:
        """Children that are no guards but carry our mark (the learner's browser does not)."""
        guards = {s.guarded.guard_pid for s in self.services.values() if s.guarded}
        return [p for p in psutil.Process().children() if p.pid not in guards]

    def _kill_strays(self) -> None:
        [(name, value)] = self._marker.items()
        for stray in self._strays():
            family = [stray, *_below(stray)]
            kill_all(p for p in family if _value(p, name) == value)

    def _reap_strays(self) -> None:
        for stray in self._strays():
            if _is_zombie(stray):
                os.waitpid(stray.pid, os.WNOHANG)

    # state and words

    def _save(self) -> None:
        statuses = {name: service.status() for name, service in self.services.items()}
        self.stack = replace(self.stack, services=statuses)
        save(self.home, self.stack)

    def _announce(self) -> None:
        seconds = time.monotonic() - self._began
        self.say(f"lab: ready after {seconds:.1f} s")
        url = self.stack.jupyter_url
        if url and self.options.browser and jupyter.has_browser():
            jupyter.open_browser(self.home, url)
        if url:
            self.say(f"lab: open {url}")

    def _stop(self) -> None:
        began = time.monotonic()
        running = list(self.services.values())
        for service in running:
            service.terminate()
        for service in running:
            self._finish(service, began + STOP_SECONDS)
        self._kill_strays()
        flower.remove_socket(self.stack.flower_socket)
        emptied(self.home / SHARED)
        (self.home / STATE_FILE).unlink(missing_ok=True)
        for port in self._blueprint.ports:
            port.release()
        self.say(f"lab: stopped in {time.monotonic() - began:.1f} s")

    def _finish(self, service: Service, deadline: float) -> None:
        """Wait for the end of one service; a second Ctrl-C ends the wait."""
        while time.monotonic() < deadline and not self._hurried:
            if service.guarded is None or service.guarded.wait(0.05) is not None:
                break
        service.finish(0.0)


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _value(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except (psutil.Error, OSError):
        return None


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def up(home: Path, root: Path, options: Options, say: Say) -> Stack | None:
    """Run a lab in this folder until it is stopped.

    Returns:
        The stack that runs here already, if one does; None after a lab of our own.

    Raises:
        LabError: it cannot start; the message says why.
    """
    lock = FolderLock(home)
    if not lock.acquire():
        return wait_for_state(home)
    try:
        cleaned = stale.clean(home)
        if cleaned:
            say(f"lab: {cleaned}")
        require_space_for_a_lab(home)
        identity = (os.getpid(), creation_time(os.getpid()))
        blueprint = draw(home, root, options, identity)
        supervisor = Supervisor(home, blueprint, options, say)
        say(f"lab: starting in {root}")
        supervisor.run()
    finally:
        lock.release()
    return None


def wait_for_state(home: Path, timeout: float = 5.0) -> Stack:
    """The state of the lab that holds the lock; it may be just about to write it.

    Raises:
        LabError: it was not written within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        stack = load(home)
        if stack and stack.is_supervised_alive:
            return stack
        time.sleep(0.02)
    raise LabError("a lab is just starting or stopping here", hint="try again in a few seconds")
