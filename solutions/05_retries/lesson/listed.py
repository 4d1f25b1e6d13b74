"""Dead letters from the signal ``task_failure``, one after the other in a list."""

from typing import Any

import httpx
from celery import Celery
from celery.signals import task_failure
from letter import KEY, letter
from partner import NotNow, charged

app = Celery(
    "listed",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(
    task_acks_late=True,
    task_retry_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)


@task_failure.connect
def keep(sender: Any, task_id: str, exception: Any, args: Any, kwargs: Any, **_: Any) -> None:
    """Put a letter behind the others."""
    app.backend.client.rpush(KEY, letter(sender.name, task_id, args, kwargs, exception))


@app.task(autoretry_for=(NotNow, httpx.TransportError), max_retries=1, default_retry_delay=0)
def charge(order: str) -> str:
    """Charge the order; two attempts in all."""
    return charged(order, timeout=None)
