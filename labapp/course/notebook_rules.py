"""What nbval lets pass in silence, and a lesson must not do. Static: reads, never runs.

Depends on `labapp.course.notebooks` and IPython's own translation of magics.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from labapp.course.notebooks import PICTURES, CodeCell, Node, code_cells, tags_as_markers

# A magic that IPython does not know passes nbval, so only these few may be used.
ALLOWED_MAGICS = frozenset({"load_ext", "autoreload", "matplotlib", "config"})
_MAGIC_CALLS = frozenset({"run_line_magic", "run_cell_magic"})
_SHELL_CALLS = frozenset({"system", "getoutput"})

# Text that differs between machines or runs, and must not be stored.
_VARYING = {
    "an absolute path": re.compile(
        r"(?<![\w:/.\-])/(?:home|root|Users|tmp|private|var/folders|work|mnt|opt|usr|proc)/[\w.]"
        r"|\b[A-Z]:\\\\?Users\b"
    ),
    "a process id": re.compile(r"\bpids?\b['\"]?\s*[=:#]?\s*\[?\d{2,}", re.IGNORECASE),
    "an ISO time": re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d"),
    "a memory address": re.compile(r"\bat 0x[0-9a-fA-F]{6,}"),
    "a generated id": re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    # The well-known ports (localhost:6379) are of no run; free ones have five digits.
    "a port of this run": re.compile(r"\b(?:127\.0\.0\.1|localhost):\d{5}\b"),
}
_OPAQUE = ("image/png", "image/jpeg")  # base64: letters mean nothing
_STATE = ("metadata", "output_type", "execution_count")


def problems(notebook: Node) -> list[str]:
    """Everything that is wrong with a notebook before it is run, one line each."""
    cells = code_cells(notebook)
    found = [*_wholesale(notebook, cells)]
    for cell in cells:
        found += [f"cell {cell.number}: {text}" for text in _cell_problems(cell)]
    return found


def _cell_problems(cell: CodeCell) -> Iterator[str]:
    if cell.skipped:
        yield "NBVAL_SKIP: a cell that is not run proves nothing; remove the marker or the cell"
    if "NBVAL_RAISES_EXCEPTION" in cell.markers:
        yield "NBVAL_RAISES_EXCEPTION is nbval's alone: use the tag raises-exception"
    yield from _never_run(cell)
    yield from _forbidden_calls(cell)
    yield from _stored_errors(cell)
    yield from _stored_variety(cell)
    yield from _pictures_alone(cell)


def _wholesale(notebook: Node, cells: list[CodeCell]) -> Iterator[str]:
    if any(marker.startswith("NBVAL") for marker in tags_as_markers(notebook.metadata)):
        yield "the notebook's own metadata carries an nbval tag; mark single cells instead"
    ran = [cell for cell in cells if not cell.empty]
    compared = [cell for cell in ran if not cell.ignores_output]
    if ran and not compared:
        yield "every cell is marked NBVAL_IGNORE_OUTPUT: nothing is compared"
    elif ran and not any(cell.node.outputs for cell in compared):
        yield "no compared cell has a stored output: run `make outputs`"


def _never_run(cell: CodeCell) -> Iterator[str]:
    """Without an execution count nbval compares nothing, and says nothing."""
    if cell.empty or cell.ignores_output or cell.node.execution_count is not None:
        return
    yield "never executed, so nbval would compare nothing: run `make outputs`"


def _forbidden_calls(cell: CodeCell) -> Iterator[str]:
    try:
        tree = _parsed(cell.source)
    except SyntaxError as error:
        yield f"is not Python: {error.msg}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _forbidden_call(node, node.func.attr)


def _parsed(source: str) -> ast.Module:
    """The cell as Python; IPython, slow to import, is asked only about what is none by itself."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.parse(_as_python(source))


def _as_python(source: str) -> str:
    """The cell with magics and shell escapes turned into calls, as IPython does it."""
    from IPython.core.inputtransformer2 import TransformerManager

    manager = TransformerManager()  # type: ignore[no-untyped-call]
    return str(manager.transform_cell(source))


def _forbidden_call(call: ast.Call, method: str) -> Iterator[str]:
    owner = ast.unparse(call.func).rpartition(".")[0]
    if owner != "get_ipython()":
        return
    argument = call.args[0] if call.args else None
    text = str(argument.value) if isinstance(argument, ast.Constant) else "?"
    if method in _SHELL_CALLS:
        yield f"shell escape !{text}: write Python, which fails when it fails"
    elif method in _MAGIC_CALLS and text not in ALLOWED_MAGICS:
        yield f"magic %{text} is not one of {', '.join(sorted(ALLOWED_MAGICS))}"


def _stored_errors(cell: CodeCell) -> Iterator[str]:
    errors = [output for output in cell.node.outputs if output.output_type == "error"]
    if errors and not cell.must_raise:
        yield f"the stored output is an error ({errors[0].ename}): mend the cell"
    elif any(len(error.traceback) > 1 for error in errors):
        yield "the stored output is a whole traceback: run `make outputs`"
    if "Traceback (most recent call last)" in stored_text(cell.node.outputs):
        yield "the stored output contains a traceback"


def _stored_variety(cell: CodeCell) -> Iterator[str]:
    text = stored_text(cell.node.outputs)
    for what in varying_parts(text):
        yield f"the stored output contains {what}"


def _pictures_alone(cell: CodeCell) -> Iterator[str]:
    """Pictures are not compared, so a compared cell needs the same in words beside each."""
    pictures = [] if cell.ignores_output else [o for o in cell.node.outputs if shows_picture(o)]
    if any(_says_nothing(str(picture.data.get("text/plain", ""))) for picture in pictures):
        yield "shows a picture that nothing compares: give it a text (__repr__) that says the same"


def _says_nothing(text: str) -> bool:
    """Python's own repr of an object, or no text at all."""
    return not text or bool(re.fullmatch(r"<.*>", text, re.DOTALL))


def shows_picture(output: Node) -> bool:
    """Whether a reader sees a picture there."""
    return any(mime in PICTURES for mime in output.get("data", {}))


def varying_parts(text: str) -> list[str]:
    """What in a text differs between machines or runs: quoted, with what it is."""
    found = [
        f"{what}: {match[0]!r}"
        for what, pattern in _VARYING.items()
        if (match := pattern.search(text))
    ]
    return found + [f"a path of this machine: {path!r}" for path in _own_paths() if path in text]


def _own_paths() -> list[str]:
    """Folders that are certainly of this machine; a root as short as / or /app proves nothing."""
    paths = (str(path) for path in (Path(sys.prefix), Path.cwd(), Path.home()))
    return sorted({path for path in paths if len(Path(path).parts) > 2})


def stored_text(outputs: list[Node]) -> str:
    """All that a reader of the stored outputs could see, as one text."""
    return "\n".join(_texts(output) for output in outputs)


def _texts(output: Node) -> str:
    parts = [value for key, value in output.items() if key not in ("data", *_STATE)]
    parts += [value for mime, value in output.get("data", {}).items() if mime not in _OPAQUE]
    return "\n".join(part if isinstance(part, str) else json.dumps(part) for part in parts)
