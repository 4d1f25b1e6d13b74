"""Room on a disk: asked for before something starts, so that a full one is told in one line.

Used by ``labapp.stack`` and ``labapp.node``; uses no more of the lab than where logs lie.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from labapp.errors import LabError
from labapp.stack.logs import log_folder

FOR_A_LAB = 20_000_000
"""Bytes that a lab needs to start: JupyterLab's files, the broker's data, the first logs."""
FOR_A_LOG = 1_000_000
"""Bytes that a worker or a broker needs to begin: one whose log cannot grow dies without a word."""


def require_space_for_a_lab(home: Path) -> None:
    """Raises LabError where the lab's folder, or its logs' on a disk of its own, has no room."""
    for folder in (home, log_folder(home)):
        require_space(folder, FOR_A_LAB)


def free_space(folder: Path) -> int:
    """Bytes free where this folder is, or would be."""
    return shutil.disk_usage(next(f for f in (folder, *folder.parents) if f.is_dir())).free


def require_space(
    folder: Path, least: int, *, shown: str = "", hint: str = "`lab doctor` says how much is free"
) -> None:
    """Raises LabError where too little is free.

    Args:
        folder: what is written to.
        least: bytes that it needs.
        shown: how whoever reads the message knows the folder, if not by its path.
        hint: what helps to make room.
    """
    if (free := free_space(folder)) < least:
        where = shown or folder
        raise LabError(
            f"the disk is full: {free / 1e6:.1f} MB free for {where}, needed are {least / 1e6:g}",
            hint=f"make room there, then try again; {hint}",
        )
