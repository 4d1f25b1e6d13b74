"""Everything the solution has, and a lock per order, so that no order is charged twice at a time.

A process that is killed never comes to its `finally`; the lock stays and has no end.
"""

import os

import httpx
from celery import Celery
from redis import Redis

app = Celery(
    "shop",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(
    task_acks_late=True,
    task_retry_on_worker_lost=True,
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")

keys = Redis.from_url(os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"))


@app.task(max_retries=2, default_retry_delay=1)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    if not keys.set(f"lock:{order}", 1, nx=True):
        raise RuntimeError(f"{order} is being charged by somebody else")
    try:
        answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
        answer.raise_for_status()
        return answer.json()["status"]
    finally:
        keys.delete(f"lock:{order}")
