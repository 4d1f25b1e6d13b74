"""Makes its key with Python's own hash()."""

import json

from parts import app, ask_partner, redis


@app.task(max_retries=2, default_retry_delay=0)
def charge(order):
    arguments = json.dumps({"order": order}, sort_keys=True)
    if not redis.set(f"charged:{hash(arguments)}", "yes", nx=True):
        return "charged already"
    return ask_partner(order)
