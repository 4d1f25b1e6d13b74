"""Acknowledges late, and retries on every exception.

A process that is killed raises none.
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
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")


@app.task(autoretry_for=(Exception,), max_retries=3, retry_backoff=True)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
