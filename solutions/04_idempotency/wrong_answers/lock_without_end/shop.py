"""Takes a lock in Redis for each order, one that does not end by the clock.

`finally` gives it back whatever is raised; a process that is killed raises nothing.  The lock of
the dead outlasts every retry.
"""

import os

import httpx
from celery import Celery
from redis import Redis
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
keys = Redis.from_url(os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"))
DATABASE = os.environ.get("SHOP_DATABASE_URL", "sqlite:///shop.db")

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


def migrate() -> None:
    """Make the tables; called once, before the first order is sent."""
    metadata.create_all(engine)


@app.task(
    bind=True,
    autoretry_for=(httpx.HTTPError, OperationalError),
    max_retries=3,
    default_retry_delay=1,
)
def charge(self, order: str, customer: str, amount: int) -> str:
    """Ask the payment partner to charge this order, then book it."""
    if not keys.set(f"lock:{order}", 1, nx=True):
        raise self.retry()
    try:
        answer = httpx.post(
            f"{PARTNER}/charges",
            json={"order": order},
            headers={"Idempotency-Key": order},
            timeout=60,
        )
        answer.raise_for_status()
        book(order, customer, amount)
        return answer.json()["status"]
    finally:
        keys.delete(f"lock:{order}")


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
