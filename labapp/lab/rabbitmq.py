"""Dead letters on RabbitMQ: read without taking them, sent again, thrown away.

A letter is a message of Celery's that a queue has passed on to its dead-letter exchange; the header
``x-death`` says where it was, and why it is here.  It is looked at by fetching it and giving it
back.  AMQP has no step in which a letter and its message could change places, so a replay is two:
the message is published and confirmed, then the letter is acknowledged.  Who is killed in between
leaves both, and nobody leaves none.

May depend on ``labapp.lab.dead_letters`` and below; kombu is imported when there is something to
do.  Used by ``labapp.lab`` and ``labapp.cli``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from labapp.errors import LabError
from labapp.lab.broker import POLL
from labapp.lab.dead_letters import Letter, is_utf8, natural, problem_of, text
from labapp.stack.state import RABBITMQ, container_environment, is_there
from labapp.views.keys import printable

Connection: TypeAlias = Any
Channel: TypeAlias = Any
Message: TypeAlias = Any
"""kombu's and amqp's, which have no types."""
LETTERS = "dead_letters"
"""The queue in which a shop's letters are, if nothing else is said."""
READER = ".reader"
"""Ending of the queue that whoever looks at letters holds; nobody else can have it meanwhile."""
SCHEMES = ("amqp", "amqps", "pyamqp")
PORT = 5672
PATIENCE = 10.0
"""Seconds that RabbitMQ, or another reader of the same letters, may take."""
JSON_TYPE = "application/json"
PARTS = 3
"""Of a message's body: args, kwargs, and what is to be called afterwards."""
DEATH = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
"""How the names of headers begin that RabbitMQ wrote; a copy begins anew."""
HOW_TO_HAVE_ONE = (
    "`docker compose --profile rabbitmq up --detach`; one of yours: "
    f"{RABBITMQ}=amqp://USER:PASSWORD@HOST"
)


# Where it is


def address() -> str:
    """The URL of the RabbitMQ that is here now, password included.

    Raises:
        LabError: there is none, or `$LAB_RABBITMQ_URL` is no address of one.
    """
    url = container_environment().get(RABBITMQ, "")
    if not url:
        raise LabError("there is no RabbitMQ here", hint=HOW_TO_HAVE_ONE)
    where = place(url)
    if not is_there(url):
        host = where.rpartition(":")[0]
        raise LabError(f"there is no RabbitMQ here: no host {host!r}", hint=HOW_TO_HAVE_ONE)
    return url


