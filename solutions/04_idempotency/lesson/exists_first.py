"""Looks whether there is a file, and writes it where there is none."""

import httpx
from files import INVOICE, place_of
from parts import app


@app.task
def store(order):
    invoice = place_of(f"{order}.pdf")
    if httpx.head(invoice, timeout=60).is_success:
        return "stored already"
    httpx.put(invoice, content=INVOICE, timeout=60).raise_for_status()
    return "stored"
