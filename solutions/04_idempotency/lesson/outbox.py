"""Writes in one place: the booking, and beside it the note that it is to be charged.

Somebody else carries the notes to the partner.  Here each order wakes him; in production a
periodic task does it as well.
"""

from books import bookings, engine, insert
from parts import app, ask_partner
from sqlalchemy import Boolean, Column, String, Table, select, update

BOOKINGS = bookings(one_per_order=True)
OUTBOX = Table(
    "outbox",
    BOOKINGS.metadata,
    Column("order_id", String(40), primary_key=True),
    Column("sent", Boolean, nullable=False),
)


def migrate():
    BOOKINGS.metadata.create_all(engine)


def note(order, customer, amount):
    """Both rows or none: one transaction."""
    row = {"order_id": order, "customer": customer, "amount": amount}
    booking = insert(BOOKINGS).values(row)
    to_charge = insert(OUTBOX).values(order_id=order, sent=False)
    with engine.begin() as books:
        for new in (booking, to_charge):
            books.execute(new.on_conflict_do_nothing(index_elements=["order_id"]))


def unsent():
    with engine.begin() as books:
        return list(books.scalars(select(OUTBOX.c.order_id).where(OUTBOX.c.sent.is_(False))))


def mark_sent(order):
    with engine.begin() as books:
        books.execute(update(OUTBOX).where(OUTBOX.c.order_id == order).values(sent=True))


@app.task
def place(order, customer, amount):
    note(order, customer, amount)
    relay.delay()
    return "placed"


@app.task
def relay():
    for order in unsent():
        ask_partner(order, **{"Idempotency-Key": order})
        mark_sent(order)