def place(url: str) -> str:
    """HOST:PORT of a URL, which is all of it that may be shown.

    Raises:
        LabError: it is no address of a RabbitMQ.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:  # a port that is no number, half an IPv6 address
        host, port, parts = None, PORT, urlsplit("")
    if host is None or parts.scheme not in SCHEMES or not printable(host) == host:
        raise LabError(
            f"{RABBITMQ} is no address of a RabbitMQ",
            hint="it reads amqp://USER:PASSWORD@HOST:PORT/VIRTUAL-HOST",
        )
    return f"{host}:{port}"


def connect(url: str) -> Connection:
    """A connection on which publishing waits until RabbitMQ has confirmed it."""
    import kombu

    options = {"confirm_publish": True, "read_timeout": PATIENCE, "write_timeout": PATIENCE}
    connecting: Any = kombu  # without types
    connection: Connection = connecting.Connection(
        url, connect_timeout=PATIENCE, transport_options=options
    )
    try:
        connection.connect()
    except BaseException:
        connection.release()
        raise
    return connection


@contextmanager
def answering(url: str, queue: str = "") -> Iterator[None]:
    """What RabbitMQ refuses, or does not answer, told in one line.

    Args:
        url: its address.
        queue: which one is asked for.
    """
    from amqp import exceptions as amqp  # type: ignore[import-untyped]
    from kombu.exceptions import OperationalError

    where = place(url)
    try:
        yield
    except amqp.NotFound as error:
        raise LabError(
            f"RabbitMQ has no queue {queue!r}",
            hint="a worker declares it; `--queue NAME` names another one of letters",
        ) from error
    except amqp.AccessRefused as error:
        raise LabError(
            f"RabbitMQ at {where} refuses this user or password",
            hint=f"look at {RABBITMQ}, and at the user's rights in that virtual host",
        ) from error
    except amqp.NotAllowed as error:
        raise LabError(
            f"RabbitMQ at {where} has no such virtual host for this user",
            hint=f"{RABBITMQ} ends with it; `//` is the usual one",
        ) from error
    except (amqp.AMQPError, amqp.MessageNacked, OperationalError, OSError) as error:
        raise LabError(
            f"RabbitMQ at {where} does not answer ({type(error).__name__})",
            hint="look whether it runs, and whether the port is RabbitMQ's",
        ) from error


# Messages as letters


def letter(name: str, properties: Mapping[str, Any], body: bytes) -> Letter:
    """A message as a letter; one that is none says what it lacks.

    Args:
        name: its place in the queue, by which it goes if it has no id.
        properties: AMQP's, with ``application_headers``.
        body: as it came.
    """
    shown = text(body) if isinstance(body, bytes) else body
    headers = properties.get("application_headers") or {}
    raw = json.dumps({**properties, "body": shown}, default=str, sort_keys=True)
    told, problem = content(properties, shown)
    death = last_death(headers)
    if death is None:
        problem = problem or "it has no 'x-death': no queue has passed it on"
    if problem or death is None:
        return Letter(name, raw, problem=problem)
    whole = {
        "id": headers.get("id", ""),
        "task": headers.get("task", ""),
        "args": told[0],
        "kwargs": told[1],
        "error": why(death, headers),
        "queue": death.get("queue", ""),
    }
    if problem := problem_of(whole):
        return Letter(name, raw, problem=problem)
    return Letter(whole["id"], raw, **{**whole, "args": tuple(told[0])})


def content(properties: Mapping[str, Any], shown: str) -> tuple[list[Any], str]:
    """Arguments, keyword arguments and the rest of Celery's message; or why it is none."""
    kind = properties.get("content_type")
    if kind != JSON_TYPE:  # a pickle, say, which nobody must open here
        return [], f"its content is {printable(str(kind))}, not JSON"
    if not is_utf8(shown):
        return [], "it is no UTF-8"
    try:
        told = json.loads(shown)
    except (ValueError, RecursionError):
        return [], "it is no JSON"
    if not isinstance(told, list) or len(told) != PARTS:
        return [], "it is no message of Celery's"
    return told, ""


