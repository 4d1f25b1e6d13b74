"""Where a lab keeps its things: the project folder and the state folder `.lab` in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from labapp.errors import LabError

FIRST_NOTEBOOK = Path("notebooks/00_start_here.ipynb")
PROGRESS_VARIABLE = "LAB_PROGRESS"
"""Environment variable with the path of the file that says what the learner has done."""
SHARED = "shared"
"""Folder of the state folder in which sessions share files with their workers."""
PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def project_root(start: Path | None = None) -> Path:
    """The nearest folder that holds a lab, from `start` (the current one) upwards; else `start`."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FIRST_NOTEBOOK).is_file() or (folder / ".lab").is_dir():
            return folder
    return here


def lab_home(start: Path | None = None) -> Path:
    """The state folder: $LAB_HOME, or `.lab` in the project's folder. It may not exist yet.

    Raises:
        LabError: it is there, and another user's.
    """
    given = os.environ.get("LAB_HOME")
    home = Path(given).resolve() if given else project_root(start) / ".lab"
    if os.access(home, os.F_OK) and not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise LabError(
            f"the lab in {home} is another user's",
            hint="use a copy of the project, or set LAB_HOME to a folder of your own",
        )
    return home


def make_private(folder: Path) -> Path:
    """Create a folder, and its parents, that only its owner may enter."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def emptied(folder: Path) -> Path:
    """The folder, private and empty, whatever was in it."""
    shutil.rmtree(folder, ignore_errors=True)
    return make_private(folder)


def unused(path: Path) -> Path:
    """This path, or the first of PATH-2, PATH-3 … at which nothing is."""
    found, number = path, 1
    while found.is_symlink() or found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def write_private(path: Path, text: str) -> None:
    """Replace a file at once with one that only its owner may read; readers never see half.

    Raises:
        OSError: it could not be written; the file is as it was, and nothing lies beside it.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        draft.replace(path)
    except BaseException:  # Ctrl-C, too
        draft.unlink(missing_ok=True)
        raise
