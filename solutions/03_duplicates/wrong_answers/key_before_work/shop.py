"""Sets a key in Redis before the charge: the second copy finds it and does nothing.

It also finds the key of a worker that has died before the charge.
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
    worker_prefetch_multiplier=1,
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")

keys = Redis.from_url(os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"))


@app.task(max_retries=2, default_retry_delay=1)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    if not keys.set(f"charged:{order}", 1, nx=True):
        return "charged already"
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
