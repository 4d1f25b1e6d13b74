"""Says in the statement which conflict it means; any other is an error."""

from books import bookings, engine, insert
from parts import app, ask_partner

BOOKINGS = bookings(one_per_order=True)


def migrate():
    BOOKINGS.metadata.create_all(engine)


def write(order, customer, amount):
    """Whether there is a new row."""
    row = insert(BOOKINGS).values(order_id=order, customer=customer, amount=amount)
    with engine.begin() as books:
        return bool(books.execute(row.on_conflict_do_nothing(index_elements=["order_id"])).rowcount)


@app.task
def charge(order, customer, amount):
    ask_partner(order, **{"Idempotency-Key": order})
    return "booked" if write(order, customer, amount) else "booked already"
