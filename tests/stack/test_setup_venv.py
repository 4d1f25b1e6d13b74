"""scripts/setup_venv.py: what it says where it cannot work, and when it has nothing to do."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
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


# --- without a network


NOWHERE = "http://127.0.0.1:9/simple"
"""A package index that is not there: who asks it, fails."""
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "x-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("x-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: x\\nVersion: 1\\n")
        wheel.writestr("x-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("x-1.dist-info/RECORD", "")
    return name
"""


def make_wheel(folder: Path) -> str:
    """A wheel with one module, `tiny`; the line of a lock for it."""
    folder.mkdir()
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny.py", "SIZE = 1\n")
        about = "tiny-1.0.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"tiny==1.0 --hash=sha256:{digest}\n"


def test_wheels_in_a_folder_are_enough_to_set_up_without_a_network(
    setup_venv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.lock").write_text(make_wheel(tmp_path / "wheels"))
    (tmp_path / "backend.py").write_text(BACKEND)
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (tmp_path / "pyproject.toml").write_text(f'{system}[project]\nname = "x"\nversion = "1"\n')
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    monkeypatch.setenv("WHEELS", str(tmp_path / "wheels"))

    assert setup_venv.main() == 0

    python = tmp_path / ".venv" / "bin" / "python"
    subprocess.run([python, "-c", "import tiny"], check=True)
    assert setup_venv.is_up_to_date()


@pytest.mark.parametrize(("made", "why"), [(True, "has no wheels in it"), (False, "is no folder")])
def test_a_folder_without_wheels_is_told_before_the_old_environment_goes(
    made: bool,
    why: str,
    setup_venv: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / ".venv").mkdir()
    if made:
        (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("WHEELS", str(tmp_path / "wheels"))

    assert setup_venv.main() == 2

    [line] = capsys.readouterr().err.splitlines()
    assert why in line
    assert "pip download" in line
    assert (tmp_path / ".venv").is_dir()
