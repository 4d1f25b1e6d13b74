"""A timeline as plain numbers, in pixels: what the layout hands to whoever writes it down.

Depends on nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyph:
    """A mark at a place. `label`: the word beside it; empty where there is no room."""

    x: float
    y: float
    kind: str
    word: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A bar from x0 to x1. `kind`: wait, try, asleep, adrift (unacked, with nobody), life."""

    x0: float
    x1: float
    y: float
    kind: str
    worker: int  # its number, from 0; -1 for none


@dataclass(frozen=True, slots=True)
class Name:
    """A worker's name above the beginning of its bar."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its tasks, and what is drawn for them. `ticks`: the effects of a folded row."""

    y: float
    height: float
    name: str
    fate: str
    keys: tuple[str, ...]
    spans: tuple[Span, ...] = ()
    glyphs: tuple[Glyph, ...] = ()
    names: tuple[Name, ...] = ()
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Break:
    """A journey in time."""

    x0: float
    x1: float
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the legend; `kind` of a glyph or, with `bar`, of a span."""

    x: float
    y: float
    kind: str
    word: str
    bar: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole timeline, ready to be written down. `top`: where the rows of workers begin."""

    width: float
    height: float
    lives: tuple[Row, ...]
    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    breaks: tuple[Break, ...]
    legend: tuple[Entry, ...]
    axis_y: float
    top: float
