"""Ideas of what is worth a retry, and when."""

import random

import httpx
from celery import Celery
from partner import NotNow, ask, charged

app = Celery(
    "retries",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)


@app.task(bind=True, max_retries=5, default_retry_delay=0)
def everything(self, order: str) -> str:
    """Whatever goes wrong, try again: one line, and found in many articles."""
    try:
        return ask(order).json()["receipt"]
    except Exception as error:
        raise self.retry(exc=error) from error


@app.task(
    autoretry_for=(httpx.HTTPError,),
    max_retries=3,
    default_retry_delay=0,
)
def by_class(order: str) -> str:
    """Whatever goes wrong with HTTP, try again."""
    answer = ask(order)
    answer.raise_for_status()
    return answer.json()["status"]


@app.task(bind=True)
def popular(self, order: str) -> str:
    """The backoff that articles have: it doubles, and it is the same for everybody."""
    try:
        return charged(order)
    except NotNow as error:
        raise self.retry(exc=error, countdown=2**self.request.retries) from error


@app.task(bind=True, max_retries=3)
def careful(self, order: str) -> str:
    """Try again what may go well later, and not before the partner wants it."""
    try:
        return charged(order)
    except NotNow as error:
        wait = error.wait + backoff(self.request.retries)
        raise self.retry(exc=error, countdown=wait) from error
    except httpx.TransportError as error:
        wait = backoff(self.request.retries)
        raise self.retry(exc=error, countdown=wait) from error


@app.task(autoretry_for=(httpx.TransportError, NotNow), max_retries=5, default_retry_delay=0)
def misread(order: str) -> str:
    """The first task's mistake, with a list of what is worth a retry."""
    return ask(order).json()["receipt"]


def backoff(retries: int) -> float:
    """Seconds before the next attempt, any number up to a bound that doubles."""
    return random.uniform(0, 0.2 * 2**retries)  # noqa: S311  no secret
