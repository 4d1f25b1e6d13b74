"""`lab doctor --workshop`: what goes wrong in rooms, looked for before people sit in one.

What can be seen without starting anything; the rehearsal is ``labapp.course.preflight``.  Nothing
here asks the network.  Depends on ``labapp.stack.doctor`` for what a finding is.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from labapp.errors import LabError
from labapp.stack.doctor import Finding
from labapp.stack.home import PACKAGE_ROOT, lab_home, project_root
from labapp.stack.ports import LOOPBACK
from labapp.stack.state import in_container

NEEDED_MEMORY = 2_000_000_000
"""Bytes free for the lab with JupyterLab, a few kernels and workers, and a browser beside them."""
TRIED_PORTS = 6
"""As many as a lab opens: broker, world, mail, node, JupyterLab, one API."""
PATIENCE = 5.0
"""Seconds that a connection on loopback may take."""
CLOCK_AHEAD, CLOCK_OF_DISK = 86_400.0, 5.0
"""Seconds: files may be that much newer than now; the disk's clock may differ by that much."""
LOCK = "requirements.lock"
WHEELS = "wheels"
SHOWN = 3
"""How many names a finding gives of a long list."""


def examine_room() -> Iterator[Finding]:
    """All findings, in a fixed order, each as soon as it is known."""
    checks: tuple[Callable[[], Finding], ...] = (
        _locked,
        _wheels,
        _memory,
        _writing,
        _clock,
        _loopback,
        _proxies,
    )
    for check in checks:
        yield check()


def locked(text: str) -> dict[str, str]:
    """Name → version of what a lock file wants on this machine."""
    from packaging.requirements import Requirement

    starts = (line.rstrip(" \\") for line in text.splitlines() if line[:1].isalnum())
    wanted = (Requirement(line) for line in starts)
    return {
        one.name: next(iter(one.specifier)).version
        for one in wanted
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def _locked() -> Finding:
    if in_container():
        return Finding("ok", "locked", "the packages are the image's")
    path = PACKAGE_ROOT / LOCK
    if not path.is_file():
        return Finding("note", "locked", f"no {LOCK} here: cannot tell which versions are meant")
    return locked_finding(locked(path.read_text()), _installed)


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def locked_finding(wanted: dict[str, str], installed: Callable[[str], str]) -> Finding:
    """Whether every locked package is there, in its version."""
    have = {name: installed(name) for name in wanted}
    absent = [name for name, found in have.items() if not found]
    other = [f"{name} {have[name]}" for name in wanted if have[name] not in ("", wanted[name])]
    remedy = f"`make venv`, without network `make venv WHEELS={WHEELS}`"
    if absent:
        return Finding("missing", "locked", f"{_some(absent)} not installed: {remedy}")
    if other:
        return Finding("note", "locked", f"{_some(other)}, not the locked version: {remedy}")
    return Finding("ok", "locked", f"all {len(wanted)} packages of {LOCK}, in its versions")


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _wheels() -> Finding:
    """A folder of wheels, for machines that are set up without a network."""
    folder = Path(os.environ.get("WHEELS") or PACKAGE_ROOT / WHEELS)
    lock = PACKAGE_ROOT / LOCK
    if not folder.is_dir() or not lock.is_file():
        return Finding("ok", "wheels", "no folder of them, and none needed once set up")
    return wheels_finding(locked(lock.read_text()), folder)


def wheels_finding(wanted: dict[str, str], folder: Path) -> Finding:
    """Whether a folder has a wheel of every locked package."""
    from packaging.utils import canonicalize_name, parse_wheel_filename

    found = {parse_wheel_filename(path.name)[:2] for path in folder.glob("*.whl")}
    names = {(str(name), str(number)) for name, number in found}
    absent = [
        one for one, number in wanted.items() if (canonicalize_name(one), number) not in names
    ]
    if not absent:
        return Finding("ok", "wheels", f"all {len(wanted)} in {folder.name}/")
    remedy = f"`pip download -r {LOCK} -d {folder.name}` where there is a network"
    return Finding("note", "wheels", f"{_some(absent)} not in {folder.name}/: {remedy}")


def _memory() -> Finding:
    return memory_finding(psutil.virtual_memory().available)


def memory_finding(free: int) -> Finding:
    """Whether this much free memory, in bytes, is enough."""
    said = f"{free / 1e9:.1f} GB free"
    if free >= NEEDED_MEMORY:
        return Finding("ok", "memory", said)
    needed = f"{NEEDED_MEMORY / 1e9:g} GB are needed"
    return Finding("missing", "memory", f"{said}, {needed}: close other programs, then try again")


def _writing() -> Finding:
    """Where the lab, the editor and the notebooks write."""
    root = project_root()
    folders = [
        root,
        root / "notebooks",
        root / "exercises",
        lab_home(),
        Path(tempfile.gettempdir()),
    ]
    return writing_finding([folder for folder in folders if folder.is_dir()])


def writing_finding(folders: list[Path]) -> Finding:
    """Whether a file can be made in each of these folders: tried, for rights do not say it all."""
    for folder in folders:
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            remedy = "copy the project to a folder of your own"
            return Finding("missing", "writing", f"{folder}: {error.strerror}: {remedy}")
    return Finding("ok", "writing", "notebooks, exercises, state and temporary files")


def _clock() -> Finding:
    with tempfile.NamedTemporaryFile(dir=tempfile.gettempdir()) as file:
        now, disk = time.time(), Path(file.name).stat().st_mtime
    # What is installed was written before now; what is not is a clock that has been put back.
    newest = max(path.stat().st_mtime for path in (PACKAGE_ROOT / "labapp").glob("*.py"))
    return clock_finding(now, newest, disk)


def clock_finding(now: float, newest: float, disk: float) -> Finding:
    """Whether the clock can be right; all in epoch seconds.

    Args:
        now: what the clock says.
        newest: when the newest file of the lab was written.
        disk: when a file was written that was written now.
    """
    shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(now))
    if newest - now > CLOCK_AHEAD:
        return Finding("missing", "clock", f"{shown} is before this lab was made: set the clock")
    if abs(disk - now) > CLOCK_OF_DISK:
        remedy = "set the clock (WSL2 after a sleep: `wsl --shutdown`, then start again)"
        return Finding("note", "clock", f"{abs(disk - now):.0f} s away from the disk's: {remedy}")
    return Finding("ok", "clock", shown)


