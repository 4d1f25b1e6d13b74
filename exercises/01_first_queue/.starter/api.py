"""The shop's front door: takes orders, answers 202, and says how each of them is doing.

This is how many articles have it.  Make it tell the truth, as README.md lists.
"""

import json
import os
from typing import Any

from fastapi import Body, FastAPI, Response
from redis import Redis

from shop import charge

LOST_AFTER = float(os.environ.get("LOST_AFTER", "300"))  # seconds: longer than any charge takes

redis = Redis.from_url(
    os.environ.get("CELERY_RESULT_BACKEND", "redis://localhost:6379/0"), decode_responses=True
)
app = FastAPI()

# TODO: tell an unknown id from a queued one, and both from a lost and an expired one;
#       answer 202 for what was sent and 503 for what was not, and send no order twice.

WORDS = {"PENDING": "queued", "STARTED": "running", "SUCCESS": "done", "FAILURE": "failed"}


@app.post("/orders", status_code=202)
def accept(response: Response, order: str = Body(embed=True)) -> dict[str, str]:
    """Take an order."""
    result = charge.delay(order)
    response.headers["Location"] = f"/orders/{result.id}"
    return {"id": result.id}


@app.get("/orders/{task_id}")
def read(task_id: str) -> dict[str, Any]:
    """How the order is doing."""
    result = charge.AsyncResult(task_id)
    told = {"status": WORDS.get(result.state, "running")}
    if result.successful():
        told["result"] = result.result
    return told


def in_broker(task_id: str) -> bool:
    """Whether a message of this task waits in the queue, or was fetched and not acknowledged.

    Nobody calls it yet."""
    with redis.pipeline() as both:
        queue, unacked = both.lrange("celery", 0, -1).hvals("unacked").execute()
    messages = [json.loads(text) for text in queue] + [json.loads(text)[0] for text in unacked]
    return any(message["headers"]["id"] == task_id for message in messages)
