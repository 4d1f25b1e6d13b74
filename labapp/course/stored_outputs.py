"""Outputs as they are stored in the repository: a second execution changes no byte.

Pure: notebooks in, notebook out. Used by `scripts/outputs.py`; depends on
`labapp.course.notebooks`.

A cell whose output is compared stores what it printed. A cell marked NBVAL_IGNORE_OUTPUT stores
one fixed line instead of its text. A picture of either is kept from the execution that first showed
it, for as long as the code up to and including that cell stays the same (its hash is stored in the
cell's metadata) and, in a compared cell, the text beside it; so that a reader on GitHub sees a real
one that belongs to its text.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator

from nbformat.v4 import new_output

from labapp.course.notebook_rules import shows_picture, stored_text, varying_parts
from labapp.course.notebooks import PICTURES, CodeCell, Node, code_cells

PLACEHOLDER = "(this output differs from run to run: run the cell to see yours)"
PICTURE_OF = "picture_of"
_CHANGING_METADATA = ("ExecuteTime", "collapsed", "execution", "scrolled", "vscode", "papermill")
_WIDGETS = (
    "application/vnd.jupyter.widget-view+json",
    "application/vnd.jupyter.widget-state+json",
)
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def normalised(executed: Node, stored: Node, *, fresh: bool = False) -> Node:
    """The executed notebook with nothing in it that changes from run to run.

    Args:
        executed: the notebook just after execution in a fresh kernel.
        stored: the notebook as it is in the repository; gives the pictures that are kept.
        fresh: take new pictures.
    """
    result = copy.deepcopy(executed)
    result.metadata = {"kernelspec": _KERNEL, "language_info": {"name": "python"}, **_own(result)}
    kept = {} if fresh else kept_pictures(stored)
    cells = code_cells(result)
    for cell, code in zip(cells, hashes(cells), strict=True):
        _normalise_cell(cell, code, kept)
    return result


def _own(notebook: Node) -> dict[str, Node]:
    """The notebook's metadata that authors write themselves."""
    return {key: value for key, value in notebook.metadata.items() if key in ("lab", "tags")}


def hashes(cells: list[CodeCell]) -> Iterator[str]:
    """For each cell, a hash of all code up to and including it."""
    digest = hashlib.sha256()
    for cell in cells:
        digest.update(cell.source.encode() + b"\0")
        yield digest.hexdigest()[:16]


def kept_pictures(stored: Node) -> dict[str, list[Node]]:
    """The outputs with a picture that the stored notebook has, by the hash of their code."""
    return {
        str(cell.lab[PICTURE_OF]): list(cell.node.outputs)
        for cell in code_cells(stored)
        if PICTURE_OF in cell.lab
    }


def _normalise_cell(cell: CodeCell, code: str, kept: dict[str, list[Node]]) -> None:
    node = cell.node
    for key in _CHANGING_METADATA:
        node.metadata.pop(key, None)
    # A count is needed: nbval does not compare a cell that was never executed.
    node.execution_count = None if cell.empty else cell.number + 1
    outputs = [_normalised_output(output, node.execution_count) for output in node.outputs]
    node.outputs = [output for output in _merged(outputs) if output is not None]
    _set_picture(cell, "")
    if cell.ignores_output:
        _store_something_that_stays(cell, code, kept)
    elif any(map(shows_picture, node.outputs)):
        _keep_pictures(node.outputs, kept.get(code, []))
        _set_picture(cell, code)


def _normalised_output(output: Node, count: int | None) -> Node:
    """One output, or None if nothing of it can be stored."""
    if output.output_type == "error":
        output.traceback = [f"{output.ename}: {output.evalue}"]
    if "execution_count" in output:
        output.execution_count = count
    if "data" not in output:
        return output
    output.metadata = {}
    for mime in _WIDGETS:
        output.data.pop(mime, None)
    return output if output.data else None


def _merged(outputs: list[Node]) -> list[Node]:
    """All text of one stream in one output, where its first part was, as nbval merges it."""
    merged: list[Node] = []
    streams: dict[str, Node] = {}
    for output in outputs:
        if output is None or output.output_type != "stream":
            merged.append(output)
        elif output.name in streams:
            streams[output.name].text += output.text
        else:
            streams[output.name] = output
            merged.append(output)
    return merged


def _store_something_that_stays(cell: CodeCell, code: str, kept: dict[str, list[Node]]) -> None:
    node = cell.node
    pictures = [output for output in map(_picture, node.outputs) if output is not None]
    if pictures:
        node.outputs = kept.get(code) or pictures
        _set_picture(cell, code)
    elif node.outputs:
        node.outputs = [new_output("display_data", data={"text/plain": PLACEHOLDER})]  # type: ignore[no-untyped-call]


def _keep_pictures(outputs: list[Node], kept: list[Node]) -> None:
    """Put the kept pictures in place of new ones that stand beside the same text."""
    for output, old in zip(outputs, kept, strict=False):
        if shows_picture(output) and _without_pictures(output) == _without_pictures(old):
            output.data = old.data


def _without_pictures(output: Node) -> dict[str, Node]:
    """What is compared of an output's data; the kinds of its pictures count, too."""
    data = output.get("data", {})
    return {mime: None if mime in PICTURES else shown for mime, shown in data.items()}


def _picture(output: Node) -> Node:
    """The output with its pictures alone and a fixed text beside them; None if it has none."""
    pictures = {mime: data for mime, data in output.get("data", {}).items() if mime in PICTURES}
    if not pictures or varying_parts(json.dumps(pictures)):
        return None
    return new_output("display_data", data={**pictures, "text/plain": PLACEHOLDER})  # type: ignore[no-untyped-call]


def _set_picture(cell: CodeCell, code: str) -> None:
    lab = cell.lab
    lab.pop(PICTURE_OF, None)
    if code:
        lab[PICTURE_OF] = code
    if lab:
        cell.node.metadata["lab"] = lab
    else:
        cell.node.metadata.pop("lab", None)


def what_varies(notebook: Node) -> list[str]:
    """What a normalised notebook still stores that will differ in the next run, one line each."""
    return [
        f"cell {cell.number}: {what}"
        for cell in code_cells(notebook)
        for what in varying_parts(stored_text(cell.node.outputs))
    ]
