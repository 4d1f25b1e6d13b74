"""Everything the solution has, but it returns the result whatever the state is.

The result of a failed task is the exception, and an exception is no JSON.
"""

import json
import os
import time
from typing import Any

from fastapi import Body, FastAPI, HTTPException, Response
from kombu.exceptions import OperationalError
from redis import Redis

from shop import app as celery
from shop import charge

LOST_AFTER = float(os.environ.get("LOST_AFTER", "300"))  # seconds: longer than any charge takes
RESULTS_KEPT = 24 * 3600  # seconds: Celery's result_expires
RECORDS_KEPT = 30 * 24 * 3600  # seconds: much longer

# For this process alone: workers import shop.py, not this, and may wait longer.
celery.conf.broker_transport_options = {"socket_timeout": 2, "max_retries": 0}
celery.conf.task_publish_retry = False

redis = Redis.from_url(
    os.environ.get("CELERY_RESULT_BACKEND", "redis://localhost:6379/0"), decode_responses=True
)
app = FastAPI()


@app.post("/orders", status_code=202)
def accept(
    response: Response, order: str = Body(embed=True, pattern=r"^[\w-]+$")
) -> dict[str, str]:
    """Take an order: 202, whether it is new or was taken before."""
    if status_of(order)["status"] == "unknown":
        publish(order)
    response.headers["Location"] = f"/orders/{order}"
    return {"id": order}


def publish(order: str) -> None:
    """Send the order's task.  An error does not mean that it was not sent: look."""
    try:
        charge.apply_async((order,), task_id=order)
    except OperationalError as error:
        if not in_broker(order):
            raise HTTPException(503, "try again", headers={"Retry-After": "1"}) from error
    note(order, seen=time.time(), missing=0)


@app.get("/orders/{order}")
def read(order: str, response: Response) -> dict[str, Any]:
    """How the order is doing."""
    told = status_of(order)
    response.status_code = {"unknown": 404, "expired": 410}.get(told["status"], 200)
    return told


def status_of(order: str) -> dict[str, Any]:
    """What can be known of an order: its result, else its message, else its record."""
    now, result = time.time(), charge.AsyncResult(order)
    if result.ready():
        note(order, ended=now)
        words = {"SUCCESS": "done", "FAILURE": "failed"}
        return {"status": words.get(result.state, "failed"), "result": result.result}
    if in_broker(order):
        note(order, seen=now, missing=0)
        return {"status": "queued"}
    record = redis.hgetall(f"order:{order}")
    if not record:
        return {"status": "unknown"}
    if "ended" in record or now - float(record["seen"]) > RESULTS_KEPT:
        return {"status": "expired"}
    missing = float(record["missing"]) or now
    note(order, missing=missing)
    return {"status": "lost" if now - missing > LOST_AFTER else "running"}


def note(order: str, **facts: float) -> None:
    """Write into the order's record."""
    redis.hset(f"order:{order}", mapping=facts)
    redis.expire(f"order:{order}", RECORDS_KEPT)


def in_broker(task_id: str) -> bool:
    """Whether a message of this task waits in the queue, or was fetched and not acknowledged."""
    with redis.pipeline() as both:
        queue, unacked = both.lrange("celery", 0, -1).hvals("unacked").execute()
    messages = [json.loads(text) for text in queue] + [json.loads(text)[0] for text in unacked]
    return any(message["headers"]["id"] == task_id for message in messages)
