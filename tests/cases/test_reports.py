"""The reports that maintainers could run: each shows its bug with the versions installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labapp.stack.broker import choose

REPORTS = Path(__file__).parents[2] / "notebooks" / "cases" / "reports"
DEADLINE = 240.0  # seconds for a whole report; its own steps have theirs
LAST_WORDS = {
    "kombu_worker_exit": """\
happened: it ended with exit status 1
Unrecoverable error: AttributeError("'NoneType' object has no attribute 'hostname'")
""",
    "kombu_lost_between": """\
left in Redis: 2 in the queue, 0 in unacked
expected: a new worker runs all three, once the visibility timeout is over
happened: task [1] is lost, and in no key of Redis
""",
    "celery_cold_shutdown": "It ended when the task had, with exit status 0.\n",
}
SUGGESTION = """
from queue import Empty
from kombu.transport.redis import Channel

close = Channel.close


def close_without_broker(channel):
    try:
        if channel._in_poll:
            channel._brpop_read()
    except (Empty, *channel.connection_errors):
        pass
    close(channel)


Channel.close = close_without_broker
"""
"""What the report on the worker that exits suggests, as a patch from outside."""


def run_report(name: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script that stands there, or a copy, alone as somebody has it who was sent it."""
    script = folder / f"{name}.py"
    if not script.exists():
        shutil.copy(REPORTS / script.name, script)
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env={**kept, "TMPDIR": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize("name", LAST_WORDS)
def test_a_report_shows_its_bug_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    said = run_report(name, tmp_path, REDIS_SERVER=str(choose()[0].path))
    assert LAST_WORDS[name] in said.stdout, said.stdout + said.stderr
    assert said.returncode == 0
    assert said.stderr == ""
    assert [file.name for file in tmp_path.iterdir()] == [f"{name}.py"]


def test_with_the_suggested_change_the_worker_reconnects(tmp_path: Path) -> None:
    name = "kombu_worker_exit"
    marker = 'app = Celery("report"'
    source = (REPORTS / f"{name}.py").read_text()
    assert source.count(marker) == 1
    (tmp_path / f"{name}.py").write_text(source.replace(marker, f"{SUGGESTION}\n{marker}"))
    said = run_report(name, tmp_path, REDIS_SERVER=str(choose()[0].path))
    assert said.stdout.endswith("happened: it did\n"), said.stdout + said.stderr
    assert said.returncode == 3


@pytest.mark.parametrize("name", LAST_WORDS)
def test_a_report_without_a_server_says_what_it_needs(name: str, tmp_path: Path) -> None:
    said = run_report(name, tmp_path, REDIS_SERVER="", PATH="")
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "there is no redis-server: name one by $REDIS_SERVER\n"


@pytest.mark.parametrize("name", LAST_WORDS)
def test_each_script_stands_beside_its_text(name: str) -> None:
    text = (REPORTS / f"{name}.md").read_text()
    assert f"python {name}.py" in text
    assert LAST_WORDS[name].splitlines()[-1] in text
