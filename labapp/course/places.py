"""Where the course's files lie.  Light: whoever checks an answer imports it.

Depends on ``labapp.errors`` only.
"""

from __future__ import annotations

from pathlib import Path

from labapp.errors import LabError

STARTER = ".starter"
"""Folder below an exercise with the files as the learner first finds them."""


def project_root() -> Path:
    """The folder with ``exercises/`` and ``solutions/``: this one or one above it.

    Raises:
        LabError: there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "exercises").is_dir() and (folder / "solutions").is_dir():
            return folder
    raise LabError("no exercises/ here", hint="run this inside the project's folder")
