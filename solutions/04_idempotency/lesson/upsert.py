"""Says in the statement which conflict it means; any other is an error."""

from books import bookings, engine, insert
from parts import app, ask_partner

BOOKINGS = bookings(one_per_order=True)


def migrate():
    BOOKINGS.metadata.create_all(engine)


def write(order, customer, amount):
    """Whether there is a new row."""
    row = {"order_id": order, "customer": customer, "amount": amount}
    new = insert(BOOKINGS).values(row)
    once = new.on_conflict_do_nothing(index_elements=["order_id"])
    with engine.begin() as books:
        return bool(books.execute(once).rowcount)


@app.task
def charge(order, customer, amount):
    ask_partner(order, **{"Idempotency-Key": order})
    return "booked" if write(order, customer, amount) else "booked already"
