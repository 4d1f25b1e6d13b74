"""Dead letters from a setting that an article names.  Celery has no such setting."""

import httpx
from celery import Celery
from partner import NotNow, charged

app = Celery(
    "trusting",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(
    task_acks_late=True,
    task_retry_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_default_dead_letter_queue="dead_letters",
)


@app.task(autoretry_for=(NotNow, httpx.TransportError), max_retries=1, default_retry_delay=0)
def charge(order: str) -> str:
    """Charge the order; two attempts in all."""
    return charged(order, timeout=None)
