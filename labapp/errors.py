"""The one error the lab shows to people instead of a traceback.

Bottom of the dependency list: everything may import it, it imports nothing.
"""

from __future__ import annotations


class LabError(Exception):
    """A foreseeable mistake, told in one line.

    Args:
        message: what is wrong, one line, without a full stop.
        hint: how to mend it, one line; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Both lines in one, for places that know nothing of hints (a notebook, a log)."""
        return f"{self.message} ({self.hint})" if self.hint else self.message

    @property
    def lines(self) -> list[str]:
        """What people are shown: what is wrong, and how to mend it where that is known."""
        return [f"lab: {self.message}", *([f"     {self.hint}"] if self.hint else [])]

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return self.lines
