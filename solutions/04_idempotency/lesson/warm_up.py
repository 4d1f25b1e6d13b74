"""Sets a key, so that only one worker computes what everybody wants to have in the cache."""

import httpx
from files import INVOICE, place_of
from parts import app, redis

SIX_HOURS = 6 * 3600


@app.task
def warm(page):
    if not redis.set(f"warming:{page}", "yes", nx=True, ex=SIX_HOURS):
        return "somebody is at it"
    cached = httpx.put(place_of(f"{page}.html"), content=INVOICE, timeout=60)
    cached.raise_for_status()
    return "warm"
