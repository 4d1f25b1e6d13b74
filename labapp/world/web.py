"""What the world's HTTP handlers share: who calls, and how a fault looks to the caller.

Used by ``labapp.world.server`` and ``labapp.world.files``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from labapp.world.kinds import Kind
from labapp.world.ledger import Ended, Visit
from labapp.world.scope import Scope

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def visit_of(request: web.Request, scope: Scope, kind: Kind, key: str) -> Visit:
    """This request as a visit of its scope."""
    return Visit(scope, kind, key, client_of(request), server_port_of(request))


def client_of(request: web.Request) -> str:
    """``host:port`` of the caller's end of the connection."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return f"{peer[0]}:{peer[1]}" if peer else ""


def server_port_of(request: web.Request) -> int:
    """TCP port of the world's own end of the connection."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return int(name[1]) if name else 0


def faulty(handler: Handler) -> Handler:
    """The handler, with a fault that ends the request turned into what its caller sees."""

    async def handled(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Ended as ended:
            return refusal(ended) if ended.status else drop(request)

    return handled


def drop(request: web.Request) -> web.Response:
    """Close the connection at once, without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # never sent: the transport is closed


def refusal(ended: Ended) -> web.Response:
    """The error answer that a fault asks for."""
    headers = {"Retry-After": str(ended.retry_after)} if ended.retry_after else {}
    return web.json_response({"error": "refused"}, status=ended.status, headers=headers)
