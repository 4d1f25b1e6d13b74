"""Execute the lessons and store their outputs, normalised: `make outputs`.

    python scripts/outputs.py [--check] [--stage NN] [--fresh] [NOTEBOOK ...]

Each notebook runs in a fresh kernel on one headless stack. A second run changes no byte, so a
changed verdict is a diff to review. A notebook with a failing cell stays as it was. Exit status:
0, or 1 when a cell failed or, with --check, when something would change.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from labapp.course.kernels import Environment  # noqa: E402
from labapp.course.notebooks import code_cells, notebooks_in, read  # noqa: E402
from labapp.course.stored_outputs import normalised, what_varies  # noqa: E402
from labapp.errors import LabError  # noqa: E402

CELL_TIMEOUT = 60  # seconds, as under nbval
LOG_TAIL_LINES = 15
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main(arguments: list[str] | None = None) -> int:
    """Do what the module says; the exit status."""
    options = _parser().parse_args(arguments)
    environment = Environment(with_stack=not options.no_stack)
    try:
        paths = options.notebooks or notebooks_in(options.folder, options.stage)
        outcomes = [_one(path, options, environment) for path in paths]
    except LabError as error:
        print(f"outputs: {error.message}", f"  {error.hint}".rstrip(), sep="\n", file=sys.stderr)
        return 1
    finally:
        environment.close()
    return 0 if all(outcomes) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Store the outputs of the lessons, normalised.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="these, instead of all")
    parser.add_argument("--check", action="store_true", help="change nothing; show a diff, exit 1")
    parser.add_argument("--fresh", action="store_true", help="take new pictures")
    parser.add_argument("--stage", default="", metavar="NN", help="only one stage's notebooks")
    parser.add_argument("--folder", type=Path, default=ROOT / "notebooks", help=argparse.SUPPRESS)
    parser.add_argument("--no-stack", action="store_true", help=argparse.SUPPRESS)
    return parser


def _one(path: Path, options: argparse.Namespace, environment: Environment) -> bool:
    """Execute one notebook and store or compare it; False if the script should exit with 1."""
    began = time.monotonic()
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    failure, text = _fresh_text(path, environment, fresh=options.fresh)
    if failure:
        _say(path, began, "FAILED, left as it was")
        print(failure)
        return False
    if text == before:
        _say(path, began, "unchanged")
        return True
    if options.check:
        _say(path, began, "WOULD CHANGE")
        print(_diff(path, before, text))
        return False
    _replace(path, text)
    _say(path, began, "stored")
    return True


def _say(path: Path, began: float, outcome: str) -> None:
    print(f"{path.name:<28} {time.monotonic() - began:6.1f} s  {outcome}", flush=True)


def _fresh_text(path: Path, environment: Environment, *, fresh: bool) -> tuple[str, str]:
    """What went wrong (or nothing), and the text of the file as it should be."""
    stored, notebook = read(path), read(path)
    with environment.exported():
        failure = _execute(notebook, path)
    if failure:
        return failure + _log_tails(environment), ""
    result = normalised(notebook, stored, fresh=fresh)
    if varies := what_varies(result):
        hint = "mark the cell NBVAL_IGNORE_OUTPUT, or print less"
        return "\n".join(["these outputs would differ in the next run:", *varies, hint]), ""
    return "", nbformat.writes(result, version=4) + "\n"


def _execute(notebook: Any, path: Path) -> str:
    """Run all cells in a fresh kernel; what went wrong, or nothing."""
    _forget_outputs(notebook)
    begun: list[str] = []
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent.resolve())}},
        record_timing=False,
        store_widget_state=False,
        shutdown_kernel="immediate",
        extra_arguments=["--log-level=ERROR"],
        on_cell_start=lambda cell, cell_index: begun.append(cell.id),  # noqa: ARG005
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return f"{_named(notebook, begun)}:\n{_COLOURS.sub('', str(error)).strip()}"
    return _raised_nothing(notebook)


def _forget_outputs(notebook: Any) -> None:
    for cell in code_cells(notebook):
        cell.node.outputs, cell.node.execution_count = [], None


def _named(notebook: Any, begun: list[str]) -> str:
    """The cell that began last, by its number under nbval."""
    numbers = [cell.number for cell in code_cells(notebook) if cell.node.id in begun[-1:]]
    return f"cell {numbers[0]}" if numbers else "before the first cell"


def _raised_nothing(notebook: Any) -> str:
    for cell in code_cells(notebook):
        raised = any(output.output_type == "error" for output in cell.node.outputs)
        if cell.must_raise and not raised:
            return f"cell {cell.number} is marked raises-exception and raised nothing"
    return ""


def _log_tails(environment: Environment) -> str:
    tails = environment.log_tails(LOG_TAIL_LINES)
    return "".join(f"\n--- {title}\n{text}" for title, text in tails)


def _diff(path: Path, before: str, after: str) -> str:
    lines = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(*lines, f"{path.name} (stored)", f"{path.name} (now)"))


def _replace(path: Path, text: str) -> None:
    """All of the new text or all of the old, whatever happens."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
