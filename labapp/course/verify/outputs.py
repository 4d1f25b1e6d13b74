"""Stored outputs are what the stored code gave, as far as that can be told without running it.

Invariants of ``labapp.course.verify``; static.  nbval compares the rest (``running``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from labapp.course.notebook_rules import problems
from labapp.course.notebooks import code_cells
from labapp.course.stored_outputs import PICTURE_OF, hashes
from labapp.course.verify.context import Context, Problem

AGAIN = "run `make outputs`, and look at the diff"


def notebooks_keep_the_rules(context: Context) -> Iterator[Problem]:
    """Executed, compared, without errors and without anything that varies."""
    for path, notebook in context.notebooks.items():
        for what in problems(notebook):
            yield Problem(path, what, "mend the cell, then run `make outputs`")


def outputs_are_stored_in_order(context: Context) -> Iterator[Problem]:
    """Cells are numbered as one run from top to bottom does; a new or a lost cell shifts them."""
    for path, notebook in context.notebooks.items():
        for cell in code_cells(notebook):
            count = cell.node.execution_count
            if count is not None and count != cell.number + 1:
                yield Problem(
                    f"{path}, cell {cell.number}",
                    f"its outputs were stored as number {count}",
                    AGAIN,
                )
                break  # those that follow are shifted, too


def cells_that_show_something_have_it_stored(context: Context) -> Iterator[Problem]:
    """A compared cell that ends with a value, or prints at its end, has an output."""
    for path, notebook in context.notebooks.items():
        for cell in code_cells(notebook):
            if not cell.ignores_output and not cell.node.outputs and shows_something(cell.source):
                yield Problem(f"{path}, cell {cell.number}", "nothing is stored of it", AGAIN)


def shows_something(source: str) -> bool:
    """Whether a cell surely shows something: its last line is a name, an attribute or a print."""
    try:
        last = ast.parse(source).body[-1:]
    except SyntaxError:  # a magic, or no Python, which another invariant tells
        return False
    if not last or not isinstance(last[0], ast.Expr) or source.rstrip().endswith(";"):
        return False
    shown = last[0].value
    if isinstance(shown, ast.Call):
        return isinstance(shown.func, ast.Name) and shown.func.id in ("print", "display")
    return isinstance(shown, ast.Name | ast.Attribute)


def pictures_are_of_their_code(context: Context) -> Iterator[Problem]:
    """A picture keeps the hash of the code up to its cell; other code needs a new run."""
    for path, notebook in context.notebooks.items():
        cells = code_cells(notebook)
        for cell, code in zip(cells, hashes(cells), strict=True):
            if cell.lab.get(PICTURE_OF, code) != code:
                yield Problem(
                    f"{path}, cell {cell.number}",
                    "its outputs are of other code, in it or above it",
                    AGAIN,
                )
                break


def lessons_show_and_check_their_exercise(context: Context) -> Iterator[Problem]:
    """The lesson of a stage has a cell with its exercise, and one whose check is compared."""
    for one in context.exercised:
        path, number = one.lesson.notebook, one.lesson.number
        if (notebook := context.notebooks.get(path)) is None:
            continue  # another invariant tells
        cells = [cell for cell in code_cells(notebook) if not cell.ignores_output]
        for wanted in (f'lab.exercise("{number}")', f'check("{number}")'):
            if not any(cell.source.strip() == wanted for cell in cells):
                yield Problem(path, f"no compared cell is {wanted}", "add one at 'Your turn'")


INVARIANTS = (
    lessons_show_and_check_their_exercise,
    notebooks_keep_the_rules,
    outputs_are_stored_in_order,
    cells_that_show_something_have_it_stored,
    pictures_are_of_their_code,
)
