"""The books have one row for each order; what they refuse must be a second one."""

from books import bookings, engine, write
from parts import app, ask_partner
from sqlalchemy.exc import IntegrityError

BOOKINGS = bookings(one_per_order=True)


def migrate():
    BOOKINGS.metadata.create_all(engine)


@app.task
def charge(order, customer, amount):
    ask_partner(order)
    try:
        write(BOOKINGS, order, customer, amount)
    except IntegrityError:
        return "booked already"
    return "booked"
