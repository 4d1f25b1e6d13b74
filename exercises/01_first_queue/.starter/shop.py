"""The shop's background work: charge a customer's card, once per order.

Celery's defaults, and nothing else.
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


@app.task
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
