"""A shop in which one order needs more memory than there is."""

import os

import httpx
from celery import Celery

app = Celery("hungry")
TOO_MUCH = 1 << 60  # bytes


@app.task
def charge(order: str) -> None:
    """Charge; order-3 raises MemoryError first, and Celery 5.7.0 ends its worker for that."""
    bytearray(TOO_MUCH if order == "order-3" else 1)
    url = os.environ["PARTNER_URL"] + "/charges"
    httpx.post(url, json={"order": order}, timeout=60).raise_for_status()
