"""Retries when a process dies, as often as it takes: an order is too important to give up.

An order that kills its process every time is never through.
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
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")


@app.task(max_retries=None, default_retry_delay=0)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
