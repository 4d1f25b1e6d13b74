"""A shop with a second record: an order is in its book before it is sent, until it is charged.

What the book still has when a worker starts is sent again.  An order that was only waiting is then
sent twice, so the partner must know it again: the order is its idempotency key.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from celery import Celery, Task
from celery.signals import worker_ready

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")
BOOK = os.environ.get("SHOP_BOOK", ":memory:")  # without a path there is no second record
SWEEP = os.environ.get("SHOP_SWEEP", "off")


@contextmanager
def book() -> Iterator[sqlite3.Connection]:
    """The book, open for one transaction."""
    connection = sqlite3.connect(BOOK, timeout=60)
    try:
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS due (number TEXT PRIMARY KEY)")
            yield connection
    finally:
        connection.close()


def due() -> list[str]:
    """The orders that are not charged yet, as far as the shop knows."""
    with book() as pages:
        return [number for (number,) in pages.execute("SELECT number FROM due ORDER BY rowid")]


class Booked(Task):
    """A task whose order is in the book before its message leaves.

    A shop with a database writes this row in the transaction that makes the order."""

    def apply_async(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        """Write the order down, then publish."""
        with book() as pages:
            pages.execute("INSERT OR IGNORE INTO due VALUES (?)", (args[0],))
        return super().apply_async(args, *rest, **options)


app = Celery(
    "shop",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
    task_cls=Booked,
)
app.conf.task_acks_late = True


@app.task
def charge(order: str) -> str:
    """Ask the payment partner to charge this order, once, and strike it off the book."""
    answer = httpx.post(
        f"{PARTNER}/charges",
        json={"order": order},
        headers={"Idempotency-Key": order},
        timeout=60,
    )
    answer.raise_for_status()
    with book() as pages:
        pages.execute("DELETE FROM due WHERE number = ?", (order,))
    return answer.json()["status"]


@worker_ready.connect
def sweep(**_: Any) -> None:
    """Send again what is due.  In production: every few minutes, and only what is older than the
    visibility timeout."""
    if SWEEP == "on":
        for order in due():
            charge.delay(order)
