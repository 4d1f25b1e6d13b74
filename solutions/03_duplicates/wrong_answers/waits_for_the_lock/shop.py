"""Takes a lock for each order; a second copy tries again in five minutes.

The lock of a process that has died is never given back.
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


@app.task(bind=True, max_retries=100, default_retry_delay=300)
def charge(self, order: str) -> str:
    """Ask the payment partner to charge this order."""
    if not keys.set(f"lock:{order}", 1, nx=True):
        raise self.retry()
    try:
        answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
        answer.raise_for_status()
        return answer.json()["status"]
    finally:
        keys.delete(f"lock:{order}")
