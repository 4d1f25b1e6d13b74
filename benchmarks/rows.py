"""A row of the table that `make bench` prints. Nothing else, so that every benchmark may use it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure.

    Args:
        what: what was measured.
        value: the figure, in `unit`.
        goal: the most it may be, in `unit`; None where nothing was promised.
        before: what the same was before, or would be the other way; None where there is no such.
        unit: s (seconds), % or whatever `value` counts.
        note: how it was measured, a few words.
    """

    what: str
    value: float
    goal: float | None = None
    before: float | None = None
    unit: str = "s"
    note: str = ""

    @property
    def met(self) -> str:
        """Whether the goal is met: yes, NO, or nothing where there is none."""
        if self.goal is None:
            return ""
        return "yes" if self.value <= self.goal else "NO"

    @property
    def ratio(self) -> str:
        """How many times as large it was before."""
        return f"{self.before / self.value:.1f}x" if self.before and self.value else ""

    def columns(self) -> tuple[str, ...]:
        """The row's texts, in the order of HEADINGS."""
        goal, before = self._figure(self.goal), self._figure(self.before)
        return (self.what, self._figure(self.value), goal, self.met, before, self.ratio, self.note)

    def _figure(self, value: float | None) -> str:
        return "" if value is None else f"{value:,.2f} {self.unit}"


HEADINGS = ("what", "measured", "at most", "met", "before", "before/now", "note")
EMPTY_IF_UNUSED = ("before", "before/now")


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table; the columns about 'before' only where a row has one."""
    lines = [HEADINGS, *(row.columns() for row in rows)]
    unused = {h for h in EMPTY_IF_UNUSED if not any(row.before for row in rows)}
    kept = [number for number, heading in enumerate(HEADINGS) if heading not in unused]
    cells = [[line[number] for number in kept] for line in lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(kept))]
    padded = [
        [text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in cells
    ]
    rule = ["-" * width for width in widths]
    return "\n".join(f"| {' | '.join(line)} |" for line in [padded[0], rule, *padded[1:]])
