"""Business keys as a reader wants them: printable, and runs of numbers folded.

Depends on nothing; every view shows keys through here, so that they look the same everywhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST = 12  # pieces shown before the rest is only counted; a line stays a line
_SHORTEST_RUN = 3
_NUMBERED = re.compile(r"(.*?)([0-9]{1,15})", re.DOTALL)


def fold(keys: Iterable[str], limit: int | None = LONGEST) -> str:
    """`keys` in their order, three or more in a row as "order-5 … order-10".

    After `limit` pieces the rest is counted ("and 3 more"); None shows all.
    """
    runs = [piece for run in _runs(keys) for piece in _pieces(run)]
    shown = runs if limit is None else runs[:limit]
    hidden = sum(size for _, size in runs[len(shown) :])
    more = f" and {hidden} more" if hidden else ""
    return ", ".join(text for text, _ in shown) + more


def printable(text: str) -> str:
    """`text` itself, or its quoted form where it is empty or would break a line."""
    return text if text and text.isprintable() else repr(text)


def one_line(text: str) -> str:
    """Free text on one line: white space as single blanks, the unprintable as in `repr`."""
    flat = " ".join(text.split())
    return flat if flat.isprintable() else repr(flat)


def successor(key: str) -> str | None:
    """The key with the next number ("order-9" → "order-10"), None for one without a number."""
    match = _NUMBERED.fullmatch(key)
    if match is None:
        return None
    stem, digits = match.groups()
    return f"{stem}{str(int(digits) + 1).zfill(len(digits))}"


def _runs(keys: Iterable[str]) -> Iterator[list[str]]:
    """The keys cut wherever one does not follow its neighbour."""
    run: list[str] = []
    for key in keys:
        if run and successor(run[-1]) != key:
            yield run
            run = []
        run.append(key)
    if run:
        yield run


def _pieces(run: list[str]) -> list[tuple[str, int]]:
    """What is printed for a run, each with the number of keys that it stands for."""
    if len(run) < _SHORTEST_RUN:
        return [(printable(key), 1) for key in run]
    return [(f"{printable(run[0])} … {printable(run[-1])}", len(run))]
