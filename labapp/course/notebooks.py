"""Lesson notebooks as files: which there are, and what each of their cells is for.

Used by the nbval plugin in `notebooks/conftest.py`, by `scripts/outputs.py` and by the tests;
depends on nbformat only.

What a cell is for stands in its metadata, under `lab`:

* `{"setup": true}`: needed by every experiment of the notebook;
* `{"experiment": NAME}`: part of an experiment; exactly one cell of each experiment also has
  `"flip": [OLD, NEW]`, the one setting whose change must turn the notebook red;
* `{"free": true}`: for the reader to play in; may run what it likes;
* `{"slide": true}` or `false`, beside the others or alone: shown by `lab slides`, or not, whatever
  it is for (`labapp.course.slides`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import nbformat

from labapp.errors import LabError

Node: TypeAlias = Any  # an nbformat.NotebookNode; nbformat is not typed

PICTURES = ("image/svg+xml", "image/png", "image/jpeg")
"""What may differ from run to run in an output: the text beside it is compared."""
CASES = "cases"
"""The folder of the case files, beside the lessons."""
_STAGE_NAME = re.compile(r"(\d\d)[a-z]?_\w+")
# Also the name that nbval keeps for old notebooks: it silences as well.
_IGNORE_MARKERS = frozenset({"NBVAL_IGNORE_OUTPUT", "PYTEST_VALIDATE_IGNORE_OUTPUT"})
_RAISES_MARKERS = frozenset({"NBVAL_RAISES_EXCEPTION", "RAISES_EXCEPTION"})
_SKIP_MARKERS = frozenset({"NBVAL_SKIP"})


@dataclass(frozen=True, slots=True)
class CodeCell:
    """One code cell. `number` counts code cells from 0, as nbval's reports do."""

    number: int
    node: Node

    @property
    def source(self) -> str:
        """The cell's text."""
        return str(self.node.source)

    @property
    def lab(self) -> dict[str, Any]:
        """The cell's `lab` metadata; empty if it has none."""
        return dict(self.node.metadata.get("lab", {}))

    @property
    def markers(self) -> frozenset[str]:
        """nbval's markers on this cell, from comments and tags, as SPELLED_LIKE_THIS."""
        return markers_in(self.source) | tags_as_markers(self.node.metadata)

    @property
    def ignores_output(self) -> bool:
        """True if nbval will not compare what this cell prints."""
        return bool(self.markers & _IGNORE_MARKERS)

    @property
    def must_raise(self) -> bool:
        """True if the cell is declared to end in an exception."""
        return bool(self.markers & _RAISES_MARKERS)

    @property
    def skipped(self) -> bool:
        """True if nbval would not run the cell."""
        return bool(self.markers & _SKIP_MARKERS)

    @property
    def empty(self) -> bool:
        """True if there is nothing to run."""
        return not self.source.strip()


def markers_in(source: str) -> frozenset[str]:
    """Comment lines of a cell that could be markers: the whole comment is one word."""
    comments = (line.strip() for line in source.splitlines())
    return frozenset(line.lstrip("#").strip() for line in comments if line.startswith("#"))


def tags_as_markers(metadata: Node) -> frozenset[str]:
    """`nbval-ignore-output` → `NBVAL_IGNORE_OUTPUT`, for each tag of a cell or notebook."""
    tags = metadata.get("tags") or []
    return frozenset(str(tag).upper().replace("-", "_") for tag in tags)


def stage_of(path: Path) -> str | None:
    """The two digits of the stage a notebook belongs to (02a_shutdown.ipynb → "02"), "cases" for
    a case file, or None."""
    if path.parent.name == CASES:
        return CASES
    match = _STAGE_NAME.fullmatch(path.stem)
    return match[1] if match else None


def is_main_lesson(path: Path) -> bool:
    """Whether a notebook is a stage's lesson: neither an appendix nor a case file."""
    return path.stem.partition("_")[0].isdigit()


def notebooks_in(folder: Path, stage: str = "") -> list[Path]:
    """The lessons in a folder by name, with appendices, then the case files; or one stage's.

    Raises:
        LabError: a stage was asked for and has no notebook.
    """
    found = [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob(f"{CASES}/*.ipynb"))]
    lessons = {path: stage_of(path) for path in found}
    if not stage:
        return list(lessons)
    if stage not in lessons.values():
        known = sorted({number for number in lessons.values() if number})
        raise LabError(
            f"no notebook of stage {stage!r} in {folder.name}/",
            hint=f"stages with a notebook: {', '.join(known) or 'none'}",
        )
    return [path for path, number in lessons.items() if number == stage]


def read(path: Path) -> Node:
    """The notebook in a file, as nbformat 4.

    Raises:
        LabError: the file is missing or is no notebook.
    """
    try:
        return nbformat.read(str(path), as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, nbformat.ValidationError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LabError(
            f"{path.name} is not a notebook that can be read: {reason}",
            hint="restore it with `git checkout`",
        ) from None


def code_cells(notebook: Node) -> list[CodeCell]:
    """The notebook's code cells in order, numbered from 0."""
    nodes = (node for node in notebook.cells if node.cell_type == "code")
    return [CodeCell(number, node) for number, node in enumerate(nodes)]
