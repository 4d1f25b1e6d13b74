"""What a learner has done is kept: through updates, beside other kernels, on a broken disk."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from answers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from loop_bench import progress_in

from labapp.course import progress
from labapp.course.check import is_the_learners, note
from labapp.course.progress import FILE, VERSION, StageProgress
from labapp.course.report import Report
from labapp.course.stages import stage_named
from labapp.errors import LabError

CRASH = "02_crash"
FULL_DISK = "File too large"
"""What the system says where a file may have no byte at all."""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """The progress file of a test; not there yet."""
    with progress_in(tmp_path) as path:
        yield path


def text(raw: object) -> str:
    """A file with this in it."""
    return json.dumps(raw)


# --- what is noted is what is read


counts = st.integers(0, 1000)
words = st.none() | st.text(min_size=1)
stages = st.builds(StageProgress, checks=counts, hints=counts, passed=words, diagnosis=words)
names = st.text(min_size=1, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
known = set(asdict(StageProgress()))
strange = st.dictionaries(names.filter(lambda name: name not in known), values, max_size=3)
entries = st.builds(lambda stage, more: {**more, **asdict(stage)}, stages, strange)
files = st.builds(
    lambda noted, more: {**more, "version": VERSION, "stages": noted},
    st.dictionaries(names, entries, max_size=4),
    strange,
)


@given(files)
def test_what_is_in_the_file_is_read(raw: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, progress_in(Path(folder)) as path:
        path.write_text(text(raw))

        assert {name: asdict(stage) for name, stage in progress.read().items()} == {
            name: {field: entry[field] for field in known} for name, entry in raw["stages"].items()
        }


@given(files, names, st.booleans(), words)
def test_a_note_changes_its_own_stage_and_keeps_all_that_it_does_not_know(
    raw: dict[str, Any], stage: str, passed: bool, diagnosis: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder, progress_in(Path(folder)) as path:
        path.write_text(text(raw))
        before = progress.of(stage)

        progress.note_check(stage, passed, diagnosis)
        progress.note_hint(stage, 2)

        after, written = progress.of(stage), json.loads(path.read_text())
        assert (after.checks, after.diagnosis) == (before.checks + 1, diagnosis)
        assert after.hints == max(before.hints, 2)
        assert bool(after.passed) == (passed or bool(before.passed))
        entry = written["stages"].pop(stage)
        others = {name: told for name, told in raw["stages"].items() if name != stage}
        mine = raw["stages"].get(stage, {})
        assert {name: told for name, told in entry.items() if name not in known} == {
            name: told for name, told in mine.items() if name not in known
        }
        assert written == {**raw, "stages": others}


def test_a_stage_is_passed_when_it_was_first_passed(file: Path) -> None:
    progress.note_check(CRASH, False, "no-bound")
    assert progress.of(CRASH) == StageProgress(checks=1, diagnosis="no-bound")

    progress.note_check(CRASH, True, None)
    passed = progress.of(CRASH).passed
    progress.note_check(CRASH, False, "acknowledged-early")

    assert progress.of(CRASH) == StageProgress(3, 0, passed, "acknowledged-early")
    assert passed is not None
    assert datetime.fromisoformat(passed).tzinfo is not None
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_was_never_touched_is_empty(file: Path) -> None:
    assert progress.read() == {}
    assert progress.of(CRASH) == StageProgress()
    assert not list(file.parent.iterdir()), "looking leaves nothing behind"


# --- more than one writer


WRITER = """
import sys
from labapp.course.progress import note_check, note_hint
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    note_check("02_crash", False, sys.argv[1])
    note_hint(sys.argv[1], number)
