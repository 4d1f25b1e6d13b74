"""Kernels that run lessons unattended, and the stack they find.

Used by `notebooks/conftest.py` and `scripts/outputs.py`, so that both run a lesson alike. Depends
on `labapp.stack.testing`; needs nbval for `WatchedKernel` (a development dependency).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import KernelManager
from nbval.kernel import (  # type: ignore[import-untyped]
    CURRENT_ENV_KERNEL_NAME,
    NbvalKernelspecManager,
    RunningKernel,
)

from labapp.errors import LabError
from labapp.stack.home import PROGRESS_VARIABLE

if TYPE_CHECKING:
    from labapp.stack.state import Stack

POLL_SECONDS = 0.5  # a dead kernel is noticed within two of these
START_SECONDS = 60.0
# A lesson must find the stack that was started for it, not one that the shell knows of.
_OTHER_STACK = (
    "LAB_BROKER_URL",
    "LAB_WORLD_URL",
    "LAB_MAIL_URL",
    "LAB_NODE_URLS",
    "LAB_CONTROL_TOKEN",
)


class KernelDied(Exception):
    """The kernel's process ended while a cell ran or before one could."""


def socket_kernel(folder: Path, **settings: Any) -> KernelManager:
    """The manager of a kernel that is spoken to by Unix sockets.

    TCP ports are chosen before the kernel starts.  Where many processes open connections, one of
    them may take such a port first, and the kernel dies at its start.

    Args:
        folder: where the sockets are to be; somebody else's to remove.
        settings: the manager's.
    """
    # The sockets are named after the connection file: it has to be known before they are.
    file = str(folder / "kernel.json")
    return KernelManager(connection_file=file, transport="ipc", **settings)


class WatchedKernel(RunningKernel):  # type: ignore[misc]
    """nbval's kernel on Unix sockets, whose death is noticed within a second, not at the time-out.

    Args:
        cwd: folder that the kernel works in.

    Raises:
        RuntimeError: the kernel did not start.
    """

    def __init__(self, cwd: str) -> None:
        # Not nbval's own: it leaves no choice of the manager.
        self._folder = tempfile.TemporaryDirectory(prefix="lab-kernel-")
        self.km = socket_kernel(
            Path(self._folder.name),
            kernel_name=CURRENT_ENV_KERNEL_NAME,
            kernel_spec_manager=NbvalKernelspecManager(),
        )
        self.km.start_kernel(stderr=subprocess.DEVNULL, cwd=cwd)
        self.kc = self.km.client()
        self.kc.start_channels()
        try:
            self.kc.wait_for_ready(timeout=START_SECONDS)
        except RuntimeError:
            self.close()
            raise
        self._ensure_iopub_up()

    def get_message(self, stream: str, timeout: float | None = None) -> Any:
        """The next message of a channel.

        Args:
            stream: iopub or shell.
            timeout: seconds; None waits as long as the kernel lives.

        Raises:
            queue.Empty: none came in time.
            KernelDied: none will come.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            alive = self.is_alive()
            try:
                return super().get_message(stream, timeout=_slice(deadline))
            except Empty:
                if not alive:
                    raise KernelDied("the kernel died") from None
                if deadline is not None and time.monotonic() >= deadline:
                    raise

    def stop(self) -> None:
        """Kill the kernel and wait for it."""
        super().stop()
        self._folder.cleanup()

    def close(self) -> None:
        """The same; nothing happens where that was done before."""
        if hasattr(self, "km"):
            self.stop()


def _slice(deadline: float | None) -> float:
    left = POLL_SECONDS if deadline is None else deadline - time.monotonic()
    return max(0.0, min(POLL_SECONDS, left))


class Environment:
    """What kernels of this process get to see: one stack, started when first needed.

    Args:
        with_stack: false for notebooks that touch no lab.
    """

    def __init__(self, *, with_stack: bool = True) -> None:
        self._with_stack = with_stack
        self._running = ExitStack()
        self._folder: Path | None = None
        self._failure: LabError | None = None
        self._variables: dict[str, str] = {}

    def variables(self) -> Mapping[str, str]:
        """The variables to add to a kernel's environment; starts the stack at the first call.

        Raises:
            LabError: the stack did not start; said again at each call, without another try.
        """
        if self._failure is not None:
            raise self._failure
        if self._with_stack and not self._variables:
            self._start()
        return self._variables

    def _start(self) -> None:
        from labapp.stack.testing import headless_stack

        self._folder = Path(tempfile.mkdtemp(prefix="lab-notebooks-"))
        home = self._folder / "lab"
        try:
            stack = self._running.enter_context(headless_stack(home, shared=True))
        except (AssertionError, LabError, OSError) as error:
            self._failure = LabError(f"the stack for the notebooks did not start: {error}")
            raise self._failure from None
        self._variables = kernel_variables(stack, home)

    @contextmanager
    def exported(self) -> Iterator[None]:
        """The variables in this process's own environment, for as long as a kernel starts."""
        with changed_environment(self.variables()):
            yield

    def log_tails(self, lines: int) -> list[tuple[str, str]]:
        """Title and last lines of each log of the stack, workers' included."""
        if self._folder is None:
            return []
        logs = sorted(self._folder.glob("lab/logs/**/*.log"), key=lambda log: log.stat().st_mtime)
        return [(f"end of {log.name}", tail) for log in logs if (tail := _tail(log, lines))]

    def close(self) -> None:
        """Stop the stack, wait for it and remove its folder.

        Raises:
            AssertionError: it did not stop.
        """
        try:
            self._running.close()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)


def kernel_variables(stack: Stack, home: Path) -> dict[str, str]:
    """How a lesson's kernel finds its stack, and the learner's modules their broker and partner."""
    return {
        "LAB_HOME": str(home),
        "LAB_ANSWERS": "solutions",
        PROGRESS_VARIABLE: str(home / "progress.json"),  # nobody's: it begins with nothing done
        **stack.live_environment(),
    }


@contextmanager
def changed_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """`os.environ` with these variables and no other stack's, restored afterwards."""
    before = dict(os.environ)
    for name in _OTHER_STACK:
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _tail(log: Path, lines: int) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
