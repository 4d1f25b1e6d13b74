"""Shortens the visibility timeout, so that the broker gives a message back after a second.

It gives back what is not acknowledged, and what runs has been acknowledged already.
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
    broker_transport_options={"visibility_timeout": 1},
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")


@app.task
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
