"""What the shops of this lesson share: the app of stage 03, the partner, the mailbox, Redis.

Each module beside this one is one answer to the question of the lesson, and has nothing in it but
its answer.
"""

import os
import smtplib
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx
from celery import Celery
from redis import Redis

app = Celery(
    "lesson",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)
app.conf.update(
    task_acks_late=True,
    task_retry_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)

redis = Redis.from_url(
    os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"), decode_responses=True
)


def ask_partner(order: str, **headers: str) -> str:
    """Ask the payment partner to charge this order."""
    partner = os.environ.get("PARTNER_URL", "http://localhost:8000/live")
    answer = httpx.post(f"{partner}/charges", json={"order": order}, headers=headers, timeout=60)
    answer.raise_for_status()
    return answer.json()["status"]


def send_mail(order: str) -> None:
    """Thank for this order; raises SMTPException where the server does not take the mail."""
    message = EmailMessage()
    message["From"], message["To"] = "shop@shop.example", "customer@customers.example"
    message["Subject"] = "Thank you"
    message["X-Entity-Ref-ID"] = order
    message.set_content(f"We have received {order}.")
    server = urlsplit(os.environ["MAIL_URL"])
    with smtplib.SMTP(server.hostname, server.port, timeout=60) as smtp:
        smtp.login(server.username, server.password)
        smtp.send_message(message)
