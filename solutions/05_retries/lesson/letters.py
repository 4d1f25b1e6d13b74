"""Dead letters from the signal ``task_failure``, one for each task."""

from typing import Any

import httpx
from celery import Celery
from celery.signals import task_failure
from letter import KEY, letter
from partner import NotNow, charged

app = Celery(
    "letters",
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
    """Keep a letter under the id of its task: who says it twice, says it once."""
    app.backend.client.hset(KEY, task_id, letter(sender.name, task_id, args, kwargs, exception))


@app.task(autoretry_for=(NotNow, httpx.TransportError), max_retries=1, default_retry_delay=0)
def charge(order: str) -> str:
    """Charge the order; two attempts in all."""
    return charged(order, timeout=None)
