"""Numbers in a lesson's prose have a cell behind them.

An invariant of ``labapp.course.verify``; static.  It is about digits; numbers in words ("two
settings", "ten orders") mostly count what stands on the page, and nobody could tell which do not.

What is looked at: every number, and every name with a digit in it (``order-3``, ``w2``), in the
paragraphs, lists and tables of Markdown cells.  It must stand in the source or the stored output of
a code cell of the same notebook.  Not looked at: code spans, code blocks, headings, texts of links;
stages ("stage 04", "appendix 02a"), versions ("Celery 5.7") and issues ("celery#4984").  What comes
from elsewhere is marked in its paragraph: ``<!-- cited: SOURCE -->``, which no reader sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from labapp.course.notebooks import Node, code_cells
from labapp.course.stored_outputs import PLACEHOLDER
from labapp.course.verify.context import Context, Problem

_NUMBER = r"\d+(?:[.,]\d+)*"
_STAGE = r"\d\d[a-z]?\b"
_EXEMPT = re.compile(
    rf"\b(?:stages?|appendix|appendices|notebooks?) {_STAGE}(?:(?:,| and| or| to) {_STAGE})*"
    r"|\b[\w.-]+#\d+"
    r"|\b(?:celery|kombu|billiard|redis|valkey|python|flower|rabbitmq|jupyterlab) \d+(?:\.\d+)*\b"
    r"|\b\d+\.\d+\.\d+\b",
    re.IGNORECASE,
)
_TOLD = re.compile(rf"(?P<name>[^\W\d_]\w*(?:-\w+)*)|(?P<number>{_NUMBER})")


@dataclass(frozen=True, slots=True)
class Told:
    """Numbers, and names with a digit in them, as they are written."""

    numbers: tuple[str, ...]
    names: tuple[str, ...]


def told_in(text: str) -> Told:
    """Numbers of a text, and names with a digit: ``order-3`` is a name, not a 3."""
    found = list(_TOLD.finditer(text))
    names = (match["name"] for match in found if match["name"])
    return Told(
        numbers=tuple(match["number"] for match in found if match["number"]),
        names=tuple(name for name in names if re.search(r"\d", name)),
    )


def told_by_prose(prose: str) -> Told:
    """The same of prose, without stages, versions and issues."""
    return told_in(_EXEMPT.sub(" ", prose))


def value(number: str) -> float:
    """``1,000`` is 1000, and ``90.0`` is 90; of more points (5.7.0) the first two parts."""
    return float(".".join(number.replace(",", "").split(".")[:2]))


def numbers_have_a_cell(context: Context) -> Iterator[Problem]:
    """Each number in prose stands in a cell of the notebook, or is marked as a citation."""
    for path, cells in context.cells.items():
        behind = told_in(shown_by_cells(context.notebooks[path]))
        values = {value(number) for number in behind.numbers}
        names = {name.lower() for name in behind.names}  # a sentence may begin with Order-3
        for cell in cells:
            for paragraph in cell.paragraphs:
                if paragraph.citations:
                    continue
                told = told_by_prose(paragraph.prose)
                missing = [number for number in told.numbers if value(number) not in values]
                missing += [name for name in told.names if name.lower() not in names]
                for what in dict.fromkeys(missing):
                    yield Problem(
                        cell.where,
                        f"no cell of the notebook shows {what!r}",
                        "let one print it, or mark the paragraph: <!-- cited: SOURCE -->",
                    )


def shown_by_cells(notebook: Node) -> str:
    """Source and stored text of every code cell."""
    parts: list[str] = []
    for cell in code_cells(notebook):
        parts.append(cell.source)
        parts += [text for output in cell.node.outputs for text in _texts(output)]
    return "\n".join(parts)


def _texts(output: Node) -> Iterator[str]:
    """What an output says in words; of its HTML and its pictures the same stands beside them."""
    yield str(output.get("text", ""))
    yield str(output.get("evalue", ""))
    plain = str(output.get("data", {}).get("text/plain", ""))
    yield "" if plain == PLACEHOLDER else plain


INVARIANTS = (numbers_have_a_cell,)
