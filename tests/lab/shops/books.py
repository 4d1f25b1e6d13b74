"""A shop that keeps books: a charge at the partner, then a row in its own database."""

import os

import httpx
from celery import Celery
from sqlalchemy import Column, Integer, MetaData, NullPool, String, Table, create_engine, insert

app = Celery("books")
engine = create_engine(os.environ["SHOP_DATABASE_URL"], poolclass=NullPool)
bookings = Table(
    "bookings",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("order_id", String),
    Column("customer", String, nullable=False),
    Column("amount", Integer),
)


def migrate() -> None:
    """Make the tables; that there are none yet is what `create` insists on."""
    bookings.create(engine)


@app.task
def charge(order: str, customer: str, amount: int) -> None:
    """Charge, then book."""
    url = os.environ["PARTNER_URL"] + "/charges"
    httpx.post(url, json={"order": order}, timeout=60).raise_for_status()
    book(order, customer, amount)


@app.task
def only_book(order: str, customer: str, amount: int) -> None:
    """Book, and charge nothing."""
    book(order, customer, amount)


@app.task
def only_charge(order: str, customer: str, amount: int) -> None:
    """Charge, and book nothing."""
    url = os.environ["PARTNER_URL"] + "/charges"
    httpx.post(url, json={"order": order}, timeout=60).raise_for_status()


def book(order: str, customer: str, amount: int) -> None:
    """One row, and another one for each time that this is called."""
    with engine.begin() as connection:
        row = insert(bookings).values(order_id=order, customer=customer, amount=amount)
        connection.execute(row)
