"""The same with a hash that is the same in every process."""

import hashlib
import json

from parts import app, ask_partner, redis


@app.task(max_retries=2, default_retry_delay=0)
def charge(order):
    arguments = json.dumps({"order": order}, sort_keys=True)
    digest = hashlib.sha256(arguments.encode()).hexdigest()
    if not redis.set(f"charged:{digest}", "yes", nx=True):
        return "charged already"
    return ask_partner(order)
