"""Two hundred orders and a partner that is away: what waits between two attempts, and how long.

One connection for each process and no results: what is measured here is when requests come.
"""

from functools import cache

import httpx
from celery import Celery
from partner import PARTNER, PASSING, NotNow

app = Celery(
    "storms",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_ignore_result=True)


@cache
def client() -> httpx.Client:
    """This process's connection to the partner, opened when it is first needed: after the fork."""
    return httpx.Client(base_url=PARTNER, timeout=30)


def charged(order: str) -> None:
    """Charge the order.  Raises NotNow."""
    headers = {"Idempotency-Key": order}
    answer = client().post("/charges", json={"order": order}, headers=headers)
    if answer.status_code in PASSING:
        raise NotNow(answer.status_code)
    answer.raise_for_status()


@app.task(bind=True, max_retries=20)
def in_step(self, order: str) -> None:
    """Wait 2, 4, 8, … seconds."""
    try:
        charged(order)
    except NotNow as error:
        raise self.retry(exc=error, countdown=2 * 2**self.request.retries) from error


@app.task(autoretry_for=(NotNow,), max_retries=20, retry_backoff=2, retry_backoff_max=4)
def scattered(order: str) -> None:
    """Wait up to 2, 4, 4, … seconds: how long, is drawn.  ``retry_jitter`` is on by default."""
    charged(order)
