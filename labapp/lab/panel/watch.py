"""Reads everything that a panel shows, five times a second, and disturbs nobody.

It has connections of its own, so that no button waits for it; it reads the panel's own broker and
scope of the world.  Of others it reads, once a second, what their nodes run and what their
databases hold.  Used by ``labapp.lab.panel.panel``, from one thread.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any

from labapp.errors import LabError
from labapp.lab.broker import Broker, Message
from labapp.lab.field import Field
from labapp.lab.monitor import Seen
from labapp.lab.panel.hearing import BEGUN, ENDED, Hearing, Told
from labapp.lab.panel.moment import (
    PAUSED,
    QUEUE,
    RUNNING,
    WORLD,
    Elsewhere,
    Moment,
    Task,
    WorkerView,
    queues,
)
from labapp.lab.panel.shop import Cut, Shop
from labapp.lab.panel.tape import Tape
from labapp.lab.session import Session
from labapp.node.client import Nodes
from labapp.views.keys import fold
from labapp.world.client import Reading, WorldClient

ROLL_CALL = 1.0
"""Seconds between two looks at what the nodes run."""
STOPPED = "the lab was stopped: start it with `lab up`, then run this cell again"
LIVE_WORKER, THIS_KERNEL = "live worker", "worker of this kernel's runs"


class Watch:
    """What is to be seen of one shop.

    Args:
        shop: whose queue it is.
        kernel: gives the session of the kernel's own runs, where it has one.

    Raises:
        Gone: a service of the stack does not answer.
    """

    def __init__(self, shop: Shop, kernel: Callable[[], Session | None] = lambda: None) -> None:
        self.shop = shop
        self.field: Field = shop.there
        stack = shop.session.stack
        self._kernel = kernel
        self._tape = Tape()
        self._broker = Broker(self.field.broker.url)
        self._nodes = Nodes(stack.node_urls, stack.control_token)
        self._world = WorldClient(stack.world_url, stack.control_token, self.field.world.scope)
        self._boot = self.field.boot
        self._records = 0
        self._held: set[str] = set()
        """Effects for which the partner holds a request."""
        self._effects: Counter[str] = Counter()
        self._sent: set[str] = set()
        self._states: dict[str, str] = {}
        """How each of the panel's workers is, by its name on its node, when last looked at."""
        self._elsewhere: tuple[Elsewhere, ...] = ()
        self._next_roll_call = 0.0
        self._others: dict[str, Broker] = {}
        self._moment = Moment(time.time())
        self._hearing = Hearing(self.field.broker.url)
        self.field.at_restart.append(self._hearing.listen_again)

    @property
    def over(self) -> str:
        """Why there is nothing to be seen any more; empty while there is."""
        return "" if self.shop.session.alive else STOPPED

    def look(self) -> Moment:
        """What is there now.  What cannot be read is as it was, and ``trouble`` says so."""
        now, trouble = time.time(), []
        parts: dict[str, Any] = {}
        for part in (self._roll_call, self._look_at_world, self._look_at_broker):
            try:
                parts |= part()
            except LabError as error:
                trouble.append(error.message)
        self._take_notes()
        self._tape.trim(now)
        known = {name: getattr(self._moment, name) for name in ("queues", "unacked")}
        self._moment = Moment(
            at=now,
            **{**known, **parts},
            workers=tuple(self._workers()),
            elsewhere=self._elsewhere,
            sent=len(self.field.keys),
            happened=len(self._effects),
            twice=sum(count > 1 for count in self._effects.values()),
            partner=self.shop.partner,
            bars=self._tape.bars(),
            marks=self._tape.marks(),
            trouble="; ".join(dict.fromkeys(trouble)),
            over=self.over,
        )
        return self._moment

    # The panel's own queue

    def _look_at_broker(self) -> dict[str, Any]:
        """Depths and unacknowledged messages; what was heard goes onto the tape first."""
        for heard in self._hearing.take():
            self._draw(heard)
        if self.field.broker_is_down:
            raise LabError("the panel's broker is down")
        lengths, unacked = self._broker.depths()
        consumed = {name for w in list(self.field.live) for name in w.report["queues"]}
        return {
            "queues": queues(lengths, consumed),
            "unacked": tuple(self._key(message) for message in unacked),
        }

    def _key(self, message: Message) -> str:
        return self.field.keys.get(message.task_id) or message.first or message.task

    def _draw(self, heard: Seen | Told) -> None:
        """One thing heard, onto the tape.  Events of workers that are not the panel's are none."""
        key = self.field.keys.get(heard.task_id, heard.task_id[:8])
        if isinstance(heard, Told):
            worker = self.field.numbered.get(heard.worker, "")
            if worker and heard.kind == BEGUN:
                self._tape.begin(worker, heard.task_id, key, heard.at)
            elif worker and heard.kind in ENDED:
                self._tape.end(worker, heard.task_id, heard.at, ENDED[heard.kind])
        elif heard.step in ("redelivered", "rejected"):
            self._tape.mark(QUEUE, heard.step, heard.at, key)
        elif heard.step == "queued":
            step = "sent again" if heard.task_id in self._sent else "sent"
            self._sent.add(heard.task_id)
            self._tape.mark(QUEUE, step, heard.at, key)

    def _look_at_world(self) -> dict[str, Any]:
        """New effects, and what is held."""
        reading = self._world.read(self._records)
        if reading.boot != self._boot:
            self._boot = reading.boot
            self.shop.forgotten()
        self._held = {request.name for request in reading.held}
        self._count(reading)
        return {}

    def _count(self, reading: Reading) -> None:
        self._records += len(reading.records)
        for what, name, at in reading.records:
            if what == "effect":
                self._effects[name] += 1
                self._tape.mark(WORLD, "effect", at, name)

    def _take_notes(self) -> None:
        """What the buttons have done, onto the tape: after what was heard of before."""
        with contextlib.suppress(Empty):
            while True:
                note = self.shop.notes.get_nowait()
                if isinstance(note, Cut):
                    self._tape.cut(note.worker, note.at, note.key)
                else:
                    self._tape.mark(note.row, note.kind, note.at, note.key)

    def _workers(self) -> Iterator[WorkerView]:
        for worker in list(self.field.live):
            name = self.field.numbered[worker.name]
            tasks = (Task(key, key in self._held) for key in self._tape.running(name))
            yield WorkerView(name, self._state(worker.name), tuple(tasks))

    def _state(self, name: str) -> str:
        if name in self.shop.paused:
            return PAUSED
        return self._states.get(name, RUNNING)

    # What the nodes run

    def look_at_nodes_soon(self) -> None:
        """At the next look: a button has changed something."""
        self._next_roll_call = 0.0

    def _roll_call(self) -> dict[str, Any]:
        if time.monotonic() >= self._next_roll_call:
            self._next_roll_call = time.monotonic() + ROLL_CALL
            told = self._nodes.workers()
            self._look_at_own([w for w in told if w["lease"] == self.shop.session.lease.name])
            self._elsewhere = tuple(self._look_elsewhere(told))
        return {}

    def _look_at_own(self, told: list[dict[str, Any]]) -> None:
        """Note workers that have ended by themselves, once each."""
        for worker in told:
            name, number = worker["name"], self.field.numbered.get(worker["name"], "")
            if worker["state"] != "exited" or not number or name in self._states:
                continue
            self._states[name] = f"ended by itself (status {worker['exit_status']})"
            self._tape.cut(number, time.time())
            self._tape.mark(number, "ended", time.time())

    def _look_elsewhere(self, told: list[dict[str, Any]]) -> Iterator[Elsewhere]:
        """The live worker, and those of this kernel's runs: their state, and their database."""
        kernel = self._kernel()
        databases = {"": (LIVE_WORKER, self.shop.session.stack.broker_url(0))}
        if kernel is not None:
            databases[kernel.lease.name] = (THIS_KERNEL, kernel.broker.url)
        for worker in told:
            if worker["lease"] in databases:
                who, url = databases[worker["lease"]]
                yield Elsewhere(who, str(worker["state"]), self._doing(url))

    def _doing(self, url: str) -> str:
        if url not in self._others:
            self._others[url] = Broker(url)
        lengths, unacked = self._others[url].depths()
        held = f", unacked: {fold(m.first or m.task for m in unacked)}" if unacked else ""
        return f"{sum(lengths.values())} waiting{held}"

    def close(self) -> None:
        """Close its connections."""
        self._hearing.close()
        for broker in (self._broker, *self._others.values()):
            broker.close()
        self._nodes.close()
        self._world.close()
