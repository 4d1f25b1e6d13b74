"""A way to the broker that can break: answers get lost on it, or it is closed.

A TCP relay on loopback, in threads of the calling process, so that it ends with it.  It reads what
goes to the broker command by command: a message reaches its queue by ``LPUSH``
(kombu/transport/redis.py, ``Channel._put``), and only the answers to that can be lost.  The broker
itself is not touched, and others who use it notice nothing.  May depend on ``labapp.stack`` and
``labapp.errors``; used by ``labapp.lab``.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from urllib.parse import urlsplit

from labapp.lab.broker import POLL
from labapp.stack.ports import LOOPBACK

PIECE = 65536
"""Bytes read at a time."""
PUBLISHES = b"LPUSH"
"""The command that puts a message into its queue."""
CONNECT_SECONDS = 10.0


class Way(StrEnum):
    """How the way to the broker is."""

    OPEN = "open"
    """Everything passes."""
    LOSSY = "lossy"
    """A publish reaches the broker, and nothing comes back on its connection from then on."""
    CLOSED = "closed"
    """Every connection is closed at once; nothing reaches the broker."""


class Relay:
    """A second address of the broker, whose way there can break.

    Args:
        url: the broker's own address.
    """

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._target = (where.hostname or LOOPBACK, where.port or 6379)
        self._listener = socket.create_server((LOOPBACK, 0))
        login, at, _ = where.netloc.rpartition("@")
        port = self._listener.getsockname()[1]
        self.url = where._replace(netloc=f"{login}{at}{LOOPBACK}:{port}").geturl()
        """The address through the relay, password and database included."""
        self.way = Way.OPEN
        self.swallowed = 0
        """How many publishes the broker has answered whose answers were lost."""
        self._links: set[Link] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, name="lab-relay", daemon=True)
        self._thread.start()

    @contextmanager
    def being(self, way: Way) -> Iterator[Relay]:
        """The way is this inside; open, and every connection new, afterwards."""
        self._set(way)
        try:
            yield self
        finally:
            self._set(Way.OPEN)

    def _set(self, way: Way) -> None:
        self.way = way
        if way is not Way.LOSSY:
            self._cut()

    def wait_swallowed(self, count: int = 1, seconds: float = 5.0) -> bool:
        """Wait until this many publishes are in the broker without their sender knowing.

        False where they did not come within ``seconds``."""
        deadline = time.monotonic() + seconds
        while self.swallowed < count and time.monotonic() < deadline:
            time.sleep(POLL)
        return self.swallowed >= count

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            if self.way is Way.CLOSED:
                client.close()
            else:
                self._link(client)

    def _link(self, client: socket.socket) -> None:
        try:
            broker = socket.create_connection(self._target, CONNECT_SECONDS)
        except OSError:
            client.close()
            return
        broker.settimeout(None)
        with self._lock:
            link = Link(client, broker, self)
            self._links.add(link)

    def lost_an_answer(self) -> None:
        """Count one; called by a link."""
        with self._lock:
            self.swallowed += 1

    def _cut(self) -> None:
        """Close every connection."""
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            link.close()

    def close(self) -> None:
        """Stop listening, close every connection, and wait for the threads."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self._cut()


class Link:
    """One connection through the relay: a thread for each direction.

    Args:
        client: the connection from whoever uses the relay.
        broker: the connection to the broker.
        relay: whose way decides what passes.
    """

    def __init__(self, client: socket.socket, broker: socket.socket, relay: Relay) -> None:
        self._client, self._broker, self._relay = client, broker, relay
        self._deaf = False
        """Whether nothing goes back to the client any more."""
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name="lab-relay", daemon=True)
            for work in (self._there, self._back)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            work()
        self._hang_up()

    def _there(self) -> None:
        """Client to broker, command by command."""
        buffer = bytearray()
        while piece := self._client.recv(PIECE):
            buffer += piece
            for raw, name in commands(buffer):
                if name == PUBLISHES and self._relay.way is Way.LOSSY:
                    self._deaf = True
                self._broker.sendall(raw)

    def _back(self) -> None:
        """Broker to client; nothing, once a publish was to be lost."""
        counted = False
        while piece := self._broker.recv(PIECE):
            if not self._deaf:
                self._client.sendall(piece)
            elif not counted:
                counted = True
                self._relay.lost_an_answer()

    def _hang_up(self) -> None:
        """Close both ends; the other thread then finds its own closed."""
        for end in (self._client, self._broker):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close both ends and wait for the threads."""
        self._hang_up()
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._broker.close()


def commands(buffer: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """Take every whole command off the buffer's front: its bytes, and its name in capitals.

    What does not look like Redis's protocol (RESP: ``*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\na\\r\\n``)
    is passed on as it is, without a name."""
    while buffer:
        end, name = measure(bytes(buffer))
        if not end:
            return
        raw = bytes(buffer[:end])
        del buffer[:end]
        yield raw, name


def measure(data: bytes) -> tuple[int, bytes]:
    """Length and name of the first command in the data; 0 where it is not whole yet."""
    if not data.startswith(b"*"):
        return len(data), b""
    position = data.find(b"\r\n") + 2
    if position < 2:
        return 0, b""
    name = b""
    try:
        for number in range(int(data[1 : position - 2])):
            line = data.find(b"\r\n", position) + 2
            if line < 2:
                return 0, b""
            size = int(data[position + 1 : line - 2])
            position = line + size + 2
            if not number:
                name = data[line : line + size].upper()
    except ValueError:
        return len(data), b""
    return (position, name) if position <= len(data) else (0, b"")
