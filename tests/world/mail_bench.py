"""What the mailbox's tests work with: an ordinary sender, and one that minds no rules."""

from __future__ import annotations

import smtplib
import socket
from email.message import EmailMessage
from urllib.parse import urlsplit

from world_bench import PATIENCE

from labapp.stack.state import mail_login

SENDER, RECIPIENT = "shop@shop.example", "customer@customers.example"


def message(subject: str = "", ref: str = "", body: str = "Thank you.") -> EmailMessage:
    """A mail as task code builds it."""
    made = EmailMessage()
    made["From"], made["To"] = SENDER, RECIPIENT
    if subject:
        made["Subject"] = subject
    if ref:
        made["X-Entity-Ref-ID"] = ref
    made.set_content(body)
    return made


def logged_in(mail_url: str, scope: str) -> smtplib.SMTP:
    """A connection made as task code makes it, from ``$MAIL_URL``."""
    where = urlsplit(mail_login(mail_url, scope))
    client = smtplib.SMTP(where.hostname or "", where.port or 0, timeout=PATIENCE)
    client.login(where.username or "", where.password or "")
    return client


def send(mail_url: str, scope: str, mail: EmailMessage) -> None:
    """Send one mail.  Raises what smtplib raises."""
    with logged_in(mail_url, scope) as client:
        client.send_message(mail)


class Rude:
    """A bare connection to a server."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self.socket = socket.create_connection((where.hostname, where.port), timeout=PATIENCE)

    def say(self, data: bytes) -> None:
        """Send these bytes, as far as the other end takes them."""
        self.socket.sendall(data)

    def flood(self, data: bytes, times: int) -> int:
        """Send this over and over; how often, until the other end hung up."""
        for count in range(times):
            try:
                self.socket.sendall(data)
            except OSError:
                return count
        return times

    def rest(self) -> bytes:
        """All that the other end says until it hangs up."""
        told = b""
        try:
            while data := self.socket.recv(65536):
                told += data
        except ConnectionResetError:
            pass
        return told

    def line(self) -> bytes:
        """One line of the other end."""
        told = b""
        while not told.endswith(b"\n"):
            if not (data := self.socket.recv(1)):
                break
            told += data
        return told

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Rude:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
