"""The shop's background work: charge a customer's card, at least once per order.

No message of healthy work is handed out twice: its timeout is longer than the longest wait and the
longest charge together, and a worker fetches nothing that it cannot begin.  The work of a dead
worker comes back when that timeout is over, and then it may happen twice.
"""

import os

import httpx
from celery import Celery

app = Celery(
    "shop",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
LONGEST_COUNTDOWN = 90 * 60  # seconds; nothing is sent further ahead
LONGEST_CHARGE = 120 * 60
RESERVE = 15 * 60
VISIBILITY_TIMEOUT = LONGEST_COUNTDOWN + LONGEST_CHARGE + RESERVE

app.conf.update(
    task_acks_late=True,
    task_retry_on_worker_lost=True,
    broker_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT},
    worker_prefetch_multiplier=1,
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")


@app.task(max_retries=2, default_retry_delay=1)
def charge(order: str) -> str:
    """Ask the payment partner to charge this order."""
    answer = httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]
