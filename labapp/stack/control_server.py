"""What the world's and the nodes' control APIs share on their side: serving, and the token.

A control request carries the stack's token; without it nothing can be armed, started or killed.
May depend on ``labapp.errors`` only; used by ``labapp.world`` and ``labapp.node``.  Apart from the
client (``labapp.stack.control``), since a notebook's kernel needs no web server.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from labapp.errors import LabError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPEN_PATHS = ("/health",)
"""Control paths that answer without the token: they say nothing but that the service is up."""

log = logging.getLogger(__name__)


def token_guard(token: str, prefix: str) -> Any:
    """Middleware: requests below ``prefix`` need the token; bad input becomes one clear line."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(prefix) and request.path not in OPEN_PATHS:
            given = request.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                return web.json_response({"error": "the control token is missing"}, status=401)
        try:
            return await handler(request)
        except LabError as error:
            return web.json_response({"error": error.message, "hint": error.hint}, status=409)
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": f"bad request: {error}"}, status=422)
        except OSError as error:
            log.error("%s %s: %s", request.method, request.path, error)
            return web.json_response({"error": f"not done: {error.strerror}"}, status=507)

    return guarded


async def json_object(request: web.Request) -> dict[str, Any]:
    """The request's body; none counts as empty.  Raises ValueError or TypeError for another."""
    body = await request.json() if request.can_read_body else {}
    if not isinstance(body, dict):
        raise TypeError("a JSON object is wanted")
    return body


async def health(request: web.Request) -> web.StreamResponse:
    """``GET /health``: 200 as soon as requests are served."""
    return web.json_response({"ok": True})


def serve(app: web.Application, host: str, port: int, name: str) -> None:
    """Run one aiohttp application until SIGTERM; a client that goes away cancels its handler.

    Raises:
        LabError: the port is taken.
    """
    try:
        web.run_app(
            app,
            host=host,
            port=port,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=0.2,
            print=None,
        )
    except OSError as error:
        raise LabError(
            f"the {name} cannot listen on {host}:{port}: {error.strerror}",
            hint="another program has the port; choose another with --port",
        ) from error
