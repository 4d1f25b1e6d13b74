"""Seconds of each lesson under nbval, one kernel after the other on one stack.

Goal: 75 s for all of stages 00 and 02 with the appendix, on 2 cores.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from xml.etree import ElementTree as ET

from rows import Row

from labapp.errors import LabError

ROOT = Path(__file__).resolve().parent.parent
GOAL = 75.0  # seconds


def rows() -> Iterator[Row]:
    """Each notebook, then the whole process with its start-up.

    Raises:
        LabError: a cell was red.
    """
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        began = perf_counter()
        _run(junit)
        total = perf_counter() - began
        for notebook, seconds in _by_notebook(junit).items():
            yield Row(f"{notebook} under nbval", seconds)
    yield Row("all notebooks under nbval", total, GOAL, note="with start-up of pytest and stack")


def _run(junit: Path) -> None:
    command = [sys.executable, "-m", "pytest", "notebooks", f"--junit-xml={junit}", "-q"]
    command += ["-o", "junit_family=xunit1", "--color=no"]  # xunit1 names the file of each cell
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError("the notebooks are red:\n" + "\n".join(done.stdout.splitlines()[-30:]))


def _by_notebook(junit: Path) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for case in ET.parse(junit).getroot().iter("testcase"):  # noqa: S314 - our own file
        seconds[Path(case.get("file", "?")).name] += float(case.get("time", "0"))
    return seconds
