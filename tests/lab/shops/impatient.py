"""A shop whose client gives up early, and that takes the partner's silence for a failure."""

import os

import httpx
from celery import Celery

app = Celery("impatient")


@app.task
def charge(order: str) -> None:
    """Charge, with little patience (seconds)."""
    url = os.environ["PARTNER_URL"] + "/charges"
    httpx.post(url, json={"order": order}, timeout=3).raise_for_status()
