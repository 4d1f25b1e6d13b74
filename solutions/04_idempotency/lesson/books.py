"""The books of this lesson's shops: a table of bookings, in SQLite or PostgreSQL."""

import os

from sqlalchemy import Column, Integer, MetaData, String, Table, UniqueConstraint, create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool

engine = create_engine(os.environ.get("SHOP_DATABASE_URL", "sqlite:///shop.db"), poolclass=NullPool)
insert = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[engine.dialect.name]


def bookings(*, one_per_order):
    """The table; where it says so, it refuses a second row of the same order."""
    unique = [UniqueConstraint("order_id", name="one_booking_per_order")] if one_per_order else []
    return Table(
        "bookings",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("order_id", String(40), nullable=False),
        Column("customer", String(40), nullable=False),
        Column("amount", Integer, nullable=False),
        *unique,
    )


def write(table, order, customer, amount):
    """One row, in a transaction of its own; raises IntegrityError where the table refuses it."""
    with engine.begin() as books:
        books.execute(table.insert().values(order_id=order, customer=customer, amount=amount))
