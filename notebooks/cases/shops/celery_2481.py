"""Reminders: the task that sends one, and a table of those that are to be sent later."""

import os
import smtplib
import sqlite3
from email.message import EmailMessage
from urllib.parse import urlsplit

from celery import Celery

app = Celery(
    "reminders",
    broker="redis://localhost:6379/0",
    backend="redis://localhost:6379/0",
)


@app.task
def remind(order: str) -> None:
    """Remind the customer of this order."""
    message = EmailMessage()
    message["From"], message["To"] = "shop@shop.example", "customer@customers.example"
    message["Subject"] = "Your trip"
    message["X-Entity-Ref-ID"] = order
    message.set_content(f"Your trip begins soon: {order}.")
    relay = urlsplit(os.environ["MAIL_URL"])
    with smtplib.SMTP(relay.hostname, relay.port, timeout=60) as smtp:
        smtp.login(relay.username, relay.password)
        smtp.send_message(message)


class Reminders:
    """What is to be sent, and when.

    Args:
        path: the file of the table; in production a table of the shop's own database.
    """

    def __init__(self, path: str = ":memory:") -> None:
        self._rows = sqlite3.connect(path)
        self._rows.execute("CREATE TABLE IF NOT EXISTS reminders (name TEXT PRIMARY KEY, due REAL)")

    def plan(self, order: str, due: float) -> None:
        """Note that this order is to be reminded of at this time, in minutes."""
        with self._rows:
            self._rows.execute("INSERT OR REPLACE INTO reminders VALUES (?, ?)", (order, due))

    def due(self, now: float) -> list[str]:
        """Orders whose time has come, oldest first."""
        found = self._rows.execute("SELECT name FROM reminders WHERE due <= ? ORDER BY due", (now,))
        return [name for (name,) in found]

    def done(self, order: str) -> None:
        """Forget this order: its reminder has been sent to the queue."""
        with self._rows:
            self._rows.execute("DELETE FROM reminders WHERE name = ?", (order,))
