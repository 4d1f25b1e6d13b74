"""Charges, and trusts that nobody asks twice."""

from parts import app, ask_partner


@app.task(max_retries=2, default_retry_delay=0)
def charge(order):
    return ask_partner(order)
