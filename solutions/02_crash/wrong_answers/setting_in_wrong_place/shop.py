"""The right settings, where nobody looks for them.

`task_acks_late` belongs to the app; a task's own option is called `acks_late`.  Celery accepts any
name there and says nothing.
"""

import os

import httpx
from celery import Celery

app = Celery(
    "shop",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")


@app.task(task_acks_late=True, task_retry_on_worker_lost=True, max_retries=2)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
