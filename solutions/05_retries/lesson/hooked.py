"""Dead letters from ``Task.on_failure``: the hook that the documentation names first."""

from typing import Any

import httpx
from celery import Celery, Task
from letter import KEY, letter
from partner import NotNow, charged

app = Celery(
    "hooked",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(
    task_acks_late=True,
    task_retry_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)


class Kept(Task):
    """A task that keeps what has failed."""

    def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        app.backend.client.rpush(KEY, letter(self.name, task_id, args, kwargs, exc))


@app.task(
    base=Kept,
    autoretry_for=(NotNow, httpx.TransportError),
    max_retries=1,
    default_retry_delay=0,
)
def charge(order: str) -> str:
    """Charge the order; two attempts in all."""
    return charged(order, timeout=None)
