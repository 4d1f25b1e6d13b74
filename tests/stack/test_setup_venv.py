"""scripts/setup_venv.py: what it says where it cannot work, and when it has nothing to do."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "setup_venv.py"


@pytest.fixture
def setup_venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, looking at a project of its own."""
    spec = importlib.util.spec_from_file_location("setup_venv", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / ".lab-stamp")
    (tmp_path / "requirements.lock").write_text("")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    return module


def test_a_python_without_venv_is_told_what_to_install(
    setup_venv: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert setup_venv.main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "no venv and no ensurepip module" in line
    assert f"python3.{sys.version_info[1]}-venv" in line


def test_an_old_python_is_told_which_is_needed(
    setup_venv: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup_venv, "OLDEST", (99, 0))
    assert setup_venv.main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "is needed" in line


def test_a_lock_that_cannot_be_installed_leaves_no_stamp(
    setup_venv: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requirements.lock").write_text("no-such-name==1 --hash=sha256:00\n")
    assert setup_venv.main() == 2
    assert "could not install the locked packages" in capfd.readouterr().err
    assert not setup_venv.STAMP.exists()


def test_up_to_date_means_this_lock_and_this_project(
    setup_venv: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    setup_venv.STAMP.write_text(setup_venv.stamp_of_inputs())
    assert setup_venv.main() == 0
    (tmp_path / "requirements.lock").write_text("click==1\n")
    assert not setup_venv.is_up_to_date()
