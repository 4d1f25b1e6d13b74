"""What the broker saw, step by step: queued, fetched, acknowledged, redelivered, rejected.

Redis MONITOR shows every command; kombu's Redis transport makes each step a recognisable one
(kombu/transport/redis.py).  Exact, and within noise for the worker; only for runs that ask for a
drawing.  Used by ``labapp.lab.conductor``.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from labapp.checker.history import Step
from labapp.lab.broker import eta_seconds, unreachable

CONNECT_SECONDS = 10.0
LINE = re.compile(r'\+(?P<at>[\d.]+) \[(?P<db>\d+) (?P<client>\S+)\] (?P<rest>".*)')
ARGUMENT = re.compile(r'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")
ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b"}


@dataclass(frozen=True, slots=True)
class Command:
    """One line of MONITOR.

    Args:
        at: seconds since the epoch, by the broker's clock.
        db: database number.
        client: address of the connection.
        name: the command, in capitals.
        arguments: its arguments.
    """

    at: float
    db: int
    client: str
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """One step of one message; ``at`` in seconds since the epoch, by the broker's clock.

    ``client``: address of the connection that asked for it.  Of a message that went into a queue
    also ``tag``, its delivery tag, ``again``, whether its header says ``redelivered``, and
    ``wait``, seconds until it may run, as its header ``eta`` says; 0 for none."""

    at: float
    task_id: str
    step: Step
    client: str
    tag: str = ""
    again: bool = False
    wait: float = 0.0


def parse(line: str) -> Command | None:
    """A line of MONITOR's output; None for anything else (its first answer, a script's lines)."""
    match = LINE.fullmatch(line.strip())
    if match is None:
        return None
    name, *arguments = [unescaped(text) for text in ARGUMENT.findall(match["rest"])]
    return Command(
        float(match["at"]), int(match["db"]), match["client"], name.upper(), tuple(arguments)
    )


def unescaped(text: str) -> str:
    """The text behind Redis's quoting (sdscatrepr: quotes, backslashes, control codes, bytes)."""

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if code.startswith("x") and len(code) == 3:
            return chr(int(code[1:], 16))
        return ESCAPED.get(code, code)

    return ESCAPE.sub(plain, text)


@dataclass(slots=True)
class Steps:
    """Turns commands into steps; keeps which task a delivery tag belongs to."""

    tasks: dict[str, str] = field(default_factory=dict)
    _removed: dict[str, Seen] = field(default_factory=dict)
    """By client: a message just taken out of ``unacked``; the next command says what for."""

    def feed(self, command: Command) -> Iterator[Seen]:
        """The steps that this command completes."""
        removed = self._removed.pop(command.client, None)
        pushed = command.name in ("LPUSH", "RPUSH") and self._message(command.arguments[-1])
        if removed is not None:
            step: Step = "acknowledged"
            if pushed:
                step = "redelivered" if command.name == "RPUSH" else "rejected"
            yield replace(removed, step=step, **delivery(command) if pushed else {})
        elif pushed:
            yield Seen(command.at, pushed, "queued", command.client, **delivery(command))
        yield from self._unacked(command)

    def _unacked(self, command: Command) -> Iterator[Seen]:
        if not command.arguments or command.arguments[0] != "unacked":
            return
        if command.name == "HSET":
            tag, payload = command.arguments[1:3]
            if task_id := self._message(json.dumps(json.loads(payload)[0])):
                self.tasks[tag] = task_id
                yield Seen(command.at, task_id, "fetched", command.client)
        elif command.name == "HDEL":
            task_id = self.tasks.get(command.arguments[1], "")
            if task_id:
                seen = Seen(command.at, task_id, "acknowledged", command.client)
                self._removed[command.client] = seen

    def _message(self, payload: str) -> str:
        """The task id of a message; empty where it is none (an answer to ``inspect``)."""
        try:
            message: Any = json.loads(payload)
            task_id = message["headers"]["id"]
            self.tasks[message["properties"]["delivery_tag"]] = str(task_id)
            return str(task_id)
        except (ValueError, KeyError, TypeError):
            return ""


def delivery(command: Command) -> dict[str, Any]:
    """What a message that is pushed says of its delivery."""
    message = json.loads(command.arguments[-1])
    headers = message["headers"]
    due = eta_seconds(headers.get("eta"))
    return {
        "tag": str(message["properties"]["delivery_tag"]),
        "again": bool(headers.get("redelivered")),
        "wait": max(0.0, due - command.at) if due else 0.0,
    }


class Monitor:
    """Listens to one database from now until ``stop``.

    Args:
        url: the broker's address, with password and database.

    Raises:
        Gone: the broker does not answer.
    """

    def __init__(self, url: str) -> None:
        self._where = urlsplit(url)
        self._db = int(self._where.path.strip("/") or 0)
        self._lines: deque[str] = deque()
        self._connect()

    def _connect(self) -> None:
        where = self._where
        try:
            self._socket = socket.create_connection(
                (where.hostname or "127.0.0.1", where.port or 6379), CONNECT_SECONDS
            )
            self._stream = self._socket.makefile("r", encoding="latin-1", newline="\r\n")
            self._greet(unquote(where.password or ""))
        except OSError as error:
            raise unreachable(error) from error
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._listen, name="lab-monitor", daemon=True)
        self._thread.start()

    def listen_again(self) -> None:
        """Listen to a broker that was killed and started again.

        Raises:
            Gone: the broker does not answer.
        """
        self._hang_up()
        self._connect()

    def _greet(self, password: str) -> None:
        words = [["AUTH", password]] if password else []
        for command in (*words, ["MONITOR"]):
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in command)
            self._socket.sendall(f"*{len(command)}\r\n{parts}".encode())
            if not (answer := self._stream.readline()).startswith("+"):
                raise ConnectionError(answer.strip() or "the broker closed the connection")

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._stream:  # one by one: `take` may take them meanwhile
                self._lines.append(line)

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._stream.close()
        self._socket.close()

    def take(self) -> Iterator[Command]:
        """The commands of this database that came since the last call, in order."""
        while self._lines:
            command = parse(self._lines.popleft())
            if command is not None and command.db == self._db:
                yield command

    def stop(self) -> list[Seen]:
        """Stop listening; every step seen, in order.  Steps are worked out here, not on the way."""
        self._hang_up()
        steps = Steps()
        return [seen for command in self.take() for seen in steps.feed(command)]
