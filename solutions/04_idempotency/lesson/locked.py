"""Takes a lock on the account, and gives it back whatever happens."""

from parts import app, ask_partner, redis

TEN_MINUTES = 600


def take(account):
    return bool(redis.set(f"lock:{account}", "taken", nx=True, ex=TEN_MINUTES))


def give_back(account):
    redis.delete(f"lock:{account}")


@app.task(bind=True, max_retries=3, default_retry_delay=0)
def charge(self, order, account="the account"):
    if not take(account):
        raise self.retry()
    try:
        return ask_partner(order)
    finally:
        give_back(account)
