"""Small pieces of HTML for Jupyter: escaped, styled inline, without scripts or assets.

Colours are JupyterLab's own variables, so that both themes stay legible; where they are missing
(GitHub, an exported page) the text keeps the page's colour. Depends on `labapp.views.answer` only.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from labapp.views.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable

_CODE = re.compile(r"`([^`]+)`")
_LINE = "var(--jp-border-color1, #8888)"
_TEXT = "color: var(--jp-content-font-color1, inherit)"
_QUIET = "color: var(--jp-content-font-color2, inherit)"
_CELL = f"padding: 0.3em 0.8em; border-bottom: 1px solid {_LINE}; vertical-align: top"
# Blue and orange: told apart by everybody, and each stands beside its symbol and its word.
_BARS = {Answer.YES: "#3a86d8", Answer.NO: "#d9730d", Answer.UNKNOWN: "#888888"}


def table(head: str, body: Iterable[str], caption: str = "") -> str:
    """A table from ready-made rows; `caption` is plain text."""
    style = f"border-collapse: collapse; margin: 0.3em 0; {_TEXT}"
    title = f'<caption style="text-align: left; {_QUIET}">{text(caption)}</caption>'
    parts = [title if caption else "", f"<thead>{head}</thead>" if head else ""]
    return f'<table style="{style}">{"".join(parts)}<tbody>{"".join(body)}</tbody></table>'


def prose(words: str) -> str:
    """A text of sentences, escaped, with what stands `in backticks` as code."""
    return _CODE.sub(r"<code>\1</code>", text(words))


def row(cells: Iterable[str]) -> str:
    """One row from ready-made cells."""
    return f"<tr>{''.join(cells)}</tr>"


def header(words: str, scope: str = "row") -> str:
    """A heading cell for its row or (`scope="col"`) its column."""
    return f'<th scope="{scope}" style="{_CELL}; text-align: left">{text(words)}</th>'


def cell(value: str | int) -> str:
    """A cell: numbers to the right, an Answer with its symbol and a bar in its colour."""
    if isinstance(value, Answer):
        style = f"{_CELL}; text-align: left; border-left: 0.4em solid {_BARS[value]}"
        return f'<td style="{style}"><strong>{value.symbol} {value}</strong></td>'
    side = "right" if isinstance(value, int) else "left"
    return f'<td style="{_CELL}; text-align: {side}">{text(value)}</td>'


def lines(parts: Iterable[str]) -> str:
    """A cell of several lines of plain text."""
    return f'<td style="{_CELL}; text-align: left">{"<br>".join(map(text, parts))}</td>'


def quiet(words: str) -> str:
    """A line of small print below a table."""
    return f'<div style="font-size: 90%; {_QUIET}">{text(words)}</div>'


def collapsed(summary: str, inner: str) -> str:
    """`inner` (HTML) behind a click on `summary` (plain text)."""
    return f'<details><summary style="{_TEXT}">{text(summary)}</summary>{inner}</details>'


def text(value: object) -> str:
    """Any value as escaped text."""
    return escape(str(value))
