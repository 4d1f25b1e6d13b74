"""A link leaves no connection to the broker behind, whenever it is closed."""

from __future__ import annotations

import asyncio

import pytest

from labapp.node.link import Link, Way

PATIENCE = 10.0
"""Seconds."""
TURNS = 12
"""Of the loop, within which a closed connection is taken down on both sides."""


async def closed_after(turns: int, *, cut: bool) -> bytes:
    """What the broker reads to the end of its connection, where the worker ends and, so many turns
    of the loop later, the link is closed or cut."""
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put((reader, writer))

    broker = await asyncio.start_server(accept, "127.0.0.1", 0)
    link = Link("127.0.0.1", broker.sockets[0].getsockname()[1], lease="a lease")
    _, worker = await asyncio.open_connection("127.0.0.1", await link.open())
    worker.write(b"BRPOP")
    from_worker, back = await asyncio.wait_for(accepted.get(), PATIENCE)
    said = await from_worker.readexactly(5)

    worker.transport.abort()
    for _ in range(turns):
        await asyncio.sleep(0)
    await (link.be(Way.CUT) if cut else link.close())
    try:
        return said + await asyncio.wait_for(from_worker.read(), PATIENCE)
    finally:
        back.transport.abort()
        broker.close()
        await link.close()
        await asyncio.sleep(0)  # for what was aborted to be closed


@pytest.mark.parametrize("cut", [False, True], ids=["closed", "cut"])
@pytest.mark.parametrize("turns", range(TURNS))
def test_a_workers_connection_ends_at_the_broker_too(turns: int, cut: bool) -> None:
    """A BRPOP that stayed there would take the next run's first message, and lose it."""
    assert asyncio.run(closed_after(turns, cut=cut)) == b"BRPOP"
