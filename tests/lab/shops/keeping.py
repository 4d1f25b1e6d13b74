"""A shop that tries again where the partner is away, and keeps what failed for good.

It also counts how often it was told of each failure."""

import json
import os

import httpx
from celery import Celery
from celery.signals import task_failure

app = Celery("keeping")
app.conf.update(task_acks_late=True, task_time_limit=3)


@app.task(bind=True, max_retries=20)
def charge(self, order: str) -> None:
    """Charge, and again where the partner is away for the moment."""
    answer = httpx.post(os.environ["PARTNER_URL"] + "/charges", json={"order": order}, timeout=60)
    if answer.status_code == 503:
        raise self.retry(countdown=0.3)
    answer.raise_for_status()


@task_failure.connect
def keep(sender, task_id, exception, args, kwargs, **_) -> None:
    """Put it aside, under its own id: once, however often this is called."""
    letter = {"id": task_id, "task": sender.name, "args": args, "kwargs": kwargs}
    letter["error"] = repr(exception)
    redis = sender.app.backend.client
    redis.incr(f"told:{task_id}")
    redis.hset("dead_letters", task_id, json.dumps(letter))
