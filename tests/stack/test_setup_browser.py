"""scripts/setup_browser.py: what it says where browser tests cannot run, and when it installs."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def setup_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, looking at an environment of its own, on a machine with nothing."""
    monkeypatch.syspath_prepend(SCRIPTS)
    module = importlib.import_module("setup_browser")
    monkeypatch.delenv("LAB_CHROMIUM", raising=False)
    monkeypatch.setattr(module, "KNOWN", (str(tmp_path / "chromium"), "no-such-chrome"))
    monkeypatch.setattr(module, "VENV", tmp_path)
    monkeypatch.setattr(module, "STAMP", tmp_path / ".browser-stamp")
    monkeypatch.setattr(module, "LOCK", tmp_path / "requirements-browser.lock")
    (tmp_path / "requirements-browser.lock").write_text("")
    (tmp_path / "bin").mkdir()
    return module


def with_chromium(folder: Path) -> Path:
    """A program in the place where one is looked for."""
    program = folder / "chromium"
    program.symlink_to("/bin/true")
    return program


def with_python(folder: Path, program: str) -> None:
    """A program in the place of the environment's Python: it ends well, or does not."""
    (folder / "bin" / "python").symlink_to(program)


def test_without_chromium_it_says_what_to_install_and_installs_nothing(
    setup_browser: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup_browser.main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "make test-browser needs Chromium: on Debian `sudo apt-get install chromium`" in line
    assert not setup_browser.STAMP.exists()


def test_a_chromium_that_was_named_and_is_none_is_not_replaced_by_another(
    setup_browser: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_chromium(tmp_path)
    monkeypatch.setenv("LAB_CHROMIUM", "/no/such/browser")
    assert setup_browser.main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "$LAB_CHROMIUM is /no/such/browser" in line


def test_a_chromium_that_was_named_comes_first(
    setup_browser: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = with_chromium(tmp_path)
    assert setup_browser.find_chromium() == str(known)
    monkeypatch.setenv("LAB_CHROMIUM", "/bin/sh")
    assert setup_browser.find_chromium() == "/bin/sh"


def test_a_lock_is_installed_once(
    setup_browser: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_chromium(tmp_path)
    with_python(tmp_path, "/bin/true")
    assert setup_browser.main() == 0
    assert "install Playwright" in capsys.readouterr().out
    assert setup_browser.main() == 0
    assert capsys.readouterr().out == ""
    setup_browser.LOCK.write_text("# another\n")
    assert setup_browser.main() == 0
    assert "install Playwright" in capsys.readouterr().out


def test_a_lock_that_cannot_be_installed_leaves_no_stamp(
    setup_browser: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_chromium(tmp_path)
    with_python(tmp_path, "/bin/false")
    assert setup_browser.main() == 2
    assert "run `make test-browser` again" in capsys.readouterr().err
    assert not setup_browser.STAMP.exists()
