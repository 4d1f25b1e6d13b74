"""A function as backoff, as an article has it.  This module does not import."""

from celery import Celery
from partner import NotNow, charged

app = Celery(
    "backoff_function",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)


def exponential(retries: int) -> int:
    """Seconds before the next attempt."""
    return 2**retries


@app.task(autoretry_for=(NotNow,), retry_backoff=exponential)
def charge(order: str) -> str:
    """Charge the order."""
    return charged(order)
