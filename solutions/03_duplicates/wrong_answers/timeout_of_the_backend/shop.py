"""The right number for the wrong transport: it goes to the result backend.

The result backend takes the option and has no use for it; the broker's stays at an hour.
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
    result_backend_transport_options={"visibility_timeout": 225 * 60},
    worker_prefetch_multiplier=1,
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")


@app.task(max_retries=2, default_retry_delay=1)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
