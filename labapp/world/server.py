"""The world's process: the partner API that tasks call, and the control API of the lab.

The partner's side is ordinary HTTP: ``POST /SCOPE/charges`` with ``{"order": …}``, where the
scope is part of the address that a task is given.  The control side, behind a token, arms and
releases requests and reads the history.  One asyncio process; may depend on ``labapp.stack``
and ``labapp.errors``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from pathlib import Path
from typing import Any

from aiohttp import web

from labapp.stack.control import health, json_object, serve, token_guard
from labapp.world.journal import Journal
from labapp.world.rules import Do, Point, Rule, first_match
from labapp.world.scope import Held, Scope

MAX_WAIT = 60.0
"""Seconds that one control request may wait for a state; the client asks again."""
MAX_BODY = 64 * 1024
"""Bytes of a charge's body."""


class World:
    """State and handlers of the world.

    Args:
        journal: where effects are recorded.
        token: what control requests must carry as ``Authorization: Bearer``.
    """

    def __init__(self, journal: Journal, token: str) -> None:
        self.journal = journal
        self.token = token
        self.boot = secrets.token_hex(8)
        """Differs after a restart: the conductor sees that rules and holds are gone."""
        self.scopes: dict[str, Scope] = {}
        for record in journal.read():
            self.scope(record.scope).take(record)
            if record.kind == "effect" and record.idempotency_key:
                scope = self.scope(record.scope)
                scope.replies[record.idempotency_key] = receipt(record.key, scope.effects)

    def scope(self, name: str) -> Scope:
        """The scope of this name, made where it is new."""
        return self.scopes.setdefault(name, Scope(name))

    def record(self, scope: Scope, kind: str, key: str, idempotency_key: str = "") -> None:
        """Journal one record, then take it into memory."""
        scope.take(self.journal.append(scope.name, kind, key, idempotency_key))

    # The partner's side

    async def post_charge(self, request: web.Request) -> web.StreamResponse:
        """``POST /SCOPE/charges``: charge an order once more, or replay by Idempotency-Key."""
        key = await order_of(request)
        scope = self.scope(request.match_info["scope"])
        scope.open += 1
        try:
            self.record(scope, "attempt", key)
            return await self._charge(scope, request, key)
        finally:
            scope.open -= 1
            scope.notify()

    async def _charge(self, scope: Scope, request: web.Request, key: str) -> web.StreamResponse:
        token = request.headers.get("Idempotency-Key", "")
        ending = await self._apply(scope, request, key, Point.BEFORE)
        if ending is not None:
            return ending
        if token and token in scope.replies:
            self.record(scope, "replayed", key, token)
            answer = web.json_response(scope.replies[token], headers={"Idempotent-Replayed": "1"})
        else:
            self.record(scope, "effect", key, token)
            body = receipt(key, scope.effects)
            if token:
                scope.replies[token] = body
            answer = web.json_response(body, status=201)
        ending = await self._apply(scope, request, key, Point.AFTER)
        if ending is not None:
            return ending
        self.record(scope, "answered", key)
        return answer

    async def _apply(
        self, scope: Scope, request: web.Request, key: str, point: Point
    ) -> web.StreamResponse | None:
        """Apply the rule that matches here; ``None`` where the request goes on as usual."""
        number = scope.effects + (point is Point.BEFORE)
        rule = first_match(scope.rules, point, key, number)
        if rule is None:
            return None
        if rule.do is Do.DROP:
            return drop(request)
        if rule.do is Do.ANSWER:
            await asyncio.sleep(rule.delay)
            return refusal(rule) if rule.status else None
        recorded = point is Point.AFTER
        ending = await self._hold(scope, scope.hold(key, recorded, client_of(request)))
        return drop(request) if ending is Do.DROP else None

    async def _hold(self, scope: Scope, held: Held) -> Do:
        try:
            return await held.ending
        finally:  # also where the client is gone: aiohttp cancels, and nothing is recorded
            scope.let_go(held)

    # The control side

    async def get_scope(self, request: web.Request) -> web.StreamResponse:
        """``GET /control/scopes/SCOPE?since=N``: history, holds, rules."""
        scope = self.scope(request.match_info["scope"])
        return self._answer(scope, int(request.query.get("since", "0")))

    async def put_rules(self, request: web.Request) -> web.StreamResponse:
        """``PUT /control/scopes/SCOPE/rules``: arm these rules in place of the old ones."""
        scope = self.scope(request.match_info["scope"])
        rules = await request.json()
        if not isinstance(rules, list):
            raise TypeError("rules are a list")
        scope.rules = [Rule.from_json(rule) for rule in rules]
        return self._answer(scope)

    async def wait(self, request: web.Request) -> web.StreamResponse:
        """``POST …/wait`` ``{"held": k, "timeout": s}``: until k requests are held or time is up.

        With ``"quiet": true`` also until no request is open."""
        scope = self.scope(request.match_info["scope"])
        body = await json_object(request)
        wanted = int(body.get("held", 0))
        quiet = bool(body.get("quiet", False))
        await scope.wait(
            lambda s: (bool(wanted) and len(s.held) >= wanted) or (quiet and not s.open),
            min(float(body["timeout"]), MAX_WAIT),
        )
        return self._answer(scope)

    async def release(self, request: web.Request) -> web.StreamResponse:
        """``POST …/release`` ``{"ids": […], "ending": "answer"|"drop"}``."""
        scope = self.scope(request.match_info["scope"])
        body = await json_object(request)
        scope.release([int(i) for i in body.get("ids", [])], Do(body["ending"]))
        return self._answer(scope)

    def _answer(self, scope: Scope, since: int = 0) -> web.Response:
        return web.json_response({"boot": self.boot, **scope.to_json(since)})

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""
        app = web.Application(
            middlewares=[token_guard(self.token, "/control/")], client_max_size=MAX_BODY
        )
        control = "/control/scopes/{scope}"
        app.add_routes(
            [
                web.get("/health", health),
                web.get(control, self.get_scope),
                web.put(control + "/rules", self.put_rules),
                web.post(control + "/wait", self.wait),
                web.post(control + "/release", self.release),
                web.post("/{scope}/charges", self.post_charge),
            ]
        )
        return app


async def order_of(request: web.Request) -> str:
    """The business key of a charge.  Raises ValueError where the body has none."""
    try:
        body: Any = await request.json()
    except (ValueError, LookupError, RecursionError):  # no JSON, no such charset, nested too deep
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("order"), str) or not body["order"]:
        raise ValueError('a charge is a JSON object with an "order", e.g. {"order": "order-1"}')
    return str(body["order"])


def receipt(key: str, number: int) -> dict[str, Any]:
    """What the partner answers to a charge."""
    return {"charge": number, "order": key, "status": "charged"}


def client_of(request: web.Request) -> str:
    """``host:port`` of the caller's end of the connection."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return f"{peer[0]}:{peer[1]}" if peer else ""


def drop(request: web.Request) -> web.Response:
    """Close the connection at once, without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # never sent: the transport is closed


def refusal(rule: Rule) -> web.Response:
    """The error answer that a rule asks for."""
    headers = {"Retry-After": str(rule.retry_after)} if rule.retry_after else {}
    return web.json_response({"error": "refused"}, status=rule.status, headers=headers)


def main(host: str, port: int, history: Path, token: str) -> None:
    """Serve the world until SIGTERM or SIGINT.

    Args:
        host: address to listen on.
        port: TCP port.
        history: the journal's file.
        token: control token.

    Raises:
        LabError: the port is taken, or the journal cannot be written.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    world = World(Journal(history), token)
    serve(world.application(), host, port, "world")
