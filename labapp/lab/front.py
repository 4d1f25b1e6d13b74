"""A shop that is open: a learner's web API, its broker and its workers, driven step by step.

Where ``lab.run`` is one whole experiment, a front is its parts by hand: post an order, ask how it
is doing, start a worker, hold a charge, kill the worker, let results expire.  The lab knows at each
step what is true, from the broker and the world, and the API says what it says.  Everything belongs
to a session and ends with it.  Used by ``labapp.lab.surface`` and ``labapp.course``.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from labapp.checker.history import Sent
from labapp.errors import LabError
from labapp.faults import Fault, charge_of, kill_worker
from labapp.lab.api import Api
from labapp.lab.broker import POLL, Message, wait_for
from labapp.lab.conductor import end
from labapp.lab.drain import drain, drained
from labapp.lab.drawing import recorded
from labapp.lab.field import Field
from labapp.lab.publisher import Module
from labapp.lab.reading import read
from labapp.lab.relay import Relay, Way
from labapp.lab.reply import Reply, ask
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session
from labapp.lab.stream import Stream
from labapp.stack.control import NO_TLS
from labapp.views.tables import NONE, Table

ANSWER_DEADLINE = 10.0
"""Seconds that an API may take to answer; a publish that blocks takes for ever."""
CHARGE_DEADLINE = 20.0
"""Seconds until a charge that is to be held must have reached the partner."""
LOST_AFTER = 1.0
"""Seconds after which an API is to call an order lost that nobody holds (``$LOST_AFTER``)."""
SLICE = 0.25
"""Seconds of one wait for a charge."""
BETWEEN = 0.05
"""Seconds between two questions to an API."""
PATIENCE = 2.0
"""Seconds beyond ``LOST_AFTER`` that an API may take to say so.  Not more is needed on a slow
machine: the last question is asked when they are over, and an API goes by the clock."""
KEEPING = 4.0
"""Seconds in which an API must send what it has kept while the broker was away."""


class Front:
    """An open shop.

    Args:
        session: under whose lease it runs.
        folder: where the learner's ``shop.py`` and ``api.py`` are.
        worker: how its workers are started.
        app: module of the API; empty for none: then orders are sent by hand.
        env: environment of API and workers, on top of the session's.
        drawing: whether what ``finish`` gives has a timeline.

    Raises:
        LabError: the API does not start.
    """

    def __init__(
        self,
        session: Session,
        folder: Path,
        worker: WorkerSettings | None = None,
        app: str = "api",
        env: Mapping[str, str] | None = None,
        *,
        drawing: bool = False,
    ) -> None:
        shop, self.app = Module("shop", folder), Module(app, folder)
        settings = worker or WorkerSettings()
        self.env = {"LOST_AFTER": f"{LOST_AFTER:g}", **(env or {})}
        settings = replace(settings, env={**self.env, **settings.env})
        session.clean()
        session.end_publisher(shop)  # what is in Redis is looked at key by key: the same each time
        self.field = Field(session, Plan(shop, "shop.charge", (), settings, drawing=drawing))
        self.field.boot = self.field.world.arm([]).boot
        self.relay = Relay(session.broker.url)
        self.wanted: dict[str, float] = {}
        """When each order was first asked for, in seconds since the shop was opened."""
        self._recording = ExitStack()
        self.places: dict[str, str] = {}
        """Path at which the API said each order's status is found."""
        self._streams: list[Stream] = []
        self._tables_made = False
        # a connection per request: an API that has just failed closes the old one under our hands
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(timeout=ANSWER_DEADLINE, limits=limits, verify=NO_TLS)
        try:
            self._recording.enter_context(recorded(self.field))
            self.api = self._serve() if app else None
        except BaseException:
            self._close_rest()
            raise
        session.guests.append(self)

    def _serve(self) -> Api:
        """Start the API; what it sends goes through the relay."""
        session = self.field.session
        env = session.environment(self.field.world.partner_url)
        return Api(self.app, {**env, "CELERY_BROKER_URL": self.relay.url, **self.env})

    # What a client does

    def send(self, *orders: str) -> None:
        """Publish a charge of each order with ``delay``'s means, without an API."""
        calls = [(order,) for order in orders]
        field = self.field
        self._make_tables()
        self._want(*orders)
        ids = field.session.publisher(field.plan.module).send(field.plan.task, calls)
        field.keys.update(zip(ids, orders, strict=True))

    def _make_tables(self) -> None:
        """Once, before the first order or worker of a shop that is run by hand."""
        if self.app.name or self._tables_made:
            return
        self.field.make_tables()
        self._tables_made = True

    def post(self, order: str) -> Reply:
        """``POST /orders`` with this order."""
        self._want(order)
        reply = self._ask("POST", "/orders", {"order": order})
        place = reply.location
        if not place and isinstance(reply.body, dict) and reply.body.get("id"):
            place = f"/orders/{reply.body['id']}"
        if reply.code == 202 and place:
            self.places[order] = urlsplit(place).path
        return reply

    def get(self, order: str) -> Reply:
        """``GET`` what the API named as the order's place; ``/orders/ORDER`` where it did not."""
        return self._ask("GET", self.places.get(order, f"/orders/{order}"))

    def get_unknown(self) -> Reply:
        """``GET`` with an id that was never handed out."""
        return self._ask("GET", f"/orders/{uuid.uuid4()}")

    def get_until(self, order: str, word: str, seconds: float = LOST_AFTER + PATIENCE) -> Reply:
        """``GET`` until the API says this word, ``seconds`` at most; its last answer."""
        deadline = time.monotonic() + seconds
        while True:
            late = time.monotonic() >= deadline  # the last question is asked after the deadline
            reply = self.get(order)
            if late or reply.word == word:
                return reply
            time.sleep(BETWEEN)

    def listen(self, order: str) -> Stream:
        """Connect to the order's server-sent events: ``/events`` below its place."""
        place = self.places.get(order, f"/orders/{order}")
        stream = Stream(f"{self._api_url()}{place}/events")
        self._streams.append(stream)
        return stream

    def _want(self, *orders: str) -> None:
        for order in orders:
            self.wanted.setdefault(order, self.field.now())

    def _ask(self, method: str, path: str, body: Any = None) -> Reply:
        return ask(self._client, method, self._api_url() + path, body)

    def _api_url(self) -> str:
        if self.api is None:
            raise LabError("this shop has no API", hint="lab.serve(FOLDER) opens one with an API")
        return self.api.url

    # What the lab does

    def start_worker(self) -> None:
        """Start a worker and wait until it is ready.  Raises LabError where it exits at start."""
        self._make_tables()
        self.field.start_worker()

    def work_off(self) -> bool:
        """Wait until nothing is left to do; whether it came to that in time."""
        return drain(self.field)

    def hold(self, order: str) -> None:
        """Hold the next charge of this order at the partner, before it happens."""
        self.arm(kill_worker(before=charge_of(order)))

    def arm(self, fault: Fault | None) -> None:
        """Arm the world with what this fault does at the partner; None: faults off."""
        self.field.world.arm(fault.rules() if fault else [])

    def await_held(self, order: str) -> bool:
        """Wait until the charge is held and its acknowledgement, if it comes early, has been sent.

        False where the charge does not reach the partner in time."""
        deadline = time.monotonic() + CHARGE_DEADLINE
        while not self._held(order):
            if time.monotonic() > deadline:
                return False
        if not self.field.live[0].acks_late(self.field.plan.task):
            wait_for(lambda: not self.in_broker(order), "the early acknowledgement", 10.0)
        return True

    def _held(self, order: str) -> bool:
        """Whether the partner holds this order's charge, now or in a moment."""
        held = self.field.world.wait(held=1, timeout=SLICE).held
        return any(request.key == order for request in held)

    def await_charge(self, order: str, seconds: float = KEEPING) -> bool:
        """Wait until this order is charged; whether it came to that in time."""
        deadline = time.monotonic() + seconds
        while not self.charges(order) and time.monotonic() < deadline:
            time.sleep(POLL)
        return self.work_off() and bool(self.charges(order))

    def answer_held(self) -> None:
        """Let the held charges happen."""
        self.field.world.answer()

    def kill_workers(self) -> None:
        """SIGKILL every worker; then the requests that they had open are dropped."""
        for worker in list(self.field.live):
            self.field.kill(worker)
        self.field.world.drop()

    def expire_results(self) -> int:
        """Time travel: every stored result reaches its expiry now; how many there were."""
        return self.field.broker.expire_results()

    def restart_api(self) -> None:
        """Kill the API and start it again, as a deploy does."""
        if self.api is not None:
            self.api.close()
        self.api = self._serve()

    @contextmanager
    def way(self, way: str) -> Iterator[str]:
        """The way from the API to the broker is ``open``, ``lossy`` or ``closed`` inside.

        Gives the broker's address by that way, for whoever publishes without an API."""
        with self.relay.being(Way(way)):
            yield self.relay.url

    def finish(self, *orders: str) -> Run:
        """Read everything, as at the end of an experiment: a run, to be judged and drawn.

        Each order that was asked for is expected to be charged once, however often it was sent.
        The shop stays open; what comes later is not in the run, and a second call gives the same.

        Args:
            orders: further ones, which somebody else has sent under their own names as task ids.
        """
        field = self.field
        if not field.run.history.of(Sent):
            self._want(*orders)
            for order, at in self.wanted.items():
                field.note(Sent(at, order, self._task_of(order)))
            read(field, drained(field))
            self._recording.close()
        return field.run

    def _task_of(self, order: str) -> str:
        """The task id of an order, noted as its own: as sent, or as its place says, or its name."""
        keys = self.field.keys
        ids = [task_id for task_id, known in keys.items() if known == order]
        place = self.places.get(order, order).rpartition("/")[2]
        if not ids:
            keys[place] = order
        return ids[0] if ids else place

    # What the lab knows

    def asked(self, truth: str, order: str) -> tuple[str, ...]:
        """One row: what is true of an order, where Redis has it, and what the API says.

        An order that is lost is asked for until the API may say so."""
        patience = LOST_AFTER * 2 if truth == "lost" else 0.0
        said = self.get_until(order, truth, patience).word
        return (truth, *self._whereabouts(order), said)

    @staticmethod
    def table(*rows: tuple[str, ...]) -> Table:
        """Rows of ``asked`` as a table."""
        return Table(("what is true", "in the queue", "unacked", "result", "the API says"), rows)

    def _whereabouts(self, order: str) -> tuple[str, str, str]:
        """Whether the order's message is queued or unacknowledged, and the state of its result.

        The result is found by the API's id, where that is the task's own."""
        contents = self.field.broker.contents()
        unacked = contents.unacked.values()
        task_id = self.places.get(order, order).rpartition("/")[2]
        state = self.field.broker.results([task_id]).get(task_id, {}).get("status", NONE)
        places = (any(m.first == order for m in found) for found in (contents.queued, unacked))
        queued, held = ("yes" if there else NONE for there in places)
        return queued, held, str(state)

    def messages(self, order: str) -> list[Message]:
        """The messages of this order that are in the broker."""
        return [m for m in self.field.broker.contents().messages() if m.first == order]

    def in_broker(self, order: str) -> bool:
        """Whether a message of this order is in the broker, queued or unacknowledged."""
        return bool(self.messages(order))

    def charges(self, order: str) -> int:
        """How often the partner has charged this order."""
        return self.field.read_world().keys("effect").count(order)

    def close(self) -> None:
        """Close the shop: API, workers, connections.  The broker keeps its keys, to look at."""
        if self.api is not None:
            self.api.close()
        self._close_rest()

    def _close_rest(self) -> None:
        for stream in self._streams:
            stream.close()
        self._recording.close()
        self._client.close()
        self.relay.close()
        end(self.field)

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *_: object) -> None:
        self.field.session.dismiss(self)
