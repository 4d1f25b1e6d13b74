"""What a live panel costs its kernel, while tasks are at work: processor time for each update.

In a real ipykernel, with its messages to the browser; nobody reads them.  Goal: 20 ms, a tenth of
the time between two updates, on an idle machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rows import Row

from labapp.course.kernels import Environment, socket_kernel
from labapp.errors import LabError

SECONDS = 10.0
START = 60.0
CODE = f"""
import time
from labapp import connect
lab = connect()
panel = lab.panel()
panel._repr_mimebundle_()
panel.press("hold before effect")
panel.press("send ten")
looks, begun, spent = [], time.monotonic(), time.process_time()
panel._widget.observe(lambda change: looks.append(change), "data")
time.sleep({SECONDS})
print("measured", time.process_time() - spent, time.monotonic() - begun, len(looks))
panel.close()
"""


def rows() -> Iterator[Row]:
    """Processor time of an update, and how many of them a second has.

    Raises:
        LabError: the panel did not open.
    """
    environment = Environment()
    try:
        with environment.exported(), tempfile.TemporaryDirectory() as folder:
            spent, lasted, updates = _measured(Path(folder))
    finally:
        environment.close()
    note = f"{SECONDS:.0f} s, two tasks at work"
    each = 1000 * spent / updates
    yield Row("live panel: processor time of an update", each, 20.0, unit="ms", note=note)
    yield Row("live panel: updates (goal: 5)", updates / lasted, unit="/s", note=note)


def _measured(folder: Path) -> tuple[float, float, int]:
    """Processor seconds, seconds and updates, as a kernel says them."""
    manager = socket_kernel(folder)
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=START)
        cell = client.execute(CODE)
        deadline = time.monotonic() + SECONDS + START
        while time.monotonic() < deadline:
            message = client.get_iopub_msg(timeout=START)
            said = str(message["content"].get("text", ""))
            if message["parent_header"].get("msg_id") == cell and said.startswith("measured"):
                spent, lasted, updates = said.split()[1:]
                return float(spent), float(lasted), int(updates)
            if message["msg_type"] == "error":
                raise LabError(str(message["content"]["evalue"]))
        raise LabError("the panel did not say what it costs")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
