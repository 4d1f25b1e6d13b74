"""Pieces of SVG that every picture is made of: a canvas, boxes, text, and colours.

Static and complete in itself: no script, style sheet, font or id, its own light background, text
escaped.  Colours are Okabe and Ito's, which everybody can tell apart.  Depends on nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

# Okabe & Ito, Color Universal Design (2002)
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
INK, QUIET, RULE, BAND, PAPER = "#222", "#666", "#ccc", "#f3f3f0", "#fdfdfb"
NOBODY = "#999"


def canvas(width: float, height: float, title: str, description: str, parts: Iterable[str]) -> str:
    """A whole picture: a sheet of light paper, and these parts on it.

    Args:
        width: in pixels.
        height: in pixels.
        title: its name, for those who hear it.
        description: all that it says, in words.
        parts: what is drawn, in order.
    """
    wide, high = px(width), px(height)
    look = f'role="img" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="{INK}"'
    size = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    fits = 'style="max-width: 100%; height: auto"'  # beside a file list a notebook is narrower
    sheet = rect(0.5, 0.5, width - 1, height - 1, PAPER, f' rx="6" stroke="{RULE}"')
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {fits} {look}>',
        f"<title>{clean(title)}</title><desc>{clean(description)}</desc>",
        sheet,
    ]
    return "\n".join([*head, *parts, "</svg>"])


def rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    """A box; ``more`` is further attributes, each with a space before it."""
    size = f'width="{px(width)}" height="{px(height)}"'
    return f'<rect x="{px(x)}" y="{px(y)}" {size} fill="{fill}"{more}/>'


def written(x: float, y: float, words: str, more: str = "") -> str:
    """Text at a place; ``more`` is further attributes, each with a space before it."""
    return f'<text x="{px(x)}" y="{px(y)}"{more}>{clean(words)}</text>'


def px(number: float) -> str:
    """A number with one decimal at most."""
    return f"{number:.1f}".removesuffix(".0")


def clean(words: str) -> str:
    """Text that XML allows: control characters and lone surrogates would break the file."""
    return escape("".join(c if _allowed(c) else "\ufffd" for c in words), quote=False)


def _allowed(c: str) -> bool:
    return c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
