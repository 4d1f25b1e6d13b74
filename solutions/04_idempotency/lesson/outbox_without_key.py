"""The same outbox, and a relay that tells the partner nothing but the order."""

from outbox import mark_sent, migrate, note, unsent  # noqa: F401  the lab calls migrate()
from parts import app, ask_partner


@app.task
def place(order, customer, amount):
    note(order, customer, amount)
    relay.delay()
    return "placed"


@app.task
def relay():
    for order in unsent():
        ask_partner(order)
        mark_sent(order)
