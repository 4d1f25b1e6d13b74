"""What the servers of compose's profiles read, and secrets that a stack has had for longer."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labapp.errors import LabError
from labapp.stack import profiles
from labapp.stack.container import FILE, SECRETS, complete_secrets

if TYPE_CHECKING:
    from pathlib import Path

ALL = {*SECRETS, *profiles.SECRETS}
REDIS, LAB = "redis:6379", "lab:8888"


def prepared(state: Path) -> dict[str, str]:
    """What `init` does to a folder, as far as secrets and profiles go."""
    found = complete_secrets(state)
    profiles.configure(state, found, REDIS, LAB)
    return found


def test_a_new_stack_has_all_secrets_each_of_its_own(tmp_path: Path) -> None:
    found = complete_secrets(tmp_path)
    assert set(found) == ALL
    assert len(set(found.values())) == len(ALL)
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in found.values())
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@given(st.sets(st.sampled_from(sorted(ALL))), st.booleans())
def test_what_is_missing_is_made_and_the_rest_is_kept(
    tmp_path_factory: pytest.TempPathFactory, there: set[str], more: bool
) -> None:
    state = tmp_path_factory.mktemp("state")
    old = {name: f"old-{name}" for name in there} | ({"MINE": "x=y"} if more else {})
    (state / FILE).write_text("".join(f"{name}={value}\n" for name, value in old.items()))
    found = complete_secrets(state)
    assert found.items() >= old.items()
    assert set(found) == ALL | set(old)
    assert complete_secrets(state) == found


def test_a_value_that_was_emptied_is_made_again(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("LAB_CONTROL_TOKEN=\nLAB_BROKER_PASSWORD=old\n")
    found = complete_secrets(tmp_path)
    assert found["LAB_CONTROL_TOKEN"]
    assert found["LAB_BROKER_PASSWORD"] == "old"


def test_data_keeps_its_password_when_the_file_of_secrets_is_lost(tmp_path: Path) -> None:
    before = prepared(tmp_path)
    (tmp_path / FILE).unlink()
    after = prepared(tmp_path)
    kept = {name for name in ALL if before[name] == after[name]}
    assert kept == set(profiles.SECRETS)


def test_the_files_are_private_and_have_the_secrets(tmp_path: Path) -> None:
    found = prepared(tmp_path)
    files = {str(path.relative_to(tmp_path)): path for path in tmp_path.glob("*/*")}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files.values())
    text = {name: path.read_text() for name, path in files.items()}
    assert text["postgres/password"].strip() == found["LAB_POSTGRES_PASSWORD"]
    assert text["rabbitmq/.erlang.cookie"] == found["LAB_RABBITMQ_COOKIE"]
    assert text["prometheus/token"] == found["LAB_JUPYTER_TOKEN"]
    assert json.loads(text["redis-exporter/passwords.json"]) == {
        "redis://redis:6379": found["LAB_BROKER_PASSWORD"]
    }
    assert text["postgres/passwd"].startswith(f"lab:x:{os.getuid()}:{os.getgid()}:")


def test_a_folder_in_the_place_of_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "passwd").mkdir(parents=True)
    with pytest.raises(LabError) as told:
        prepared(tmp_path)
    assert told.value.message == "compose/state/postgres/passwd is a folder"
    assert told.value.hint == "`sudo rmdir compose/state/postgres/passwd`, then again"
