"""Small notebooks, and real nbval runs over them in a process of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
RUN_TIMEOUT = 1200.0  # seconds, for a whole pytest process; its cells have their own limit


@dataclass(frozen=True)
class Item:
    """One item of an nbval run: notebook, cell, how it went and why."""

    notebook: str
    name: str
    outcome: str
    why: str
    text: str
    seconds: float


@dataclass(frozen=True)
class Run:
    """A finished pytest process."""

    status: int
    output: str
    items: list[Item]

    def of(self, notebook: str) -> dict[str, Item]:
        """The items of one notebook by name; fails with the whole output if there are none."""
        found = {item.name: item for item in self.items if item.notebook == notebook}
        assert found, f"nothing ran of {notebook}:\n{self.output}"
        return found

    def red(self, notebook: str) -> dict[str, str]:
        """The red items of one notebook, and why each is red."""
        items = self.of(notebook).items()
        return {name: item.why for name, item in items if item.outcome == "failed"}


def cell(source: str, stdout: str | None = None, *, count: int | None = 1, **metadata: Any) -> Any:
    """A code cell that was executed, with what it printed."""
    outputs = [] if stdout is None else [new_output("stream", name="stdout", text=stdout)]
    return new_code_cell(source, execution_count=count, outputs=outputs, metadata=metadata)


def write(folder: Path, name: str, *cells: Any, **metadata: Any) -> Path:
    """A notebook file with these cells."""
    path = folder / f"{name}.ipynb"
    for number, node in enumerate(cells):
        node.id = f"cell-{number}"
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)
    return path


def clean_environment() -> dict[str, str]:
    """This process's environment without what pytest tells its own children, plus the project."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def run_nbval(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Run:
    """`pytest FOLDER` with the lessons' own conftest.py and the project's own settings."""
    if not (folder / "conftest.py").exists():
        shutil.copy(ROOT / "notebooks" / "conftest.py", folder / "conftest.py")
    junit = folder / "junit.xml"
    command = [sys.executable, "-m", "pytest", str(folder), "-c", str(ROOT / "pyproject.toml")]
    command += [f"--rootdir={folder}", f"--junit-xml={junit}", "-p", "no:cacheprovider"]
    command += ["-o", "junit_family=xunit1", "--color=no", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**clean_environment(), **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_TIMEOUT,
        check=False,
    )
    return Run(done.returncode, done.stdout, read_junit(junit) if junit.exists() else [])


def read_junit(path: Path) -> list[Item]:
    """The items of a JUnit report that have a notebook."""
    cases = ET.parse(path).getroot().iter("testcase")  # noqa: S314 - our own file
    return [_item(case) for case in cases]


def _item(case: ET.Element) -> Item:
    bad = [child for child in case if child.tag in ("failure", "error", "skipped")]
    said = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
    return Item(
        notebook=Path(case.get("file", "")).stem or case.get("classname", "").rpartition(".")[2],
        name=case.get("name", ""),
        outcome={"skipped": "skipped"}.get(bad[0].tag, "failed") if bad else "passed",
        why=said.get("why", ""),
        text="\n".join((child.get("message") or "") + (child.text or "") for child in bad),
        seconds=float(case.get("time", "0")),
    )
