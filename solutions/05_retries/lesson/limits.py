"""Charges that may hang: with and without a timeout, and what becomes of a limit inside them."""

import httpx
from celery import Celery
from celery.exceptions import Reject
from partner import NotNow, charged

app = Celery(
    "limits",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)


@app.task
def endless(order: str) -> str:
    """Wait for an answer, however long it takes."""
    return charged(order, timeout=None)


@app.task(autoretry_for=(httpx.TransportError,), max_retries=3, default_retry_delay=0)
def patient(order: str) -> str:
    """Wait for two seconds; then ask again."""
    return charged(order, timeout=2)


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def swallowing(self, order: str) -> str:
    """Whatever goes wrong, try again.  A limit is something that goes wrong."""
    try:
        return charged(order, timeout=None)
    except Exception as error:
        raise self.retry(exc=error) from error


@app.task(bind=True, max_retries=3)
def far(self, order: str, seconds: float = 3.0) -> str:
    """Try again, but not soon."""
    try:
        return charged(order)
    except NotNow as error:
        raise self.retry(exc=error, countdown=seconds) from error


@app.task
def rejecting(order: str) -> str:
    """What cannot be done is rejected, so that it goes to a dead-letter queue.  It does not."""
    try:
        return charged(order)
    except httpx.HTTPStatusError as error:
        raise Reject(str(error), requeue=False) from error
