"""Makes its key of what the order says, and not of which order it is."""

from parts import app, ask_partner, redis


@app.task
def charge(order, customer, amount):
    if not redis.set(f"charged:{customer}:{amount}", "yes", nx=True):
        return "charged already"
    return ask_partner(order)
