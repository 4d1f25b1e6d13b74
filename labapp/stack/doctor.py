"""`lab doctor`: what is used, and what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from labapp.errors import LabError
from labapp.stack import broker
from labapp.stack.home import PACKAGE_ROOT, lab_home
from labapp.stack.ports import Port
from labapp.stack.space import free_space
from labapp.stack.state import in_container, load

NEEDED_SPACE = 500_000_000  # bytes, for logs and broker data
OLDEST_PYTHON = (3, 11)
PACKAGES = ("celery", "kombu", "redis", "flower", "jupyterlab", "jupyter-server-proxy", "nbval")
VENV_PROBE = "import venv, ensurepip, sys; print('.'.join(map(str, sys.version_info[:3])))"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `mark` is ok, note (works, worth knowing), missing (needed) or failed (tried)."""

    mark: str
    what: str
    detail: str

    @property
    def stops(self) -> bool:
        """Whether there can be no lab, or no workshop, before it is mended."""
        return self.mark in ("missing", "failed")

    def __str__(self) -> str:
        return f"  {self.mark:<8} {self.what:<9} {self.detail}"


def examine() -> list[Finding]:
    """All findings, in a fixed order."""
    checks: tuple[Callable[[], Finding], ...] = (
        _platform,
        _python,
        _venv_module,
        _environment,
        _packages,
        _candidates,
        _broker,
        _space,
        _ports,
        _lab,
    )
    return [check() for check in checks]


def _platform() -> Finding:
    system, release = platform.system(), platform.release()
    if system == "Linux":
        flavour = "WSL2" if "microsoft" in release.lower() else "Linux"
        return Finding("ok", "platform", f"{flavour} {platform.machine()}: tested")
    if system == "Darwin":
        return Finding("note", "platform", f"macOS {platform.machine()}: best effort")
    return Finding("missing", "platform", f"{system} is not supported; use WSL2 on Windows")


def _python() -> Finding:
    mark = "ok" if sys.version_info >= OLDEST_PYTHON else "missing"
    return Finding(mark, "python", f"{platform.python_version()} at {sys.executable}")


def _venv_module() -> Finding:
    """The python3 on PATH is the one that `make venv` uses; on Debian venv comes separately."""
    system = shutil.which("python3", path=_path_outside_the_venv())
    if system is None:
        return Finding("note", "python3", "none on PATH: `make venv PYTHON=...` needs one")
    said = subprocess.run([system, "-c", VENV_PROBE], capture_output=True, text=True, check=False)
    if said.returncode == 0:
        return Finding("ok", "python3", f"{said.stdout.strip()} at {system}, with venv")
    advice = "on Debian and Ubuntu: sudo apt-get install python3-venv"
    return Finding("note", "python3", f"{system} has no venv or ensurepip module ({advice})")


def _path_outside_the_venv() -> str:
    own = str(Path(sys.executable).parent)
    parts = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(part for part in parts if part != own)


def _environment() -> Finding:
    if in_container():
        return Finding("ok", "lock", "the environment is the image's")
    script = PACKAGE_ROOT / "scripts" / "setup_venv.py"
    stamp = PACKAGE_ROOT / ".venv" / ".lab-stamp"
    if not script.is_file() or not stamp.is_file():
        return Finding(
            "note", "lock", "not set up by `make venv`: versions are not the locked ones"
        )
    probe = f"import runpy; print(runpy.run_path({str(script)!r})['is_up_to_date']())"
    said = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    if said.stdout.strip() == "True":
        return Finding("ok", "lock", "the environment is what requirements.lock says")
    return Finding("note", "lock", "requirements.lock has changed since: run `make venv`")


def _packages() -> Finding:
    found, absent = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    if absent:
        return Finding("missing", "packages", f"{', '.join(absent)}: run `make venv`")
    return Finding("ok", "packages", ", ".join(found))


def _candidates() -> Finding:
    return Finding("ok", "brokers", "; ".join(broker.candidates()))


def _broker() -> Finding:
    try:
        binary, _ = broker.choose()
    except LabError as error:
        return Finding("missing", "broker", str(error))
    return Finding("ok", "broker", f"{binary} at {binary.path}")


def _space() -> Finding:
    home = lab_home()
    free = free_space(home)
    detail = f"{free / 1e9:.1f} GB free for {home}"
    return Finding("ok" if free >= NEEDED_SPACE else "missing", "disk", detail)


def _ports() -> Finding:
    try:
        Port().release()
    except LabError as error:
        return Finding("missing", "ports", str(error))
    return Finding("ok", "ports", "free ones are to be had on loopback")


def _lab() -> Finding:
    if in_container():
        return Finding("ok", "lab", "its services are containers: `docker compose ps` on the host")
    stack = load(lab_home())
    if stack is None:
        return Finding("ok", "lab", f"not running in {lab_home().parent}")
    if stack.is_supervised_alive:
        return Finding("ok", "lab", f"running, supervisor {stack.pid}")
    return Finding("note", "lab", "was killed; the next `lab up` cleans up")