def last_death(headers: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What RabbitMQ says of the last queue that passed it on: the first entry of ``x-death``."""
    deaths = headers.get("x-death")
    found = deaths[0] if isinstance(deaths, list) and deaths else None
    return found if isinstance(found, Mapping) else None


def why(death: Mapping[str, Any], headers: Mapping[str, Any]) -> str:
    """RabbitMQ's reason, in its own word, and Celery's count of retries where there were any.

    What the task raised stands in no message: it is in the worker's log, and with the result."""
    reason, retries = str(death.get("reason", "?")), headers.get("retries")
    if not isinstance(retries, int) or retries < 1:
        return reason
    return f"{reason} after {retries} {'retry' if retries == 1 else 'retries'}"


def copy_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a message with the same task id and none of its past: no retries used up,
    to run now, and never in any dead-letter exchange."""
    headers = {
        name: value
        for name, value in (properties.get("application_headers") or {}).items()
        if not name.startswith(DEATH)
    }
    fresh = {**headers, "retries": 0, "eta": None, "expires": None}
    kept = {name: value for name, value in properties.items() if name != "expiration"}
    return {**kept, "application_headers": fresh, "delivery_mode": 2}


def named(letters: Iterable[Letter]) -> list[Letter]:
    """The letters, each with a name of its own: a replay that was killed may leave two of an id."""
    from dataclasses import replace

    seen: dict[str, int] = {}
    found = []
    for one in letters:
        seen[one.name] = seen.get(one.name, 0) + 1
        times = seen[one.name]
        found.append(one if times == 1 else replace(one, name=f"{one.name}#{times}"))
    return found


# The store


@dataclass(slots=True)
class Held:
    """A letter that has been fetched and not yet given back."""

    one: Letter
    message: Message


class OnRabbitMQ:
    """The letters of one queue.

    While it is open it has fetched them all, so that nobody else moves them, and whoever else
    wants to look waits; at its end those that are left go back where they were.  A reader that is
    killed leaves them all: RabbitMQ gives back what its connection held.

    Args:
        queue: where the letters are.
        url: RabbitMQ's; by default what `address` says when it is opened.
    """

    def __init__(self, queue: str = LETTERS, url: str = "") -> None:
        self.queue = queue
        self._url = url
        self._held: list[Held] | None = None
        self._returned: list[str] = []

    def __enter__(self) -> OnRabbitMQ:
        self._url = self._url or address()
        with answering(self._url, self.queue):
            self._connection = connect(self._url)
        try:
            with answering(self._url, self.queue):
                self._channel = self._only_reader()
        except BaseException:
            self._connection.release()
            raise
        return self

    def _only_reader(self) -> Channel:
        """A channel of the connection that alone may look at these letters.

        Raises:
            LabError: somebody else does, for long.
        """
        from amqp import ResourceLocked

        deadline = time.monotonic() + PATIENCE
        while True:
            channel = self._connection.channel()
            channel.auto_decode = False
            channel.queue_declare(self.queue, passive=True)
            try:
                channel.queue_declare(
                    self.queue + READER, exclusive=True, arguments={"x-queue-type": "classic"}
                )
            except ResourceLocked:
                if time.monotonic() > deadline:
                    raise LabError(
                        f"somebody else is looking at the letters of {self.queue!r}",
                        hint="again, when they have finished",
                    ) from None
                time.sleep(POLL)
                continue
            channel.events["basic_return"].add(self._on_return)
            return channel

    def _on_return(self, _error: Any, _exchange: str, key: str, _message: Message) -> None:
        """What no queue wanted; RabbitMQ says so before it confirms."""
        self._returned.append(key)

    def __exit__(self, *_: object) -> None:
        """Give back what is held, and wait until it is back."""
        try:
            with suppress(LabError), answering(self._url, self.queue):
                self._channel.basic_recover(requeue=True)
                # answered by the queue after all that it was told before
                self._channel.queue_declare(self.queue, passive=True)
        finally:
            self._held = None
            with suppress(Exception):  # it may be closed already
                self._connection.release()

    def read(self) -> list[Letter]:
        """Every message of the queue, by order as on Redis: who is dead-lettered first is chance.

        Raises:
            LabError: RabbitMQ does not answer, or the queue is gone.
        """
        if self._held is None:
            with answering(self._url, self.queue):
                messages = list(self._fetched())
            found = named(
                letter(f"#{place}", one.properties, one.body)
                for place, one in enumerate(messages, start=1)
            )
            self._held = [Held(*both) for both in zip(found, messages, strict=True)]
            self._held.sort(key=lambda held: (natural(held.one.key), held.one.name))
        return [held.one for held in self._held]

    def _fetched(self) -> Iterator[Message]:
        while (message := self._channel.basic_get(self.queue, no_ack=False)) is not None:
            yield message

    def send_again(self, one: Letter) -> bool:
        """Publish a copy of the message to the queue it comes from; once RabbitMQ has confirmed
        it, take the letter away.

        Raises:
            LabError: there is no such queue any more, or RabbitMQ does not answer; the letter
                stays.
        """
        from amqp import Message

        held = self._found(one)
        if held is None:
            return False
        old = held.message
        with answering(self._url, one.queue):
            self._returned.clear()
            copy = Message(old.body, **copy_of(old.properties))
            self._channel.basic_publish(copy, "", one.queue, mandatory=True)
        if self._returned:
            raise LabError(
                f"RabbitMQ has no queue {one.queue!r} any more, so {printable(one.key)} "
                "cannot be replayed",
                hint="start the worker that declares it, or discard the letter",
            )
        self._take(held)
        return True

    def discard(self, one: Letter) -> bool:
        """Acknowledge a letter; whether it was still there."""
        held = self._found(one)
        if held is not None:
            self._take(held)
        return held is not None

    def _found(self, one: Letter) -> Held | None:
        self.read()
        return next((held for held in self._held or () if held.one.raw == one.raw), None)

    def _take(self, held: Held) -> None:
        with answering(self._url, self.queue):
            self._channel.basic_ack(held.message.delivery_tag)
        assert self._held is not None  # noqa: S101  `_found` has read
        self._held.remove(held)
