"""Says who is at work, and for how long; and says 'done' only when it is done."""

import smtplib
import uuid

from parts import app, ask_partner, redis, send_mail

TEN_MINUTES, WEEK = 600, 7 * 24 * 3600

# Gives back what is still mine, and nobody else's: one step, since Redis runs a script alone.
GIVE_BACK = redis.register_script(
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)


def take(name):
    """A token; or what somebody else has left there: his token, or 'done'."""
    token = str(uuid.uuid4())
    found = redis.set(f"lease:{name}", token, nx=True, get=True, ex=TEN_MINUTES)
    return (None, found) if found else (token, None)


def give_back(name, token):
    return bool(GIVE_BACK(keys=[f"lease:{name}"], args=[token], client=redis))


def done(name):
    redis.set(f"lease:{name}", "done", ex=WEEK)


@app.task(bind=True, max_retries=20, default_retry_delay=0.2)
def write(self, order):
    token, found = take(order)
    if found == "done":
        return "sent already"
    if found:
        raise self.retry()  # somebody is at it, or has died: then his lease ends
    try:
        send_mail(order)
    except smtplib.SMTPException as error:
        give_back(order, token)
        raise self.retry(exc=error) from error
    done(order)
    return "sent"


@app.task(bind=True, max_retries=20, default_retry_delay=0.2)
def charge(self, order):
    _, found = take(order)
    if found == "done":
        return "charged already"
    if found:
        raise self.retry()
    status = ask_partner(order)
    done(order)
    return status
