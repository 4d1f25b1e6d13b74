"""JupyterLab as a service: offline, on loopback, and without touching the user's own settings."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labapp.errors import LabError
from labapp.stack.home import FIRST_NOTEBOOK, make_private, write_private
from labapp.stack.ports import LOOPBACK

NEWS_OFF = {"fetchNews": "false", "checkForUpdates": False}
STYLE = """/* JupyterLab shows an SVG as an image, as wide as it says it is: a timeline was cut. */
.jp-RenderedSVG img { max-width: 100%; height: auto; }
"""
BASE = "/"
"""Path below which JupyterLab answers, whatever a configuration of the machine says."""
SETTINGS_FILE = Path("@jupyterlab/apputils-extension/notification.jupyterlab-settings")


def command(root: Path, port: int, host: str = LOOPBACK) -> tuple[str, ...]:
    """The arguments that start JupyterLab in `root`; another host only where its network is the
    stack's own."""
    options = {
        "ServerApp.ip": host,
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.base_url": BASE,
        "ServerApp.root_dir": root,
        "ServerApp.open_browser": False,
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
        "LabApp.custom_css": True,
        "LanguageServerManager.autodetect": False,
    }
    as_root = ("--allow-root",) if os.geteuid() == 0 else ()
    program = (sys.executable, "-m", "jupyterlab", "--no-browser")
    return (*program, *as_root, *(f"--{name}={value}" for name, value in options.items()))


def environment(home: Path, token: str) -> dict[str, str]:
    """Folders of its own for everything Jupyter writes, and the token in a private file."""
    folder = make_private(home / "jupyter")
    write_private(folder / "token", token)
    _switch_news_off(folder / "settings")
    write_private(make_private(folder / "config" / "custom") / "custom.css", STYLE)
    return {
        "JUPYTER_TOKEN_FILE": str(folder / "token"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(make_private(folder / "runtime")),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
    }


def configure(home: Path, settings: Mapping[str, Any]) -> None:
    """Write JupyterLab's configuration, readable by its owner only."""
    folder = make_private(home / "jupyter" / "config")
    write_private(folder / "jupyter_server_config.json", json.dumps(settings, indent=2) + "\n")


def _switch_news_off(settings: Path) -> None:
    path = settings / SETTINGS_FILE
    if not path.exists():
        make_private(path.parent)
        write_private(path, json.dumps(NEWS_OFF))


def address(port: int, token: str) -> str:
    """Where the first lesson opens, token included."""
    return f"http://{LOOPBACK}:{port}{BASE}lab/tree/{FIRST_NOTEBOOK}?token={token}"


def base_path(given: str) -> str:
    """A path as Jupyter's `base_url` has it, a slash at both ends.

    Raises:
        LabError: it is no path.
    """
    if not given.startswith("/") or any(letter.isspace() or letter in "?#" for letter in given):
        raise LabError(
            f"{given!r} is no path below which JupyterLab answers", hint="such as /user/me/"
        )
    return f"/{given.strip('/')}/" if given.strip("/") else BASE


def has_browser() -> bool:
    """True where a graphical browser can be expected."""
    if platform.system() == "Darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_browser(home: Path, url: str) -> None:
    """Open the address in the browser, by way of a private file that forwards to it.

    So the token stands in no argument list. The helper runs on its own: some browsers return
    only when they are closed.
    """
    page = home / "jupyter" / "open.html"
    write_private(page, f'<meta http-equiv="refresh" content="0; url={url}">\n')
    subprocess.Popen(
        [sys.executable, "-m", "webbrowser", page.as_uri()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
