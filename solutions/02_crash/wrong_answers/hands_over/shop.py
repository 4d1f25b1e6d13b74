"""Protects the task that is sent, and hands the work to a second task that is not protected."""

import os

import httpx
from celery import Celery

app = Celery(
    "shop",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(
    task_retry_on_worker_lost=True,
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")


@app.task(acks_late=True, max_retries=2, default_retry_delay=1)
def charge(order: str) -> None:
    """Have this order charged."""
    charge_card.delay(order)


@app.task
def charge_card(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
