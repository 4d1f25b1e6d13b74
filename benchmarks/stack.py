"""Seconds until `lab up --detach` returns, the first time and the second. Goal: 8 s the second."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from rows import Row

from labapp.errors import LabError
from labapp.stack.testing import environment

ROOT = Path(__file__).resolve().parent.parent
GOAL = 8.0  # seconds
TIMEOUT = 120.0  # seconds


def rows() -> Iterator[Row]:
    """The first start in an empty folder, and the second in the same.

    Raises:
        LabError: it did not start or stop.
    """
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as folder:
        home = Path(folder) / "lab"
        first, second = _start_and_stop(home), _start_and_stop(home)
    yield Row("`lab up --detach`, first start", first, note="all services, empty folder")
    yield Row("`lab up --detach`, second start", second, GOAL, note="same folder")


def _start_and_stop(home: Path) -> float:
    """Seconds until the stack was usable."""
    began = perf_counter()
    try:
        _lab(home, "up", "--detach", "--no-browser")
        return perf_counter() - began
    finally:
        _lab(home, "down")


def _lab(home: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "labapp", *arguments]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"`lab {arguments[0]}` ended with {done.returncode}: {done.stderr.strip()}")
