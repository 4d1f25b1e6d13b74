"""Where Flower's socket may lie, and which channels its pattern hears."""

from __future__ import annotations

import stat
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labapp.errors import LabError
from labapp.stack import flower
from labapp.stack.flower_app import everywhere

EVENTS = everywhere("/0.celeryev/*")


def test_it_lies_in_the_state_folder(tmp_path: Path) -> None:
    path = flower.make_socket_path(tmp_path)
    assert path == tmp_path / "run" / "flower.sock"
    assert not path.exists()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_others_could_enter_is_closed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    path = flower.make_socket_path(tmp_path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_a_killed_lab_left_there_is_no_hindrance(tmp_path: Path) -> None:
    flower.make_socket_path(tmp_path).write_text("")
    assert not flower.make_socket_path(tmp_path).exists()


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_below_a_deep_folder_it_lies_in_a_short_private_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", None)  # what it remembers of $TMPDIR
        monkeypatch.setenv(variable, short)
        path = flower.make_socket_path(tmp_path / ("d" * 120))
        assert path.parent.parent == Path(short)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        path.write_text("")
        flower.remove_socket(path)
        assert not path.parent.exists()


def test_where_no_folder_will_do_it_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(flower, "_can_bind", lambda _path: False)
    with pytest.raises(LabError, match="Flower's socket can be neither in") as caught:
        flower.make_socket_path(tmp_path / "home")
    assert "TMPDIR" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_removing_what_is_gone_is_fine(tmp_path: Path) -> None:
    flower.remove_socket(tmp_path / "gone" / "flower.sock")
    flower.remove_socket(None)


@given(st.integers(0, 63), st.sampled_from(["task.sent", "task.received", "worker.online"]))
def test_one_pattern_hears_the_events_of_every_database(database: int, event: str) -> None:
    assert fnmatchcase(f"/{database}.celeryev/{event}", EVENTS)


@given(st.integers(0, 63), st.sampled_from(["celery.pidbox", "reply.celery.pidbox", "fans"]))
def test_it_hears_nothing_else_and_other_topics_stay_as_they_are(database: int, name: str) -> None:
    topic = f"/{database}.{name}"
    assert not fnmatchcase(topic, EVENTS)
    assert everywhere(topic) == topic
