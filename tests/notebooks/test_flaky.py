"""`make flaky`: records each run, continues a record, stops at a failure, ends its load."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
from nbruns import ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCRIPT = str(ROOT / "scripts" / "flaky.py")


def flaky(tests: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script over one test file, without load, with its records beside the file."""
    return subprocess.run(
        [sys.executable, SCRIPT, "--no-load", f"--records={tests.parent / 'r'}", *arguments, tests],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def runs(tests: Path) -> list[dict[str, object]]:
    """The recorded runs."""
    (record,) = (tests.parent / "r").glob("*.jsonl")
    return [json.loads(line) for line in record.read_text().splitlines()]


def test_stops_at_the_first_failure_and_continues_its_record(tmp_path: Path) -> None:
    """The test fails in its third run only."""
    count = tmp_path / "count"
    tests = tmp_path / "test_third.py"
    tests.write_text(
        "from pathlib import Path\n"
        f"def test_x():\n    count = Path({str(count)!r})\n"
        "    n = len(count.read_text()) + 1 if count.exists() else 1\n"
        "    count.write_text('x' * n)\n"
        "    assert n != 3, 'the third'\n"
    )
    assert flaky(tests, "--runs=1").returncode == 0
    failed = flaky(tests, "--runs=4")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "after 1 green runs" in failed.stdout
    assert "the third" in failed.stdout
    assert [run["outcome"] for run in runs(tests)] == ["passed", "passed", "failed"]
    assert "test_x" in str(runs(tests)[-1]["failed"])
    assert flaky(tests, "--runs=1").returncode == 0


def test_a_wrong_call_is_one_line(tmp_path: Path) -> None:
    done = flaky(tmp_path / "test_none.py")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def wait_for(condition: Callable[[], object], awaited: str, timeout: float = 20.0) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain for {awaited}"
        time.sleep(0.02)


def test_the_load_ends_even_when_the_script_is_killed() -> None:
    program = (
        "import sys, time; sys.path.insert(0, 'scripts'); import flaky\n"
        "with flaky.busy_cores(2):\n    print('up', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == b"up\n"
        busy = psutil.Process(script.pid).children()
        assert len(busy) == 2
        script.kill()
    wait_for(lambda: not any(_lives(p) for p in busy), "the busy processes to end")


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
