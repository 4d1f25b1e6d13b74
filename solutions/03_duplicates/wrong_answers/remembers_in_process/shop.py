"""Remembers in a set which orders it has begun.

The second copy runs in another process, which has a set of its own.
"""

import os

import httpx
from celery import Celery

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
begun: set[str] = set()


@app.task(max_retries=2, default_retry_delay=1)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    if order in begun:
        return "charged already"
    begun.add(order)
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
