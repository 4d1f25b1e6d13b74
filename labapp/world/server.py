"""The world's process: the servers that tasks call, and the control API of the lab.

The partner's side is ordinary HTTP and SMTP: ``POST /SCOPE/charges`` with ``{"order": …}``,
``PUT`` and ``MOVE /SCOPE/files/NAME``, and mail (``labapp.world.mailbox``); the scope is part of
the address that a task is given.  The control side, behind a token, arms and releases requests and
reads the history.  One asyncio process; may depend on ``labapp.stack`` and ``labapp.errors``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

from labapp.stack.control_server import health, json_object, serve, token_guard
from labapp.world.files import Files
from labapp.world.journal import Journal
from labapp.world.kinds import Kind
from labapp.world.ledger import Ledger, Visit, receipt
from labapp.world.mailbox import Mailbox, receiving, text
from labapp.world.rules import Do, Point, Rule
from labapp.world.scope import Scope
from labapp.world.store import Store
from labapp.world.tidy import tidy
from labapp.world.web import faulty, visit_of

MAX_WAIT = 60.0
"""Seconds that one control request may wait for a state; the client asks again."""
MAX_BODY = 64 * 1024
"""Bytes of a charge's body."""


class World:
    """State and handlers of the world.

    Args:
        journal: where effects are recorded.
        store: where mails and files lie.
        token: what control requests must carry as ``Authorization: Bearer``.
    """

    def __init__(self, journal: Journal, store: Store, token: str) -> None:
        self.token = token
        self.store = store
        self.ledger = Ledger(journal)
        self.files = Files(self.ledger, store)
        self.mailbox = Mailbox(self.ledger, store)

    def scope(self, request: web.Request) -> Scope:
        """The scope that a request names."""
        return self.ledger.scope(request.match_info["scope"])

    # The partner's side

    async def post_charge(self, request: web.Request) -> web.StreamResponse:
        """``POST /SCOPE/charges``: charge an order once more, or replay by Idempotency-Key."""
        key = await order_of(request)
        visit = visit_of(request, self.scope(request), Kind.CHARGE, key)
        with self.ledger.open(visit):
            await self.ledger.passing(visit, Point.BEFORE)
            answer = self._charge(visit, request.headers.get("Idempotency-Key", ""))
            await self.ledger.passing(visit, Point.AFTER)
            self.ledger.record(visit, "answered")
            return answer

    def _charge(self, visit: Visit, token: str) -> web.Response:
        scope = visit.scope
        if token and token in scope.replies:
            self.ledger.record(visit, "replayed", idempotency_key=token)
            return web.json_response(scope.replies[token], headers={"Idempotent-Replayed": "1"})
        self.ledger.record(visit, "effect", idempotency_key=token)
        return web.json_response(receipt(visit.key, scope.effects(Kind.CHARGE)), status=201)

    # The control side

    async def get_scope(self, request: web.Request) -> web.StreamResponse:
        """``GET /control/scopes/SCOPE?since=N``: history, holds, rules."""
        scope = self.scope(request)
        return self._answer(scope, int(request.query.get("since", "0")))

    async def put_rules(self, request: web.Request) -> web.StreamResponse:
        """``PUT /control/scopes/SCOPE/rules``: arm these rules in place of the old ones."""
        scope = self.scope(request)
        rules = await request.json()
        if not isinstance(rules, list):
            raise TypeError("rules are a list")
        scope.rules = [Rule.from_json(rule) for rule in rules]
        return self._answer(scope)

    async def wait(self, request: web.Request) -> web.StreamResponse:
        """``POST …/wait`` ``{"held": k, "timeout": s}``: until k requests are held or time is up.

        With ``"quiet": true`` also until no request is open."""
        scope = self.scope(request)
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
        scope = self.scope(request)
        body = await json_object(request)
        scope.release([int(i) for i in body.get("ids", [])], Do(body["ending"]))
        return self._answer(scope)

    async def get_mails(self, request: web.Request) -> web.StreamResponse:
        """``GET /control/scopes/SCOPE/mails``: headers of the mails stored, in order."""
        scope = self.scope(request)
        mails = [r for r in scope.records if r.kind == "effect" and r.what == Kind.MAIL]
        found = ((mail.key, self.store.mail(scope.name, mail.name)) for mail in mails)
        headers = {"sender": "From", "recipients": "To", "subject": "Subject"}
        headers["message_id"] = "Message-ID"
        return web.json_response(
            [{"key": k} | {f: text(m[h]) for f, h in headers.items()} for k, m in found]
        )

    def _answer(self, scope: Scope, since: int = 0) -> web.Response:
        return web.json_response({"boot": self.ledger.boot, **scope.to_json(since)})

    def application(self, host: str = "", smtp_port: int = 0) -> web.Application:
        """The aiohttp application with all routes; with a port, mail is taken there as well."""
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
                web.get(control + "/files", self.files.list),
                web.get(control + "/mails", self.get_mails),
                web.post("/{scope}/charges", faulty(self.post_charge)),
                web.put("/{scope}/files/{name:.*}", faulty(self.files.put)),
                web.route("MOVE", "/{scope}/files/{name:.*}", faulty(self.files.move)),
                web.get("/{scope}/files/{name:.*}", self.files.get),
            ]
        )
        if smtp_port:
            app.cleanup_ctx.append(self._taking_mail(host, smtp_port))
        return app

    def _taking_mail(self, host: str, port: int) -> Any:
        async def taking(_: web.Application) -> AsyncIterator[None]:
            async with receiving(self.mailbox, host, port):
                yield

        return taking


async def order_of(request: web.Request) -> str:
    """The business key of a charge.  Raises ValueError where the body has none."""
    try:
        body: Any = await request.json()
    except (ValueError, LookupError, RecursionError):  # no JSON, no such charset, nested too deep
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("order"), str) or not body["order"]:
        raise ValueError('a charge is a JSON object with an "order", e.g. {"order": "order-1"}')
    return str(body["order"])


def main(host: str, port: int, history: Path, token: str, smtp_port: int = 0) -> None:
    """Serve the world until SIGTERM or SIGINT.

    Args:
        host: address to listen on.
        port: TCP port of charges, files and control.
        history: the journal's file; mails and files are kept beside it.
        token: control token.
        smtp_port: TCP port of the mailbox; 0 for a world without one.

    Raises:
        LabError: a port is taken, or the journal cannot be written.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    store = Store(history.parent)
    tidy(history, store)
    world = World(Journal(history), store, token)
    serve(world.application(host, smtp_port), host, port, "world")
