"""Puts a message back when its process dies, and counts the attempts in a dictionary.

The dictionary dies with the process.
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
    task_reject_on_worker_lost=True,
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")

attempts: dict[str, int] = {}


@app.task
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    attempts[order] = attempts.get(order, 0) + 1
    if attempts[order] > 3:
        raise RuntimeError(f"gave up on {order}")
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
