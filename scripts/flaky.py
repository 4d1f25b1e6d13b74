"""The same tests over and over with all cores loaded, until one fails: `make flaky`.

    python scripts/flaky.py [--runs 20] [--no-load] [TESTS ...]

Each run is a line in build/flaky/NAME.jsonl, NAME being made of the source tree and the choice of
tests; a later call with the same tree and tests continues that record. Exit status: 0 when the
record has as many green runs as asked for, 1 at the first failure, 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "build" / "flaky"
DEFAULT_TESTS = ("tests/stack", "notebooks")
TAIL_LINES = 80
# One core's worth of load that ends by itself: its standard input is a pipe of which only this
# script holds the other end, so that even kill -9 of the script is an end-of-file.
BUSY = """
import os, select
while not select.select([0], [], [], 0)[0]:
    for _ in range(200_000):
        pass
"""


def main(arguments: list[str] | None = None) -> int:
    """Do what the module says; the exit status."""
    options = _parser().parse_args(arguments)
    tests = options.tests or list(DEFAULT_TESTS)
    missing = [test for test in tests if not Path(test.partition("::")[0]).exists()]
    if missing or options.runs < 1:
        what = f"no such test: {missing[0]}" if missing else "--runs must be at least 1"
        print(f"flaky: {what}", file=sys.stderr)
        return 2
    record = Record(options.records, tree_id(), tests)
    return _loop(record, tests, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run tests until one fails, under load.")
    parser.add_argument("tests", nargs="*", help=f"default: {' '.join(DEFAULT_TESTS)}")
    parser.add_argument("--runs", type=int, default=20, help="green runs wanted (default 20)")
    load = parser.add_argument("--load", action=argparse.BooleanOptionalAction, default=True)
    load.help = "keep every core busy (default: yes)"
    parser.add_argument("--records", type=Path, default=RECORDS, help=argparse.SUPPRESS)
    return parser


class Record:
    """The runs of one tree and choice of tests, one JSON object per line."""

    def __init__(self, folder: Path, tree: str, tests: list[str]) -> None:
        self.tree = tree
        name = hashlib.sha256("\0".join([tree, *tests]).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.jsonl"

    def green_in_a_row(self) -> int:
        """Green runs since the last failure; a line cut short by a crash is no run."""
        count = 0
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                count = count + 1 if json.loads(line)["outcome"] == "passed" else 0
            except (ValueError, KeyError):
                continue
        return count

    def add(self, run: dict[str, Any]) -> None:
        """Append one run, on disk before the next begins."""
        with self.path.open("a") as file:
            file.write(json.dumps({**run, "tree": self.tree}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def tree_id() -> str:
    """A hash of every file that git knows or would add, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    digest = hashlib.sha256()
    for name in sorted(filter(None, listed.split(b"\0"))):
        path = ROOT / os.fsdecode(name)
        digest.update(name + b"\0" + (path.read_bytes() if path.is_file() else b"gone") + b"\0")
    return digest.hexdigest()[:16]


def _loop(record: Record, tests: list[str], options: argparse.Namespace) -> int:
    done = record.green_in_a_row()
    if done:
        print(f"flaky: continuing {record.path.name} after {done} green runs")
    with busy_cores(os.cpu_count() or 1 if options.load else 0):
        for number in range(done + 1, options.runs + 1):
            run = run_once(tests, record.path.with_suffix(".log"))
            record.add({**run, "run": number, "load": options.load})
            failed = ", ".join(run["failed"])
            print(f"run {number}/{options.runs}: {run['outcome']} {run['seconds']} s {failed}")
            sys.stdout.flush()
            if run["outcome"] != "passed":
                print(tail(record.path.with_suffix(".log")))
                return 1
    print(f"flaky: {options.runs} green runs in a row of {' '.join(tests)}")
    return 0


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """This many processes that do nothing, busily; ended and waited for at the end."""
    command = [sys.executable, "-I", "-c", BUSY]
    busy = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
        for process in busy:
            process.communicate()


def run_once(tests: list[str], log: Path) -> dict[str, Any]:
    """One run of the tests: when, how long (seconds), how it ended, and what failed."""
    junit = log.with_suffix(".xml")
    junit.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *tests, f"--junit-xml={junit}", "--color=no"]
    began, at = time.monotonic(), datetime.now(UTC)
    with log.open("w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    return {
        "at": at.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "outcome": "passed" if done.returncode == 0 else "failed",
        "status": done.returncode,
        "failed": failures(junit),
    }


def failures(junit: Path) -> list[str]:
    """The ids of what failed, from a JUnit report; none if the run ended before writing one."""
    if not junit.exists():
        return []
    cases = ET.parse(junit).getroot().iter("testcase")  # noqa: S314 - written by our own pytest
    bad = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    return [f"{case.get('classname')}::{case.get('name')}" for case in bad]


def tail(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
