"""The compose stack: seconds to a first verdict, memory of each service, size of the image.

Needs a Docker engine, and the lab of this folder not up in it. Goals: 45 s from a cold
`docker compose up`, images built, to a first verdict; an image of 450 MB.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from rows import Row

from labapp.errors import LabError

ROOT = Path(__file__).resolve().parent.parent
VERDICT_GOAL = 45.0  # seconds
IMAGE_GOAL = 450.0  # MB
TIMEOUT = 900.0  # seconds; a first build may take minutes
FIRST_EXPERIMENT = """
import sys
sys.path.insert(0, "/lab/solutions/00_start_here")
from labapp import charge_of, connect, kill_worker, orders
from shop import charge
moment = {"after": charge_of("order-3"), "before": charge_of("order-4")}
print(connect().run(charge, orders(10), fault=kill_worker(**moment)).verdict)
"""
UNITS = {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}


def rows() -> Iterator[Row]:
    """The figures; none where there is no engine.

    Raises:
        LabError: the lab is up, or did not come up.
    """
    if shutil.which("docker") is None:
        print(" there is no Docker engine here", end="")
        return
    if _compose("ps", "--quiet"):
        raise LabError("the lab of this folder is up", hint="`docker compose down`, then again")
    _compose("build")
    try:
        yield from _measured()
    finally:
        _compose("down", "--volumes")


def _measured() -> Iterator[Row]:
    began = perf_counter()
    _compose("up", "--detach", "--wait")
    up = perf_counter() - began
    said = _compose("exec", "-T", "lab", "python", "-c", FIRST_EXPERIMENT)
    seconds = perf_counter() - began
    if "lost: order-4" not in said:
        raise LabError(f"the first experiment said: {said}")
    yield Row("`docker compose up --wait`", up, note="images built, nothing running")
    yield Row("until a first verdict", seconds, VERDICT_GOAL, note="kill -9 of a worker, 10 orders")
    yield from _memory()
    yield Row("image", _image_size(), IMAGE_GOAL, unit="MB")


def _memory() -> Iterator[Row]:
    told = _docker("stats", "--no-stream", "--format", "json", *_compose("ps", "--quiet").split())
    usage = {one["Name"]: one["MemUsage"].split()[0] for one in map(json.loads, told.splitlines())}
    for name, used in sorted(usage.items()):
        service = name.rsplit("-", 2)[-2]
        yield Row(f"memory of `{service}`", _mebibytes(used), unit="MiB", note="after that")


def _mebibytes(text: str) -> float:
    number, unit = text.rstrip("KMGiB"), text[-3:]
    return float(number) * UNITS[unit]


def _image_size() -> float:
    (image,) = _compose("images", "--quiet", "lab").split()
    return int(_docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def _compose(*arguments: str) -> str:
    return _docker("compose", *arguments)


def _docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise LabError(f"`docker {' '.join(arguments[:2])}`: {done.stderr.strip()[-500:]}")
    return done.stdout
