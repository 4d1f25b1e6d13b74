"""The API of api.py, and one more path: the status of an order as server-sent events.

A client connects once and is told of each change.  Celery publishes a result in Redis, under the
name of its key, when it stores it; whoever listens there need not ask again and again.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator

from api import app, status_of
from fastapi.responses import StreamingResponse
from redis.asyncio import Redis

LOOK_EVERY = float(os.environ.get("LOOK_EVERY", "5"))  # seconds: nothing announces a loss
ENDS = ("done", "failed", "expired", "lost", "unknown")
URL = os.environ.get("CELERY_RESULT_BACKEND", "redis://localhost:6379/0")


@app.get("/orders/{order}/events")
async def events(order: str) -> StreamingResponse:
    """Each status of the order as it changes, up to its end."""
    return StreamingResponse(
        changes(order), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
    )


async def changes(order: str) -> AsyncIterator[str]:
    """Listen first, then look: what changes in between is not missed."""
    told = None
    async with Redis.from_url(URL) as redis, redis.pubsub() as news:
        await news.subscribe(f"celery-task-meta-{order}")
        await news.get_message(timeout=5)  # Redis says that we are listening
        while True:
            status = await asyncio.to_thread(status_of, order)
            changed, told = status != told, status
            yield f"data: {json.dumps(status)}\n\n" if changed else ": still here\n\n"
            if status["status"] in ENDS:
                return
            await news.get_message(ignore_subscribe_messages=True, timeout=LOOK_EVERY)
