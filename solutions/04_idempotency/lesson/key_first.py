"""Sets a key before the work: whoever finds it there has nothing to do."""

import smtplib

from parts import app, redis, send_mail

DAY = 24 * 3600


@app.task(bind=True, max_retries=3, default_retry_delay=0)
def write(self, order):
    if not redis.set(f"mailed:{order}", "yes", nx=True, ex=DAY):
        return "skipped: mailed already"
    try:
        send_mail(order)
    except smtplib.SMTPException as error:
        raise self.retry(exc=error) from error
    return "sent"
