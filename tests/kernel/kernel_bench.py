"""What tests of kernels work with: a real ipykernel with its client, as JupyterLab has them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from labapp.course.kernels import socket_kernel
from labapp.stack.testing import environment

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
"""Seconds that a cell may take on an overloaded machine."""
SETUP = f"""
import sys
sys.path.insert(0, {str(ROOT / "solutions" / "00_start_here")!r})
from labapp import charge_of, connect, kill_worker, never_answer, orders
from shop import charge
lab = connect()
print(lab.session.lease.name)
"""


class Notebook:
    """A kernel with its client, as JupyterLab has them."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    @property
    def pid(self) -> int:
        """Process id of the kernel."""
        return int(self.manager.provisioner.pid)  # type: ignore[union-attr]

    def run(self, code: str) -> str:
        """Run a cell to its end; everything it printed, or the traceback that was shown."""
        return self.outcome(self.start(code))

    def start(self, code: str) -> str:
        """Run a cell and do not wait; the id by which `outcome` knows it."""
        return str(self.client.execute(code))

    def outcome(self, cell: str) -> str:
        """What this cell prints until the kernel is idle again.

        Messages of other requests are passed over: after a restart those of the client's own
        `kernel_info` requests may come late, and an idle of theirs is not the cell's.
        """
        said: list[str] = []
        while True:
            message: dict[str, Any] = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != cell:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(content["text"])
            elif message["msg_type"] == "error":
                said.extend(content["traceback"])
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return "\n".join(said)

    def lease(self) -> str:
        """Set up as a lesson does; the name of the kernel's lease."""
        return self.run(SETUP).strip().splitlines()[-1]


@contextmanager
def notebook(home: Path) -> Iterator[Notebook]:
    """A kernel that finds the stack in `home`; gone at the end."""
    folder = tempfile.TemporaryDirectory(prefix="lab-kernel-")
    manager = socket_kernel(Path(folder.name))
    manager.start_kernel(env=environment(home), cwd=str(ROOT / "notebooks"))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield Notebook(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        folder.cleanup()
