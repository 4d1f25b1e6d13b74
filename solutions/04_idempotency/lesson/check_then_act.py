"""Looks whether it has been done, does it, and notes that it has."""

from parts import app, ask_partner, redis


@app.task(max_retries=2, default_retry_delay=0)
def charge(order):
    if redis.exists(f"charged:{order}"):
        return "charged already"
    status = ask_partner(order)
    redis.set(f"charged:{order}", "yes")
    return status
