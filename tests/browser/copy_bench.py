"""A newcomer's checkout of the project, and the lab in it: real files, a real `lab up`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labapp.stack.environment import without_lab
from labapp.stack.home import make_private
from labapp.stack.logs import log_files, tail
from labapp.stack.service import Guarded
from labapp.stack.testing import END_SECONDS, wait_ready

ROOT = Path(__file__).parents[2]
LAB = str(Path(sys.executable).with_name("lab"))
EXPOSED = {"LabApp": {"expose_app_in_browser": True}}
TAIL_LINES = 30


@dataclass(frozen=True)
class Checkout:
    """A copy of the project, in which a lab runs.

    Args:
        folder: the copy.
        log: what `lab up` printed.
    """

    folder: Path
    log: Path

    @property
    def home(self) -> Path:
        """The state folder of its lab."""
        return self.folder / ".lab"

    @property
    def address(self) -> str:
        """Where `lab up` said to open JupyterLab, token included."""
        found = re.search(r"^lab: open (\S+)$", self.log.read_text(), re.MULTILINE)
        assert found, f"`lab up` named no address:\n{self.log.read_text()}"
        return found[1]

    def logs(self) -> str:
        """The end of every log of its lab."""
        files = {"lab up": self.log, **log_files(self.home)}
        return "\n".join(f"==> {name} <==\n{tail(files[name], TAIL_LINES)}" for name in files)


def copy_of_the_project(folder: Path) -> Path:
    """What is here now, as git sees it; no notebook has outputs, so that what is seen is new."""
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.exists():  # one that was deleted here is still listed
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for notebook in (folder / "notebooks").rglob("*.ipynb"):
        notebook.write_text(json.dumps(_without_outputs(json.loads(notebook.read_text()))))
    return folder


def _without_outputs(notebook: dict[str, Any]) -> dict[str, Any]:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return notebook


@contextmanager
def running_checkout(folder: Path) -> Iterator[Checkout]:
    """A lab in a copy of the project made here; stopped, and waited for, at the end.

    Args:
        folder: an empty one; the copy is in it, and the log beside that.

    Raises:
        AssertionError: it did not start or did not stop; with the log's tail.
    """
    checkout = Checkout(copy_of_the_project(folder / "celery-lab"), folder / "up.log")
    _expose_the_app(checkout.home)
    lab = Guarded((LAB, "up", "--no-browser"), checkout.log, _environment(), checkout.folder)
    try:
        wait_ready(checkout.home, lab, checkout.log)
        yield checkout
        lab.terminate()
        if lab.wait(END_SECONDS) is None:
            raise AssertionError(f"the lab did not stop:\n{tail(checkout.log, TAIL_LINES)}")
    finally:
        lab.close()


def _expose_the_app(home: Path) -> None:
    """Have JupyterLab show its application to the tests, by a file that the lab never writes."""
    make_private(home)
    config = make_private(home / "jupyter" / "config")
    (config / "jupyter_lab_config.json").write_text(json.dumps(EXPOSED))


def _environment() -> dict[str, str]:
    """A newcomer's: without any other lab's variables; CI may choose the broker."""
    chosen = {name: os.environ[name] for name in ("LAB_BROKER",) if name in os.environ}
    return {**without_lab(), "PYTHONUNBUFFERED": "1", **chosen}
