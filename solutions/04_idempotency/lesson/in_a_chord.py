"""A batch of orders, and a mail when all of them are booked: a chord."""

from books import bookings, engine, write
from celery import chord
from celery.exceptions import Ignore
from parts import app, send_mail
from sqlalchemy.exc import IntegrityError

BOOKINGS = bookings(one_per_order=True)


def migrate():
    BOOKINGS.metadata.create_all(engine)


@app.task
def book_or_ignore(order):
    try:
        write(BOOKINGS, order, "customer-1", 120)
    except IntegrityError:
        raise Ignore from None
    return "booked"


@app.task
def book_or_say_so(order):
    try:
        write(BOOKINGS, order, "customer-1", 120)
    except IntegrityError:
        return "booked already"
    return "booked"


@app.task
def report(results, batch):
    send_mail(batch)


@app.task
def ignoring(batch, orders):
    chord(map(book_or_ignore.s, orders))(report.s(batch))


@app.task
def saying_so(batch, orders):
    chord(map(book_or_say_so.s, orders))(report.s(batch))
