"""Flower as a service: on a socket that nobody else can reach, shown in a tab of JupyterLab.

Flower's /metrics and /healthcheck ask for no password, whatever is set. So it listens on no TCP
port, where every user of the machine could read them, but on a Unix socket in a private folder;
JupyterLab passes on (jupyter-server-proxy) what comes with its token. The password that only
JupyterLab knows makes Flower refuse requests that other sites send through the browser
(flower/views/__init__.py, `check_xsrf_cookie`).

Used by `labapp.stack.services` and those who stop a lab; the app that Flower runs with is
`labapp.stack.flower_app`.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from labapp.errors import LabError
from labapp.stack import broker
from labapp.stack.health import answers
from labapp.stack.home import write_private

PREFIX = "flower"
"""Path of Flower below JupyterLab's address."""
USER = "lab"
CLIENT_NAME = "lab-flower"
"""What Flower's connections are called in the broker's CLIENT LIST."""
MOST_TASKS = 100_000
"""Tasks that Flower keeps, the newest ones (5.6 kB each, with four events)."""
FORGET_SECONDS = 600
"""A worker that has been silent for so long leaves Flower's list: each run has one or two."""
ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<g fill="#7cb342"><circle cx="16" cy="7" r="5"/><circle cx="24.5" cy="13.2" r="5"/>
<circle cx="21.3" cy="23.3" r="5"/><circle cx="10.7" cy="23.3" r="5"/>
<circle cx="7.5" cy="13.2" r="5"/></g><circle cx="16" cy="16" r="5" fill="#fdd835"/></svg>
"""


# The socket


def make_socket_path(home: Path) -> Path:
    """A path for the socket, in a folder that is made here and that only its owner may enter.

    The folder lies in the state folder; where a socket cannot be there (its path would be longer
    than the 100-odd bytes that the system takes, or the file system has no sockets), in the
    user's runtime folder or the one for temporary files.

    Raises:
        LabError: it can be in none of them.
    """
    inside = home / "run"
    for folder in _folders(inside):
        path = folder / "flower.sock"
        if _is_private(folder) and _can_bind(path):
            return path
        remove_socket(path)
    raise LabError(
        f"Flower's socket can be neither in {inside} nor in a temporary folder: the path is too "
        "long, or the file system takes no sockets",
        hint="set TMPDIR to a local folder with a short path",
    )


def _folders(inside: Path) -> Iterator[Path]:
    inside.mkdir(parents=True, exist_ok=True)
    inside.chmod(0o700)
    yield inside
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        with suppress(OSError):
            if base:
                yield Path(tempfile.mkdtemp(prefix="lab-", dir=base))


def _is_private(folder: Path) -> bool:
    """False on file systems that know no permissions."""
    found = folder.stat()
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _can_bind(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError:
        return False
    return True


def remove_socket(path: str | Path | None) -> None:
    """Delete the socket and its folder; what is gone already is fine."""
    if path:
        with suppress(OSError):
            Path(path).unlink(missing_ok=True)
        with suppress(OSError):
            Path(path).parent.rmdir()


# The service


def command(path: str, base: str = "/") -> tuple[str, ...]:
    """The arguments that start Flower on this socket, for a JupyterLab that answers below `base`.

    Flower has to know the whole of its path: it stands in its links and its redirects."""
    options = {
        "unix_socket": path,
        "url_prefix": f"{base}{PREFIX}".strip("/"),
        "max_tasks": MOST_TASKS,
        "purge_offline_workers": FORGET_SECONDS,
        "logging": "warning",
    }
    program = (sys.executable, "-m", "celery", "--quiet", "-A", "labapp.stack.flower_app")
    return (*program, "flower", *(f"--{name}={value}" for name, value in options.items()))


def environment(broker_url: str, password: str) -> dict[str, str]:
    """Flower's secrets: the broker's address, and the password between JupyterLab and Flower."""
    return {"CELERY_BROKER_URL": broker_url, "FLOWER_BASIC_AUTH": f"{USER}:{password}"}


def is_ready(path: str, base: str, port: int, password: str, timeout: float) -> bool:
    """True if Flower answers and hears events; what is sent from then on is seen.

    Args:
        path: its socket.
        base: path below which JupyterLab answers.
        port: the broker's.
        password: the broker's.
        timeout: seconds for each of the two questions.
    """
    page = f"unix:{path}:{base}{PREFIX}/healthcheck"
    return answers(page, timeout) and _listens(port, password, timeout)


def _listens(port: int, password: str, timeout: float) -> bool:
    """True if a connection of Flower's has subscribed: its page is up a moment earlier."""
    subscribed = broker.subscribers(port, password, timeout)
    return any(f" name={CLIENT_NAME} " in line for line in subscribed)


# In JupyterLab


def proxied(path: str, password: str, icon: Path) -> dict[str, Any]:
    """JupyterLab's settings that pass on /flower/, and show Flower in the launcher.

    The supervisor starts Flower; JupyterLab must not, so no command is named.

    Args:
        path: Flower's socket.
        password: Flower's.
        icon: where to write the launcher's picture.
    """
    write_private(icon, ICON)
    login = b64encode(f"{USER}:{password}".encode()).decode()
    server = {
        "unix_socket": path,
        "absolute_url": True,
        "new_browser_tab": False,
        "request_headers_override": {"Authorization": f"Basic {login}"},
        # JupyterLab shows such a picture in its first two rows only, so not in "Other".
        "launcher_entry": {"title": "Flower", "icon_path": str(icon), "category": "Notebook"},
    }
    return {"ServerProxy": {"servers": {PREFIX: server}}}
