"""Kinds of effect, and what an effect is called where several kinds may meet.

Pure.  Used by the world, by faults, and by the lab when it says what a run expects.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Where an effect lands: with the payment partner, in the mailbox, or among the files."""

    CHARGE = "charge"
    MAIL = "mail"
    FILE = "file"


def named(kind: str, key: str) -> str:
    """What the history calls the effect of this business key.

    A charge goes by its key alone, since most runs know nothing else: ``order-3``; the others
    say what they are: ``mail of order-3``."""
    return key if kind == Kind.CHARGE else f"{kind} of {key}"
