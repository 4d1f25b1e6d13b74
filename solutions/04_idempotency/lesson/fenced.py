"""Each lease has a number, and the books refuse a number that is not the latest."""

from books import bookings, engine
from parts import app, ask_partner, redis
from sqlalchemy import Column, Integer, String, Table, insert, literal, select, update

TEN_MINUTES = 600
BOOKINGS = bookings(one_per_order=False)
FENCES = Table(
    "fences",
    BOOKINGS.metadata,
    Column("order_id", String(40), primary_key=True),
    Column("latest", Integer, nullable=False),
)


def migrate():
    BOOKINGS.metadata.create_all(engine)


def take(order):
    """A new lease's number, higher than any before; 0: somebody has one."""
    number = redis.incr(f"number:{order}")
    taken = redis.set(f"lease:{order}", number, nx=True, ex=TEN_MINUTES)
    return number if taken else 0


def raise_fence(order, number):
    """From now on, nobody with a lower number gets through."""
    older = FENCES.c.order_id == order, FENCES.c.latest < number
    with engine.begin() as books:
        raised = books.execute(update(FENCES).where(*older).values(latest=number))
        if not raised.rowcount:
            books.execute(insert(FENCES).values(order_id=order, latest=number))


def write_if_latest(order, customer, amount, number):
    """Ask and write in one statement: nobody comes in between."""
    columns = ["order_id", "customer", "amount"]
    latest = select(FENCES.c.latest).where(FENCES.c.order_id == order)
    values = select(literal(order), literal(customer), literal(amount))
    row = values.where(latest.scalar_subquery() == number)
    with engine.begin() as books:
        return books.execute(insert(BOOKINGS).from_select(columns, row)).rowcount


@app.task(bind=True, max_retries=20, default_retry_delay=0.2)
def charge(self, order, customer, amount):
    number = take(order)
    if not number:
        raise self.retry()
    raise_fence(order, number)
    ask_partner(order)
    written = write_if_latest(order, customer, amount, number)
    return "booked" if written else "refused: my lease is over"
