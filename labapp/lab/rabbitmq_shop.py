"""A shop on RabbitMQ for a while: real queues, a real worker, and what became of its messages.

Its names begin with a prefix of their own, `$SHOP_PREFIX`, which the shop's module puts before the
names of its queues and exchanges; at its end all of them are deleted.

When is everything done?  RabbitMQ tells an AMQP client how many messages wait, not how many are
out.  The worker's log says what it received and what came to an end.  Where all that was received
has ended, a task that does nothing is sent; if the worker receives that one and no other, it had
nothing left: a retry is a message behind the others, and what is given back comes to the head of
the queue.  Then a message of the lab's own goes the way of what is rejected; when it has arrived
among the letters, every letter has.

May depend on ``labapp.lab.rabbitmq`` and below; used by ``labapp.lab.surface``.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

from labapp.errors import LabError
from labapp.lab.broker import POLL, wait_for
from labapp.lab.dead_letters import DeadLetters, Letter
from labapp.lab.publisher import Publisher
from labapp.lab.rabbitmq import (
    JSON_TYPE,
    LETTERS,
    Connection,
    OnRabbitMQ,
    address,
    answering,
    connect,
    place,
)
from labapp.lab.run import WorkerSettings
from labapp.lab.session import module_of
from labapp.node.workers import setting
from labapp.stack.environment import for_module
from labapp.stack.logs import tail
from labapp.stack.service import STOP_SECONDS, Guarded
from labapp.stack.state import RABBITMQ
from labapp.views.keys import one_line
from labapp.views.tables import NONE, Table

VARIABLE = "SHOP_PREFIX"
"""Environment variable: what the module puts before the names of its queues and exchanges."""
NOTHING = "celery.accumulate"
"""A task that every Celery app has and that does nothing: the last order."""
WORK_SECONDS = 90.0
"""For all orders: a lost process is noticed after up to five seconds (billiard)."""
ARRIVAL_SECONDS = 10.0
LOG_LINES = 20_000
LOUD = ("CRITICAL", "Unrecoverable error", "PRECONDITION_FAILED")


def celerys_own() -> tuple[list[str], list[str]]:
    """Exchanges and queues that Celery shares between all workers of a virtual host."""
    from kombu.transport.native_delayed_delivery import (
        CELERY_DELAYED_DELIVERY_EXCHANGE,
        MAX_NUMBER_OF_BITS_TO_USE,
        level_name,
    )

    levels = [level_name(level) for level in range(MAX_NUMBER_OF_BITS_TO_USE)]
    others = ["celeryev", "celery.pidbox", "reply.celery.pidbox", CELERY_DELAYED_DELIVERY_EXCHANGE]
    return [*levels, *others], levels


RECEIVED = re.compile(r"Task \S+\[\S+\] received$", re.MULTILINE)
ENDED = re.compile(
    r"Task \S+\[\S+\] (?:succeeded in|retry: |raised (?:un)?expected: |INTERNAL ERROR: |ignored"
    r"|reject )|Hard time limit \(\S+s\) exceeded for |Task handler raised error: WorkerLostError"
)
"""What a worker logs when an attempt is over (celery/app/trace.py, celery/worker/request.py)."""
DONE = re.compile(rf"Task {re.escape(NOTHING)}\[(\S+)\] succeeded in")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a worker's log says.

    Args:
        received: how many messages it has got.
        ended: how many attempts are over, in whatever way.
        done: ids of the lab's own tasks that it has done.
    """

    received: int
    ended: int
    done: frozenset[str]


def has_done(task_id: str, heard: Heard) -> bool:
    """Whether the worker has done this task of the lab's own."""
    return task_id in heard.done


def read_log(log: str) -> Heard:
    """The log of a worker, counted."""
    return Heard(len(RECEIVED.findall(log)), len(ENDED.findall(log)), frozenset(DONE.findall(log)))