def _loopback() -> Finding:
    try:
        for _ in range(TRIED_PORTS):
            _speak_to_ourselves()
    except (OSError, LabError) as error:
        remedy = f"let python through the firewall or antivirus on {LOOPBACK}"
        return Finding("missing", "loopback", f"no connection to {LOOPBACK} ({error}): {remedy}")
    return Finding("ok", "loopback", f"{TRIED_PORTS} ports opened on {LOOPBACK} and spoken to")


def _speak_to_ourselves() -> None:
    """Open a port, connect to it, pass a byte.  Raises OSError where that cannot be done."""
    with socket.create_server((LOOPBACK, 0)) as server:
        server.settimeout(PATIENCE)
        with (
            socket.create_connection(server.getsockname(), PATIENCE) as client,
            server.accept()[0] as served,
        ):
            client.sendall(b"!")
            served.settimeout(PATIENCE)
            if served.recv(1) != b"!":
                raise LabError("what was sent did not arrive")


def _proxies() -> Finding:
    """Tasks call the partner with httpx, which goes by the environment as any program does."""
    import httpx

    set_here = urllib.request.getproxies_environment()
    named = ", ".join(f"{name}_proxy" for name in set_here if name != "no")
    try:
        httpx.Client().close()
    except (ImportError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        return Finding("missing", "proxies", f"{named}: {reason}: unset it where the lab starts")
    concerned = {"http", "all"} & set(set_here)
    if concerned and not urllib.request.proxy_bypass(LOOPBACK):
        remedy = f"export NO_PROXY={LOOPBACK},localhost where the lab starts"
        return Finding("missing", "proxies", f"{named} would take {LOOPBACK} away: {remedy}")
    said = f"{named} leave {LOOPBACK} alone" if named else "none in the environment"
    return Finding("ok", "proxies", said)
