"""The payment partner, as the tasks of lesson 05 call it.

One key for each order, as in stage 04: however often the partner is asked, the customer pays once.
"""

import os

import httpx

PARTNER = os.environ.get("PARTNER_URL", "http://localhost:8000/live")
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that say: not now.  All others from 400 on say: not like this, however often you ask."""


class NotNow(Exception):
    """The partner cannot at the moment.

    Args:
        status: of its answer.
        wait: seconds that it asks us to stay away; 0 where it does not say.
    """

    def __init__(self, status: int, wait: float = 0.0) -> None:
        super().__init__(status, wait)
        self.wait = wait


def ask(order: str, timeout: float | None = 5.0) -> httpx.Response:
    """Ask for the charge of this order, once.  Raises httpx.TransportError."""
    return httpx.post(
        f"{PARTNER}/charges",
        json={"order": order},
        headers={"Idempotency-Key": order},
        timeout=timeout,
    )


def charged(order: str, timeout: float | None = 5.0) -> str:
    """The charge's status.

    Raises:
        NotNow: it may go well later.
        httpx.HTTPStatusError: it will not.
        httpx.TransportError: nobody knows; the key makes it safe to ask again.
    """
    answer = ask(order, timeout)
    if answer.status_code in PASSING:
        asked = answer.headers.get("Retry-After", "")
        raise NotNow(answer.status_code, float(asked) if asked.isdigit() else 0.0)
    answer.raise_for_status()
    return answer.json()["status"]
