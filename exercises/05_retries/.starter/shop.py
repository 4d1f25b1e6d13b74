"""The shop's background work: charge a customer's card and book it, once per order.

This is the shop as stage 04 left it: once means once.  But it answers each refusal with two more
tries, whatever the partner says, hangs where the partner hangs, and keeps nothing of what it has
given up.  Make it hold what README.md lists.
"""

import os

import httpx
from celery import Celery
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

# TODO: try again what may be different in a moment, and nothing else: a bounded number of times,
#       and not all at once.  Let no attempt hang.  Put aside what has failed for good, once,
#       whatever it died of.


def migrate() -> None:
    """Make the tables; called once, before the first order is sent."""
    metadata.create_all(engine)


@app.task(
    autoretry_for=(httpx.HTTPError, OperationalError),
    max_retries=2,
    default_retry_delay=1,
)
def charge(order: str, customer: str, amount: int) -> str:
    """Ask the payment partner to charge this order, then book it."""
    answer = httpx.post(
        f"{PARTNER}/charges",
        json={"order": order},
        headers={"Idempotency-Key": order},
        timeout=60,
    )
    answer.raise_for_status()
    book(order, customer, amount)
    return answer.json()["status"]


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
