"""A shop that draws an invoice before it charges; one invoice is larger than the memory."""

import os

import httpx
from celery import Celery

app = Celery(
    "invoices",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")
TOO_MUCH = 1 << 60  # bytes


class TooLarge(Exception):
    """An invoice that does not fit into the memory."""


@app.task
def bill(order: str) -> None:
    """Draw the invoice, then charge."""
    draw_invoice(order)
    charge(order)


@app.task
def bill_carefully(order: str) -> None:
    """The same; an invoice that does not fit is an error like any other."""
    try:
        draw_invoice(order)
    except MemoryError:
        raise TooLarge(order) from None
    charge(order)


def draw_invoice(order: str) -> None:
    """Draw the invoice in memory; Python raises MemoryError at that of order-3."""
    bytearray(TOO_MUCH if order == "order-3" else 1)


def charge(order: str) -> None:
    """Ask the payment partner to charge this order."""
    httpx.post(f"{PARTNER}/charges", json={"order": order}, timeout=60).raise_for_status()
