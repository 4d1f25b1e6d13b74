"""Files in the world: ``PUT /SCOPE/files/NAME`` streams one to disk, ``GET`` reads it.

The file is written as it comes in, so one whose sender dies is torn: its first bytes lie there.
The effect is recorded when all of it is stored.  Used by ``labapp.world.server`` only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from labapp.world.kinds import Kind
from labapp.world.ledger import Ledger, Visit
from labapp.world.rules import Point, pieces, stops
from labapp.world.store import Store, Upload, file_name, sha256_of
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
        visit = visit_of(request, scope, Kind.FILE, path.stem)
        with self.ledger.open(visit):
            try:
                return await self._put(request, visit, path)
            except TooLarge:
                return await too_large(request)
            except TimeoutError:
                return web.json_response({"error": "the file came to a standstill"}, status=408)

    async def _put(self, request: web.Request, visit: Visit, path: Path) -> web.StreamResponse:
        await self.ledger.passing(visit, Point.BEFORE)
        existed = path.exists()
        upload = await self._receive(request, visit, path)
        await self.ledger.passing(visit, Point.AFTER)
        self.ledger.record(visit, "answered")
        body = {"file": path.name, "size": upload.size, "sha256": upload.sha256}
        return web.json_response(body, status=200 if existed else 201)

    async def _receive(self, request: web.Request, visit: Visit, path: Path) -> Upload:
        """Stream the body to disk and record the effect; whatever ends it early leaves it torn."""
        upload = Upload(path)
        stored = False
        try:
            await self._stream(request, visit, upload)
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
        return web.Response(body=content, headers={"ETag": f'"{sha256_of(content)}"'})

    async def list(self, request: web.Request) -> web.StreamResponse:
        """``GET /control/scopes/SCOPE/files``: all files of a scope, complete or torn."""
        scope = self.ledger.scope(request.match_info["scope"])
        found = self.store.listing(scope.name, scope.records)
        return web.json_response([file.to_json() for file in found])


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
