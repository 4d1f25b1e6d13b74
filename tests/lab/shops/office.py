"""A shop that writes to its customers and files their invoices, with everyday clients."""

import os
import smtplib
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx
from celery import Celery

app = Celery("office")
INVOICE = b"an invoice line\n" * 1000


@app.task
def write(order: str) -> None:
    """Thank for this order."""
    message = EmailMessage()
    message["From"], message["To"] = "shop@shop.example", "customer@customers.example"
    message["Subject"] = "Thank you"
    message["X-Entity-Ref-ID"] = order
    message.set_content(f"We have received {order}.")
    relay = urlsplit(os.environ["MAIL_URL"])
    with smtplib.SMTP(relay.hostname, relay.port, timeout=60) as smtp:
        smtp.login(relay.username, relay.password)
        smtp.send_message(message)


@app.task
def put(order: str) -> None:
    """Store the invoice of this order."""
    url = f"{os.environ['PARTNER_URL']}/files/{order}.txt"
    httpx.put(url, content=INVOICE, timeout=60).raise_for_status()


@app.task
def charge_and_write(order: str) -> None:
    """Charge, then thank."""
    url = os.environ["PARTNER_URL"] + "/charges"
    httpx.post(url, json={"order": order}, timeout=60).raise_for_status()
    write(order)
