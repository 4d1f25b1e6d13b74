"""Copies of the course in which something is broken."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from labapp.course.stage import Diagnosis, Stage
from labapp.course.stages import STAGES

ROOT = Path(__file__).parents[2]
COPIED = ("exercises", "solutions", "notebooks", "docs")
FILES = ("course.toml", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml")

Breakage = Callable[[Path], Mapping[str, Stage] | None]
"""Breaks a copy; gives the stages as code where it is they that are broken."""


def copy_course(to: Path) -> Path:
    """A copy of all that the static invariants look at, and of what its documents link to."""
    for name in COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, to / name)
    for path in ROOT.iterdir():  # sources that documents may link to
        if not path.name.startswith(".") and not (to / path.name).exists():
            (to / path.name).symlink_to(path)
    return to


def edited(file: str, old: str, new: str) -> Breakage:
    """A file in which a text is another; every time that it stands there."""

    def breakage(root: Path) -> None:
        path = root / file
        text = path.read_text()
        assert old in text, f"{old!r} does not stand in {file}: bring this test up to date"
        path.write_text(text.replace(old, new))

    return breakage


def added(file: str, text: str) -> Breakage:
    """A file with more at its end; a new one where there was none."""

    def breakage(root: Path) -> None:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + text)

    return breakage


def in_latin_1(file: str) -> Breakage:
    """A file that somebody saved in another encoding."""

    def breakage(root: Path) -> None:
        (root / file).write_bytes("# é\n".encode("latin-1"))

    return breakage


def a_folder(file: str) -> Breakage:
    """A folder in the place of a file."""

    def breakage(root: Path) -> None:
        (root / file).unlink()
        (root / file).mkdir()

    return breakage


def removed(path: str) -> Breakage:
    """A file or a folder that is gone."""

    def breakage(root: Path) -> None:
        (shutil.rmtree if (root / path).is_dir() else Path.unlink)(root / path)

    return breakage


def all_of(*breakages: Breakage) -> Breakage:
    """One after the other."""

    def breakage(root: Path) -> None:
        for one in breakages:
            one(root)

    return breakage


def one_kind_only(root: Path) -> None:
    """All wrong answers of stage 03 get one diagnosis."""
    path = root / "course.toml"
    before, after = path.read_text().split('name = "duplicates"')
    after = re.sub(r'diagnosis = "[\w-]+"', 'diagnosis = "taken-for-done"', after)
    path.write_text(f'{before}name = "duplicates"{after}')


def in_cell(notebook: str, cell: str, change: Callable[[dict[str, Any]], object]) -> Breakage:
    """A notebook with one cell changed; `cell` is the id of it."""

    def breakage(root: Path) -> None:
        path = root / notebook
        parsed = json.loads(path.read_text())
        (found,) = (one for one in parsed["cells"] if one["id"] == cell)
        change(found)
        path.write_text(json.dumps(parsed))

    return breakage


def with_source(text: str) -> Callable[[dict[str, Any]], object]:
    """A cell with this text added in a paragraph of its own."""
    return lambda cell: cell["source"].append(f"\n\n{text}")


def with_count(count: int | None) -> Callable[[dict[str, Any]], object]:
    """A cell with this execution count."""
    return lambda cell: cell.update(execution_count=count)


def stages_with(number: str, change: Callable[[Stage], Stage | None]) -> Breakage:
    """The code with one stage changed, or without it."""

    def breakage(root: Path) -> Mapping[str, Stage]:
        changed = change(STAGES[number])
        others = {key: stage for key, stage in STAGES.items() if key != number}
        return {**others, number: changed} if changed else others

    return breakage


def diagnosis_with(**changes: Any) -> Breakage:
    """Stage 02 with its first diagnosis changed."""

    def change(stage: Stage) -> Stage:
        first, *others = stage.diagnoses
        changed: Diagnosis = replace(first, **changes)
        return replace(stage, diagnoses=(changed, *others))

    return stages_with("02", change)
