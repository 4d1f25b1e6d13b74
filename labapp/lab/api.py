"""Runs a learner's web API for a while: ``uvicorn api:app``, on loopback and a free port.

The API is a process of its own under a guard (``labapp.stack.guard``), so that it ends with the
notebook's kernel or the check that started it, by whatever death, and takes along what it started.
May depend on ``labapp.stack`` and ``labapp.errors``; used by ``labapp.lab.front``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from labapp.errors import LabError
from labapp.lab.broker import POLL
from labapp.lab.publisher import Module
from labapp.stack.environment import for_module
from labapp.stack.logs import tail_of
from labapp.stack.ports import Port, is_listening
from labapp.stack.service import Guarded

START_DEADLINE = 20.0
"""Seconds that the module may take to import and uvicorn to listen."""
LOG_LINES = 40
"""Lines of its log in which the reason for a failed start is looked for."""
LEVELS = ("ERROR:", "WARNING:", "INFO:")
"""How uvicorn's own lines begin."""
NO_WORD = "it ended without a word"


def command(module: Module, port: int) -> tuple[str, ...]:
    """The command line, as one would type it."""
    where = ("--host", "127.0.0.1", "--port", str(port))
    quiet = ("--log-level", "warning", "--no-access-log")
    return (sys.executable, "-m", "uvicorn", f"{module.name}:app", *where, *quiet)


class Api:
    """A running API.

    Args:
        module: where its ``app`` is.
        env: its broker, result backend and the like, on top of this process's environment.

    Raises:
        LabError: there is no such module, it does not start (with its last words), or not in time.
    """

    def __init__(self, module: Module, env: Mapping[str, str]) -> None:
        module.require_file()
        self.module = module
        self._heard = 0
        self._port = Port()
        self.url = self._port.url
        environment = {**for_module(), "PYTHONUNBUFFERED": "1", **env}
        with tempfile.TemporaryDirectory(prefix="lab-api-") as folder:
            log = Path(folder) / "api.log"
            self._process = Guarded(
                command(module, self._port.number), log, environment, module.path
            )
            self._log = log.open("rb")  # nameless from here on: a killed kernel leaves no file
        try:
            self._await_start()
        except BaseException:  # interrupted: the process must not stay behind
            self.close()
            raise

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_DEADLINE
        while not is_listening(self._port.number):
            if self._process.exit_code() is not None:
                raise LabError(
                    f"{self.module.file.name} does not start: {self.last_words()}",
                    hint=f"try it: cd {self.module.path.name} && uvicorn {self.module.name}:app",
                )
            if time.monotonic() > deadline:
                raise LabError(
                    f"{self.module.file.name} took more than {START_DEADLINE:.0f} s to start",
                    hint="a module must only define things when imported",
                )
            time.sleep(POLL)

    def last_words(self) -> str:
        """What it said last, in one line; the error itself where it is uvicorn's."""
        lines = tail_of(self._log, LOG_LINES).splitlines()
        said = next((line.strip() for line in reversed(lines) if line.strip()), NO_WORD)
        for level in LEVELS:
            said = said.removeprefix(level)
        return said.strip()

    def news(self) -> str:
        """What it has said since this was last asked: the tracebacks of its answers 500."""
        self._log.seek(self._heard)
        text = self._log.read()
        self._heard += len(text)
        return text.decode(errors="replace")

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.exit_code() is None

    def close(self) -> None:
        """End the API and all it started, at once, and wait for it."""
        self._process.close()
        self._port.release()
        self._log.close()
