"""Acknowledges late, and sends a failed order again from the `task_failure` signal.

Main sends the signal for a lost process, too; nothing counts how often.
"""

import os

import httpx
from celery import Celery
from celery.signals import task_failure

app = Celery(
    "shop",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(
    task_acks_late=True,
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")


@app.task
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]


@task_failure.connect
def send_again(sender, args, **_) -> None:
    """One more try for a charge that failed."""
    sender.delay(*args)
