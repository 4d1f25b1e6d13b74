"""Says in the statement which conflict it means; any other is an error."""

from books import bookings, engine, insert
from parts import app, ask_partner

BOOKINGS = bookings(one_per_order=True)


def migrate():
    BOOKINGS.metadata.create_all(engine)


@app.task
def book(order, customer, amount):
    row = insert(BOOKINGS).values(order_id=order, customer=customer, amount=amount)
    with engine.begin() as books:
        new = books.execute(row.on_conflict_do_nothing(index_elements=["order_id"])).rowcount
    return "booked" if new else "booked already"


@app.task
def charge(order, customer, amount):
    ask_partner(order, **{"Idempotency-Key": order})
    return book(order, customer, amount)
