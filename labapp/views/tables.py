"""Tables: the broker's contents, and verdicts side by side.

Depends on the checker and on the smaller views. Rows are shown in the order given: whoever makes
a table sees to it that the order is the same on every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labapp.views import markup
from labapp.views.answer import Answer
from labapp.views.keys import fold, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labapp.checker.verdict import Verdict
    from labapp.views.verdict import VerdictView

Cell = str | int
NONE = "-"
NOT_JUDGED = "?"


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Rows under columns, shown as aligned text or as HTML.

    columns: the headings; each row has as many cells. caption: a line above, "" for none.
    collapsed: in Jupyter, shown as its caption until clicked. Raises ValueError where a row
    does not fit the columns.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    collapsed: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(row)} cells for {len(self.columns)} columns: {row!r}")

    def __repr__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(_flat(cell)) for cell in column) for column in zip(*lines, strict=True)]
        shown = [_joined(line, widths) for line in lines]
        return "\n".join([self.caption, *shown] if self.caption else shown)

    def _repr_html_(self) -> str:
        head = markup.row(markup.header(name, scope="col") for name in self.columns)
        body = (markup.row(map(markup.cell, row)) for row in self.rows)
        if not self.collapsed:
            return markup.table(head, body, self.caption)
        return markup.collapsed(self.caption or "show", markup.table(head, body))


def comparison(rows: Mapping[str, Verdict | VerdictView], caption: str = "") -> Table:
    """Verdicts side by side, one row per name.

    Columns for what is rare (dead-lettered, unexpected, why unknown) only where it occurred.
    """
    always = ("lost", "duplicated", "stuck", "failed")
    rare = [n for n in ("dead_lettered", "unexpected") if any(getattr(v, n) for v in rows.values())]
    names = (*always, *rare)
    columns = ["run", "at least once", "exactly once", *map(_heading, names)]
    cells = [_compared(name, verdict, names) for name, verdict in rows.items()]
    if any(verdict.unknown for verdict in rows.values()):
        columns.append("unknown because")
        for row, verdict in zip(cells, rows.values(), strict=True):
            row.append(one_line(verdict.unknown) if verdict.unknown else NONE)
    return Table(columns, cells, caption)


def _compared(name: str, verdict: Verdict | VerdictView, fields: Sequence[str]) -> list[Cell]:
    keys = (NOT_JUDGED if verdict.unknown else fold(getattr(verdict, f)) or NONE for f in fields)
    return [name, Answer.of(verdict.at_least_once), Answer.of(verdict.exactly_once), *keys]


def _heading(field: str) -> str:
    return field.replace("_", "-")


def _joined(row: Sequence[Cell], widths: Sequence[int]) -> str:
    cells = zip(row, widths, strict=True)
    return "  ".join(
        f"{cell:>{width}}" if isinstance(cell, int) else f"{_flat(cell):<{width}}"
        for cell, width in cells
    ).rstrip()


def _flat(cell: Cell) -> str:
    return one_line(str(cell))
