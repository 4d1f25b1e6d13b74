"""Acknowledges before the work, so that there is nothing to hand out again.

There is nothing to hand out after a crash, either.
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
    task_acks_late=False,
    task_retry_on_worker_lost=True,
    broker_transport_options={"visibility_timeout": 225 * 60},
    worker_disable_prefetch=True,
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")


@app.task(max_retries=2, default_retry_delay=1)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
