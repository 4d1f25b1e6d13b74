"""A shop that tries again, at once and twice at most."""

import os

import httpx
from celery import Celery

app = Celery("retrying")


@app.task(autoretry_for=(httpx.HTTPError,), max_retries=2, default_retry_delay=0)
def charge(order: str) -> None:
    """Charge, and again where the partner refuses or the connection breaks."""
    url = os.environ["PARTNER_URL"] + "/charges"
    httpx.post(url, json={"order": order}, timeout=60).raise_for_status()