"""


def test_kernels_that_note_at_the_same_time_lose_nothing(file: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for name in ("a", "b", "c")
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()

    found = progress.read()
    assert found.pop(CRASH).checks == 120
    assert {name: stage.hints for name, stage in found.items()} == {"a": 39, "b": 39, "c": 39}


# --- files that are something else


BROKEN = {
    "empty": b"",
    "cut short": b'{"version": 1, "stages": {"02_crash": {"che',
    "a list": b"[]",
    "a word": b'"version"',
    "nothing in it": b"{}",
    "no stages": b'{"version": 1}',
    "a strange version": b'{"version": null, "stages": {}}',
    "stages that are none": b'{"version": 1, "stages": [1]}',
    "a stage that is none": b'{"version": 1, "stages": {"02_crash": "passed"}}',
    "a count below zero": b'{"version": 1, "stages": {"02_crash": {"checks": -1}}}',
    "not text": b"\xff\xfe\x00\xd8",
    "without end": b"[" * 200_000,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_moved_aside_and_a_new_one_begins(
    kind: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(BROKEN[kind])

    assert progress.read() == {}
    progress.note_check(CRASH, False, "no-bound")

    aside = file.with_name(f"{FILE}.broken")
    assert aside.read_bytes() == BROKEN[kind]
    assert progress.read() == {CRASH: StageProgress(1, 0, None, "no-bound")}
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"lab: {FILE} was broken: it is {FILE}.broken now, and a new one begins\n"


def test_no_broken_file_replaces_another(file: Path) -> None:
    for number in range(3):
        file.write_text(f"broken {number}")
        progress.note_hint(CRASH, 1)

    aside = sorted(file.parent.glob("*.broken*"))
    assert [path.name for path in aside] == [f"{FILE}.broken{end}" for end in ("", "-2", "-3")]
    assert [path.read_text() for path in aside] == [f"broken {number}" for number in range(3)]


def test_a_file_of_a_newer_version_is_left_as_it_is(file: Path) -> None:
    newer = text({"version": VERSION + 1, "stages": "in another form"})
    file.write_text(newer)

    for use in (
        progress.read,
        lambda: progress.note_check(CRASH, True, None),
        lambda: progress.note_hint(CRASH, 1),
    ):
        with pytest.raises(LabError) as caught:
            use()
        assert "newer version of the lab (2, this one knows 1)" in caught.value.message
        assert "update the lab" in caught.value.hint
        assert file.read_text() == newer
    assert not list(file.parent.glob("*.broken*"))


def test_a_file_that_cannot_be_read_is_said_in_one_line(file: Path) -> None:
    file.mkdir()
    with pytest.raises(LabError) as caught:
        progress.read()
    assert caught.value.message == f"{file} cannot be read: Is a directory"


# --- places that cannot be written


NOTE = """
import sys
from labapp.course.progress import note_check, read
note_check("02_crash", True, None)
print(read()["02_crash"].checks if read() else "nothing")
"""


def noted_by_a_process(*prefix: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """What a process says that notes a check."""
    return subprocess.run(
        [*prefix, sys.executable, "-B", "-c", NOTE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_a_full_disk_costs_one_line_and_nothing_that_was_noted(file: Path) -> None:
    progress.note_check(CRASH, False, "no-bound")
    before = {path.name for path in file.parent.iterdir()}

    done = noted_by_a_process(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))

    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert done.stderr == f"lab: progress was not noted in {file}: {FULL_DISK}\n"
    assert progress.of(CRASH).checks == 1
    assert {path.name for path in file.parent.iterdir()} == before


@pytest.mark.parametrize("begun", [True, False])
def test_a_folder_that_is_read_only_costs_one_line(file: Path, begun: bool) -> None:
    if begun:
        progress.note_check(CRASH, False, "no-bound")
        file.with_name(f"{FILE}.lock").unlink()
    file.parent.chmod(0o555)
    without_power = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    try:
        done = noted_by_a_process(*(without_power if os.geteuid() == 0 else ()))
    finally:
        file.parent.chmod(0o755)

    assert (done.returncode, done.stdout) == (0, "1\n" if begun else "nothing\n"), done.stderr
    assert done.stderr == f"lab: progress was not noted in {file}: Permission denied\n"


def test_a_folder_that_is_not_there_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_in(tmp_path / "gone") as path:
        progress.note_hint(CRASH, 1)
        assert progress.read() == {}
    told = capsys.readouterr().err
    assert told == f"lab: progress was not noted in {path}: No such file or directory\n"


# --- whose answers count


def test_a_verdict_stands_where_it_cannot_be_noted(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text({"version": 99, "stages": {}}))

    note(Report(stage_named(CRASH), {}, None))

    told = capsys.readouterr().err
    assert told.startswith(f"lab: {FILE} is of a newer version of the lab (99, ")
    assert len(told.splitlines()) == 1


def test_only_the_exercise_of_the_project_here_is_the_learners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = stage_named(CRASH)
    for kind in ("exercises", "solutions"):
        (tmp_path / "project" / kind / CRASH).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "solutions")
    own = tmp_path / "project" / "exercises" / CRASH
    (tmp_path / "link").symlink_to(own)

    assert is_the_learners(crash, own)
    assert is_the_learners(crash, tmp_path / "link")
    assert not is_the_learners(crash, tmp_path / "project" / "solutions" / CRASH)
    assert not is_the_learners(crash, ROOT / "exercises" / CRASH)
    assert not is_the_learners(stage_named("03"), own)
