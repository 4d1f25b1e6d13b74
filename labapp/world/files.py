"""Files in the world: ``PUT /SCOPE/files/NAME`` streams one to disk, ``GET`` reads it.

The file is written as it comes in, so one whose sender dies is torn: its first bytes lie there.
The effect is recorded when all of it is stored.  A name that ends in ``.part`` is a draft's: its
effect is recorded when ``MOVE`` gives it its final name, in one step.  Used by
``labapp.world.server`` only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aiohttp import web

from labapp.world.kinds import Kind
from labapp.world.ledger import Ledger, Visit
from labapp.world.rules import Point, pieces, stops
from labapp.world.store import Store, Upload, file_name, is_draft, key_of, sha256_of
from labapp.world.web import visit_of

MAX_FILE = 16 * 1024 * 1024
"""Bytes of a file."""
IDLE = 60.0
"""Seconds that a stream may stand still; being held does not count."""


class TooLarge(Exception):
    """The stream has more bytes than a file may have."""


class Files:
    """Handlers of files.

    Args:
        ledger: where effects are recorded.
        store: where files lie.
    """

    def __init__(self, ledger: Ledger, store: Store) -> None:
        self.ledger = ledger
        self.store = store

    async def put(self, request: web.Request) -> web.StreamResponse:
        """``PUT /SCOPE/files/NAME``: store a file; 201, or 200 where it overwrote one."""
        name = file_name(request.match_info["name"])
        path = self.store.path(request.match_info["scope"], name)
        if (request.content_length or 0) > MAX_FILE:
            return await too_large(request)
        scope = self.ledger.scope(request.match_info["scope"])
        visit = visit_of(request, scope, Kind.FILE, key_of(name))
        with self.ledger.open(visit):
            try:
                return await self._put(request, visit, path)
            except TooLarge:
                return await too_large(request)
            except TimeoutError:
                return web.json_response({"error": "the file came to a standstill"}, status=408)

    async def _put(self, request: web.Request, visit: Visit, path: Path) -> web.StreamResponse:
        final = not is_draft(path.name)  # a draft's effect, and what is around it, is ``move``'s
        if final:
            await self.ledger.passing(visit, Point.BEFORE)
        existed = path.exists()
        upload = await self._receive(request, visit, path)
        if final:
            await self.ledger.passing(visit, Point.AFTER)
            self.ledger.record(visit, "answered")
        body = {"file": path.name, "size": upload.size, "sha256": upload.sha256}
        return web.json_response(body, status=200 if existed else 201)

    async def move(self, request: web.Request) -> web.StreamResponse:
        """``MOVE /SCOPE/files/DRAFT`` with ``Destination: /SCOPE/files/NAME`` (RFC 4918, 9.9).

        The draft gets its final name, in place of what had it: 201, or 204 where something had.
        404 where there is no such draft; 412 where ``If-Match`` names another ETag than its own."""
        draft = self.store.path(request.match_info["scope"], request.match_info["name"])
        name = destination(request)
        if not is_draft(draft.name) or is_draft(name):
            raise ValueError("a file is moved from a name that ends in .part to one that does not")
        scope = self.ledger.scope(request.match_info["scope"])
        visit = visit_of(request, scope, Kind.FILE, key_of(name))
        with self.ledger.open(visit, attempt=False):
            await self.ledger.passing(visit, Point.BEFORE)
            if not draft.is_file():
                return web.json_response({"error": f"there is no file {draft.name}"}, status=404)
            content = draft.read_bytes()
            if request.headers.get("If-Match", etag(content)) != etag(content):
                error = {"error": f"{draft.name} is not what If-Match says"}
                return web.json_response(error, status=412)
            path = draft.with_name(name)
            existed = path.exists()
            draft.replace(path)
            details = {"name": name, "size": len(content), "sha256": sha256_of(content)}
            self.ledger.record(visit, "effect", **details)
            await self.ledger.passing(visit, Point.AFTER)
            self.ledger.record(visit, "answered")
            return web.Response(status=204 if existed else 201)

    async def _receive(self, request: web.Request, visit: Visit, path: Path) -> Upload:
        """Stream the body to disk and record the effect; whatever ends it early leaves it torn."""
        upload = Upload(path)
        stored = False
        try:
            await self._stream(request, visit, upload)
            if not is_draft(path.name):
                details = {"name": path.name, "size": upload.size, "sha256": upload.sha256}
                self.ledger.record(visit, "effect", **details)
            stored = True
        except TooLarge:
            upload.remove()
            raise
        finally:
            upload.close()
            if not stored:
                with contextlib.suppress(OSError):  # a full disk: then without a record of it
                    self.ledger.record(visit, "torn", name=path.name, size=upload.size)
        return upload

    async def _stream(self, request: web.Request, visit: Visit, upload: Upload) -> None:
        async for chunk in chunks(request):
            for piece in pieces(
                chunk, upload.size, stops(visit.scope.rules, visit.kind, visit.key)
            ):
                if upload.size + len(piece) > MAX_FILE:
                    raise TooLarge
                upload.write(piece)
                await self.ledger.passing(visit, Point.DURING, upload.size)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """``GET /SCOPE/files/NAME`` (and ``HEAD``): what lies there, whole or torn.

        Its ETag is the SHA-256 of the content."""
        path = self.store.path(request.match_info["scope"], request.match_info["name"])
        if not path.is_file():
            return web.json_response({"error": f"there is no file {path.name}"}, status=404)
        content = path.read_bytes()
        return web.Response(body=content, headers={"ETag": etag(content)})

    async def list(self, request: web.Request) -> web.StreamResponse:
        """``GET /control/scopes/SCOPE/files``: all files of a scope, complete or torn."""
        scope = self.ledger.scope(request.match_info["scope"])
        found = self.store.listing(scope.name, scope.records)
        return web.json_response([file.to_json() for file in found])


def destination(request: web.Request) -> str:
    """The name that a file is to get.  Raises ValueError for one that leads elsewhere."""
    folder, _, name = unquote(urlsplit(request.headers.get("Destination", "")).path).rpartition("/")
    if folder != f"/{request.match_info['scope']}/files":
        raise ValueError('a file is moved within its folder: "Destination: /SCOPE/files/NAME"')
    return file_name(name)


def etag(content: bytes) -> str:
    """What ``ETag`` says of this content."""
    return f'"{sha256_of(content)}"'


async def chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes in.  Raises TimeoutError where nothing comes for ``IDLE`` seconds."""
    while True:
        async with asyncio.timeout(IDLE):
            chunk = await request.content.readany()
        if not chunk:
            return
        yield chunk


async def too_large(request: web.Request) -> web.StreamResponse:
    """Refuse a file, and hang up: its sender may never stop sending."""
    error = {"error": f"a file has at most {MAX_FILE} bytes"}
    answer = web.json_response(error, status=413, headers={"Connection": "close"})
    await answer.prepare(request)
    await answer.write_eof()
    if request.transport is not None:
        request.transport.close()
    return answer
