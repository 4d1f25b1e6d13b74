"""Everything the solution has, and a task that lets no error out.

A cold shutdown interrupts it with SystemExit; it catches that, too, and ends well.
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


@app.task(max_retries=2, default_retry_delay=1)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    try:
        answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
        answer.raise_for_status()
        return answer.json()["status"]
    except:  # noqa: E722  that is the mistake
        return "failed"
