"""Asks with a key, and writes into books that take everything."""

from books import bookings, engine, write
from parts import app, ask_partner

BOOKINGS = bookings(one_per_order=False)


def migrate():
    BOOKINGS.metadata.create_all(engine)


@app.task
def charge(order, customer, amount):
    ask_partner(order, **{"Idempotency-Key": order})
    write(BOOKINGS, order, customer, amount)
    return "booked"
