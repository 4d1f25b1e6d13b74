"""The answer to a yes-or-no question about a run, in words first and symbols second.

Depends on nothing; colour never carries the meaning.
"""

from __future__ import annotations

from enum import StrEnum


class Answer(StrEnum):
    """A three-valued answer; its value is the word that is printed."""

    YES = "yes"
    NO = "NO"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, holds: bool | None) -> Answer:
        """The answer for a property of a verdict, where None means unknown."""
        return cls.UNKNOWN if holds is None else cls.YES if holds else cls.NO

    @property
    def symbol(self) -> str:
        """A sign that differs in shape, for rich views."""
        return {Answer.YES: "✓", Answer.NO: "✗", Answer.UNKNOWN: "?"}[self]
