"""Kinds of effect, and what an effect is called where several kinds may meet.

Pure.  Used by the world, by faults, and by the lab when it says what a run expects.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Where an effect lands: with the payment partner, in the mailbox, among the files, or as a
    row of the shop's own database."""

    CHARGE = "charge"
    MAIL = "mail"
    FILE = "file"
    BOOKING = "booking"
    """No server of the world takes it, so no fault can strike at it; it is read after the run."""


SERVED = (Kind.CHARGE, Kind.MAIL, Kind.FILE)
"""Kinds that come as requests to the world."""


def named(kind: str, key: str) -> str:
    """What the history calls the effect of this business key.

    A charge goes by its key alone, since most runs know nothing else: ``order-3``; the others
    say what they are: ``mail of order-3``, ``booking of order-3``."""
    return key if kind == Kind.CHARGE else f"{kind} of {key}"
