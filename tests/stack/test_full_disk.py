"""A full disk is told in one line, before anything starts on it, and loses nothing.

The disk is a small tmpfs in a mount namespace of the test's own, which any user may make where the
kernel allows it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from labapp.stack.home import PACKAGE_ROOT
from labapp.stack.space import FOR_A_LAB
from labapp.stack.testing import LAB

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from conftest import Lab

ON_A_SMALL_DISK = (
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc"),
    'mkdir -p "$1"; mount -t tmpfs -o size="$2" tmpfs "$1"; shift 2; exec "$@"',
    "sh",
)
TOO_SMALL, LARGE_ENOUGH = FOR_A_LAB - 100_000, FOR_A_LAB + 2_000_000
FULL_OF_LOGS = """
import subprocess, sys
from pathlib import Path
from labapp import LabError, connect, orders
logs, *lab = sys.argv[1:]
sys.path.insert(0, "solutions/00_start_here")
from shop import charge
subprocess.run([*lab, "up", "--detach", "--headless"], check=True)
try:
    here = connect()
    fill = Path(logs, "fill")
    try:
        with fill.open("wb", buffering=0) as file:
            while file.write(bytes(100_000)):
                pass
    except OSError as error:
        print(error.strerror)
    try:
        here.run(charge, orders(1))
    except LabError as error:
        print(error)
    fill.unlink()
    print(here.run(charge, orders(1)).verdict)
finally:
    subprocess.run([*lab, "down"], check=True)
"""


def on_a_small_disk(
    lab: Lab, folder: Path, size: int, *program: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with a disk of so many bytes in this folder."""
    return lab.run(*ON_A_SMALL_DISK, str(folder), str(size), *program, cwd=PACKAGE_ROOT)


@pytest.fixture(autouse=True)
def _may_mount(lab: Lab, tmp_path: Path) -> None:
    tried = on_a_small_disk(lab, tmp_path, 4096, "true")
    if tried.returncode:
        pytest.skip(f"no mount namespaces here: {tried.stderr.strip()}")


@pytest.mark.parametrize("how", [("--detach",), ()])
def test_no_room_to_start(lab: Lab, how: tuple[str, ...]) -> None:
    done = on_a_small_disk(lab, lab.home, TOO_SMALL, *LAB, "up", "--headless", *how)
    assert done.returncode == 2
    assert done.stderr.startswith("lab: the disk is full: 19.9 MB free for ")
    assert len(done.stderr.splitlines()) == 2
    assert "starting" not in done.stdout


def test_a_disk_that_is_full_of_logs_stops_no_lab(lab: Lab) -> None:
    logs = lab.home / "logs"
    program = (sys.executable, "-c", FULL_OF_LOGS, str(logs), *LAB)
    done = on_a_small_disk(lab, logs, LARGE_ENOUGH, *program)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No space left on device\nthe disk is full: 0.0 MB free" in done.stdout
    assert "exactly once   yes" in done.stdout