def last_words(log: str) -> str:
    """The line of a log that says why the worker ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    loud = [line for line in lines if any(word in line for word in LOUD)]
    return one_line((loud or lines or ["it ended without a word"])[-1])


@dataclass(slots=True)
class Order:
    """One order that was sent."""

    task: str
    key: str
    id: str


class Shop:
    """Queues, a worker when there is work, and letters; all of it gone at the end of ``with``.

    Args:
        task: a Celery task of the shop's module.
        worker: environment variables and settings of its workers.

    Raises:
        LabError: there is no RabbitMQ, or the module has no queue, or several.
    """

    def __init__(self, task: Any, worker: WorkerSettings | None = None) -> None:
        self._url = address()
        self._app = task.app
        self._module = module_of(task)
        self._named = queue = only_queue(self._app, self._module.file.name)
        self._settings = worker or WorkerSettings()
        self._prefix = f"lab-{token_hex(4)}."
        self._orders: list[Order] = []
        self._publisher: Publisher | None = None
        self._brought: tuple[list[str], list[str]] = ([], [])
        self._logs = tempfile.TemporaryDirectory(prefix="lab-rabbitmq-")
        self._log = Path(self._logs.name) / "worker.log"
        self.queue = self._prefix + queue.name
        """Where the orders go."""
        self.letters = self._prefix + LETTERS
        """Where its dead letters are, if its module has declared them."""

    @property
    def dead_letters(self) -> DeadLetters:
        """The letters of this shop."""
        return DeadLetters(lambda: OnRabbitMQ(self.letters, self._url))

    def __enter__(self) -> Shop:
        with self._talking() as connection:
            exchanges, queues = celerys_own()
            self._brought = (
                [name for name in exchanges if not has_exchange(connection, name)],
                [name for name in queues if count(connection, name) is None],
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the publisher, and delete every queue and exchange that came with the shop."""
        if self._publisher is not None:
            self._publisher.close()
        self._logs.cleanup()
        exchanges, queues = self._brought
        arguments = self._named.queue_arguments or {}
        own = (self._named.exchange.name, arguments.get("x-dead-letter-exchange"))
        exchanges = exchanges + [self._prefix + name for name in own if name]
        with suppress(LabError), self._talking() as connection:
            for name in (self.queue, self.letters, *queues):
                connection.default_channel.queue_delete(name)
            for name in exchanges:
                connection.default_channel.exchange_delete(name)

    @contextmanager
    def _talking(self) -> Iterator[Connection]:
        with answering(self._url, self.queue), connect(self._url) as connection:
            yield connection

    # Sending and working

    def measure(self, *tasks: Any) -> Table:
        """Send one order to each of these tasks, in this order, and let a worker come.

        Args:
            tasks: Celery tasks of the shop's module.

        Returns:
            A row for each order that this shop had so far.

        Raises:
            LabError: the worker ended, or there is no end in sight.
        """
        self.send(*tasks)
        return self.work()

    def define(self, arguments: Mapping[str, Any]) -> None:
        """Make the queue of orders now, with these arguments and no others, as RabbitMQ's
        definitions file does.

        Args:
            arguments: of the queue, for example ``{"x-queue-type": "quorum"}``.
        """
        with self._talking() as connection:
            connection.default_channel.queue_declare(
                self.queue, durable=True, auto_delete=False, arguments=dict(arguments)
            )

    def send(self, *tasks: Any) -> None:
        """Send one order to each of these tasks; they wait until there is a worker."""
        publisher = self._publisher
        if publisher is None:
            publisher = self._publisher = Publisher(self._module, self._environment())
        with self._talking() as connection:
            before = count(connection, self.queue) or 0
            for task in tasks:
                key = f"order-{len(self._orders) + 1}"
                (task_id,) = publisher.send(task.name, [(key,)])
                self._orders.append(Order(task.name.rpartition(".")[2], key, task_id))
            wait_for(
                lambda: (count(connection, self.queue) or 0) >= before + len(tasks),
                f"the orders to come into {self.queue}",
                ARRIVAL_SECONDS,
                hint=f"in the shop's module, begin the names of its queues with ${VARIABLE}",
            )

    def work(self) -> Table:
        """A worker comes, does all that is in the queue, and goes; a row for each order so far.

        Raises:
            LabError: the worker ended by itself, or there is no end in sight.
        """
        with self._talking() as connection:
            self._run_worker(connection)
            if left := count(connection, self.queue):
                raise LabError(f"{left} messages are left in the queue", hint="measure again")
            self._await_letters(connection)
        return self.table

    def _environment(self) -> dict[str, str]:
        """What publisher and worker are told.

        Celery prefers its own variables to what a module says, and a notebook has them: its live
        broker and results."""
        own = {"CELERY_BROKER_URL": self._url, "CELERY_RESULT_BACKEND": ""}
        return {**own, RABBITMQ: self._url, VARIABLE: self._prefix, **self._settings.env}

    def _publish_nothing(self, connection: Connection) -> str:
        """Put a task that does nothing into the queue; its id, when RabbitMQ has confirmed it."""
        from amqp import Message  # type: ignore[import-untyped]

        task_id = str(uuid.uuid4())
        made = self._app.amqp.as_task_v2(task_id, NOTHING, ["done"], {})
        message = Message(
            json.dumps(made.body),
            content_type=JSON_TYPE,
            content_encoding="utf-8",
            application_headers=made.headers,
            correlation_id=task_id,
            delivery_mode=2,
        )
        connection.default_channel.basic_publish(message, "", self.queue)
        return task_id

    def _run_worker(self, connection: Connection) -> None:
        """Start the worker, wait until it has nothing left to do, and end it."""
        settings = {"worker_enable_remote_control": False, **self._settings.settings}
        command = (
            *(sys.executable, "-m", "celery", "-A", self._module.name, "worker"),
            *("--pool=prefork", "--concurrency=1", "--prefetch-multiplier=1", "--loglevel=INFO"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            *(f"--hostname={self._prefix}shop@%h", "--"),
            *(f"{name}={setting(value)}" for name, value in settings.items()),
        )
        env = {**for_module(), "PYTHONUNBUFFERED": "1", **self._environment()}
        worker = Guarded(command, self._log, env, self._module.path)
        try:
            self._await_rest(connection, worker)
            worker.terminate()
            worker.wait(STOP_SECONDS + 1)
        finally:
            worker.close()

    def _await_rest(self, connection: Connection, worker: Guarded) -> None:
        """Wait until the worker has nothing, and the queue has nothing for it."""
        deadline = time.monotonic() + WORK_SECONDS
        while True:
            before = self._heard(worker, deadline, lambda heard: heard.ended >= heard.received)
            last = self._publish_nothing(connection)
            after = self._heard(worker, deadline, partial(has_done, last))
            if after.received == before.received + 1:
                return

    def _heard(self, worker: Guarded, deadline: float, enough: Callable[[Heard], bool]) -> Heard:
        """What the worker's log says, as soon as it is enough.

        Raises:
            LabError: it ended by itself, or the deadline has passed.
        """
        while not enough(heard := read_log(self._text())):
            if worker.exit_code() is not None:
                raise LabError(
                    f"the worker ended by itself: {last_words(self._text())}",
                    hint=f"try it: cd {self._module.path.name} && "
                    f"celery --broker ${RABBITMQ} -A {self._module.name} worker",
                )
            if time.monotonic() > deadline:
                raise LabError(
                    f"the worker was not done after {WORK_SECONDS:.0f} s",
                    hint="does a task hang, or does one come back without a bound?",
                )
            time.sleep(POLL)
        return heard

    def _text(self) -> str:
        return tail(self._log, LOG_LINES)

    def _await_letters(self, connection: Connection) -> None:
        """Wait until all that was rejected has arrived, by a message that is rejected after it.

        Where nobody has declared a queue of letters there is nothing to wait for."""
        if count(connection, self.letters) is None:
            return
        marker = self._publish_nothing(connection)
        channel = connection.default_channel
        message = channel.basic_get(self.queue)  # it was confirmed, and nothing else is there
        if message is None or message.properties.get("correlation_id") != marker:
            raise LabError("somebody else works in the lab's own queue", hint="measure again")
        channel.basic_reject(message.delivery_tag, requeue=False)
        wait_for(
            lambda: self._took(marker),
            f"what is rejected to come to {self.letters}",
            ARRIVAL_SECONDS,
            hint="bind that queue to the exchange that the shop's queue names",
        )

    def _took(self, task_id: str) -> bool:
        """Whether this letter was there; it is gone then."""
        with OnRabbitMQ(self.letters, self._url) as store:
            return any(one.id == task_id and store.discard(one) for one in store.read())

    # What became of it

    @property
    def table(self) -> Table:
        """One row for each order: how often it was begun, and its letters."""
        letters = self._letters()
        log = self._text()
        rows = []
        for order in self._orders:
            own = [one for one in letters if one.id == order.id]
            reasons = ", ".join(one.trouble for one in own) or NONE
            begun = log.count(f"[{order.id}] received")
            rows.append((order.task, order.key, begun, len(own), reasons))
        return Table(("task", "order", "attempts", "letters", "why"), rows, "Dead letters by task")

    def _letters(self) -> Sequence[Letter]:
        with self._talking() as connection:
            if count(connection, self.letters) is None:
                return ()
        return self.dead_letters.read()


class RabbitMQ:
    """The RabbitMQ of the stack, where it has one: as a notebook has it."""

    @property
    def there(self) -> bool:
        """Whether there is one now: whether its host has an address."""
        try:
            return bool(address())
        except LabError:
            return False

    @property
    def dead_letters(self) -> DeadLetters:
        """What lies in its queue ``dead_letters``."""
        return DeadLetters(OnRabbitMQ)

    def shop(self, task: Any, worker: WorkerSettings | None = None) -> Shop:
        """A shop with queues of its own, for a ``with``.

        Args:
            task: a Celery task, imported from the shop's module; the names of its queues and
                exchanges begin with `$SHOP_PREFIX`.
            worker: environment variables and settings of its workers; ``lab.worker(…)``.  One
                process runs one task at a time in any case.

        Raises:
            LabError: there is no RabbitMQ here, or the module has no queue, or several.
        """
        return Shop(task, worker)

    def measure(self, *tasks: Any, worker: WorkerSettings | None = None) -> Table:
        """One order for each of these tasks, in a shop of their own: who leaves how many letters.

        Args:
            tasks: Celery tasks of one module.
            worker: as in `shop`.

        Raises:
            LabError: there is no RabbitMQ here, or its worker ended by itself.
        """
        if not tasks:
            raise LabError("measure which tasks?", hint="name some of one module")
        with self.shop(tasks[0], worker) as shop:
            return shop.measure(*tasks)

    def __repr__(self) -> str:
        try:
            return f"RabbitMQ at {place(address())}"
        except LabError as error:
            return "\n".join([error.message, *error.hint.split("; ")])  # narrow: a notebook's cell


def only_queue(app: Any, module: str) -> Any:
    """The one queue of a shop's app.  Raises LabError where it has none, or several."""
    found = list(app.conf.task_queues or ())
    if len(found) != 1:
        raise LabError(
            f"{module} has {len(found) or 'no'} queues in task_queues, and the lab watches one",
            hint="solutions/05_retries/lesson/on_rabbitmq.py has it as it should be",
        )
    return found[0]


def count(connection: Connection, queue: str) -> int | None:
    """How many messages wait in a queue; None where there is none of that name."""
    from amqp import NotFound

    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except NotFound:
            return None


def has_exchange(connection: Connection, name: str) -> bool:
    """Whether there is an exchange of that name."""
    from amqp import NotFound

    with connection.channel() as channel:
        try:
            channel.exchange_declare(name, "direct", passive=True)
        except NotFound:
            return False
    return True
