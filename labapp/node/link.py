"""The link between a worker and its broker, where an experiment is about that link.

A TCP relay in the node: bytes pass in both directions, later by a delay; it can be cut (connections
closed, new ones refused) or stalled (connections stay, nothing passes) and mended again.  Runs that
are not about the link have none.  Used by ``labapp.node.server``; depends on ``labapp.stack.ports``
only.
"""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum

from labapp.stack.ports import LOOPBACK

PIECE = 65536
"""Bytes read at a time."""


class Way(StrEnum):
    """How the link is."""

    OPEN = "open"
    CUT = "cut"
    STALLED = "stalled"


class Link:
    """A second address of a broker.

    Args:
        host: where the broker is.
        port: its port.
        lease: whose end is its end.
    """

    def __init__(self, host: str, port: int, lease: str) -> None:
        self.lease = lease
        self.delay = 0.0
        """Seconds by which each piece of data comes later, in each direction."""
        self._target = (host, port)
        self._way = Way.OPEN
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._pairs: dict[asyncio.Task[None], str] = {}
        """Running connections, each with its address as the broker sees it."""

    async def open(self) -> int:
        """Listen; the port on loopback."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def be(self, way: Way) -> list[str]:
        """Cut, stall or mend it; addresses (``host:port``) of the connections that this hit."""
        self._way = way
        hit = [address for address in self._pairs.values() if address]
        if way is Way.STALLED:
            self._passing.clear()
        else:
            self._passing.set()
        if way is Way.CUT:
            await self._close_pairs()
        return hit

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._way is Way.CUT or task is None:
            writer.transport.abort()
            return
        self._pairs[task] = ""
        try:
            await self._join(task, reader, writer)
        except OSError:  # the broker is away: the worker sees a connection that closes
            pass
        finally:
            writer.transport.abort()
            self._pairs.pop(task, None)

    async def _join(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        from_broker, to_broker = await asyncio.open_connection(*self._target)
        host, port = to_broker.get_extra_info("sockname")[:2]
        self._pairs[task] = f"{host}:{port}"
        there = asyncio.create_task(self._pass(reader, to_broker))
        back = asyncio.create_task(self._pass(from_broker, writer))
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        finally:
            # First: whoever is cancelled at an await in here does not come to what is behind it.
            # A BRPOP that is left at the broker takes the next run's first message, and loses it.
            to_broker.transport.abort()
            for direction in (there, back):
                direction.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass data on, in order, each piece ``delay`` seconds after it came.

        A stalled link holds what has come; the next piece waits behind it."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                due = loop.time() + self.delay
                await self._passing.wait()
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                sink.write(piece)
                await sink.drain()

    async def _close_pairs(self) -> None:
        pairs = list(self._pairs)
        for task in pairs:
            task.cancel()
        await asyncio.gather(*pairs, return_exceptions=True)

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self._way = Way.CUT
        if self._server is not None:
            self._server.close()
        await self._close_pairs()
