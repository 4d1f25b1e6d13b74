"""The shop's background work: charge a customer's card and book it, once per order.

The belief: a letter is for people, so it says in words what was called.  Whoever wants to send it
again finds a text where the arguments should be.
"""

import json
import os
import random

import httpx
from celery import Celery
from celery.signals import task_failure
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    NullPool,
    String,
    Table,
    create_engine,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError, OperationalError

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
DATABASE = os.environ.get("SHOP_DATABASE_URL", "sqlite:///shop.db")

PARTNER_SECONDS = 2  # it answers within one, or not at all
LONGEST_WAIT = 4  # seconds between two attempts, if the partner asks for no more
NOT_NOW = (408, 429, 500, 502, 503, 504)
DEAD_LETTERS = "dead_letters"

# No pool: a connection must not be shared with the processes that a worker forks.
engine = create_engine(DATABASE, poolclass=NullPool)
metadata = MetaData()
bookings = Table(
    "bookings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("order_id", String, nullable=False, unique=True),
    Column("customer", String, nullable=False),
    Column("amount", Integer, nullable=False),
)


class NotNow(Exception):
    """The partner refuses for the moment."""

    def __init__(self, status: int, seconds: float) -> None:
        super().__init__(status, seconds)
        self.seconds = seconds  # that it asks us to wait


def migrate() -> None:
    """Make the tables; called once, before the first order is sent."""
    metadata.create_all(engine)


@app.task(bind=True, max_retries=5, default_retry_delay=1, soft_time_limit=4, time_limit=5)
def charge(self, order: str, customer: str, amount: int) -> str:
    """Ask the payment partner to charge this order, then book it."""
    try:
        status = pay(order)
        book(order, customer, amount)
    except (NotNow, httpx.TransportError, OperationalError) as error:
        raise self.retry(exc=error, countdown=pause(self.request.retries, error)) from error
    return status


def pay(order: str) -> str:
    """One request to the partner; raises NotNow where another one may end otherwise."""
    answer = httpx.post(
        f"{PARTNER}/charges",
        json={"order": order},
        headers={"Idempotency-Key": order},
        timeout=PARTNER_SECONDS,
    )
    if answer.status_code in NOT_NOW:
        raise NotNow(answer.status_code, float(answer.headers.get("Retry-After", 0)))
    answer.raise_for_status()
    return answer.json()["status"]


def pause(retries: int, error: Exception) -> float:
    """Seconds until the next attempt: more each time, and not the same for two orders."""
    backoff = min(2**retries, LONGEST_WAIT)
    asked_for = error.seconds if isinstance(error, NotNow) else 0
    return asked_for + random.uniform(backoff / 2, backoff)  # noqa: S311  no secret


def book(order: str, customer: str, amount: int) -> None:
    """Write the order's row, if it is not there yet."""
    try:
        with engine.begin() as connection:
            row = insert(bookings).values(order_id=order, customer=customer, amount=amount)
            connection.execute(row)
    except IntegrityError:
        if not is_booked(order):  # it is another constraint that has refused the row
            raise


def is_booked(order: str) -> bool:
    """Whether the order has its row."""
    with engine.connect() as connection:
        found = connection.execute(select(bookings).where(bookings.c.order_id == order))
        return found.first() is not None


@task_failure.connect
def put_aside(sender, task_id, exception, args, kwargs, **_):
    """Keep an order that will not be tried again, under its task's id: told twice, it is one."""
    letter = {
        "id": task_id,
        "task": sender.name,
        "args": [str(args)],
        "kwargs": {},
        "error": repr(exception),
    }
    app.backend.client.hset(DEAD_LETTERS, task_id, json.dumps(letter))
