"""The live panel in a real ipykernel: its clicks, its updates, its end.

The messages are those that JupyterLab sends: a widget's go to a subshell of the kernel."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kernel_bench import PATIENCE, SETUP, Notebook, notebook

from labapp.node.client import Nodes
from labapp.stack.state import Stack
from labapp.stack.testing import wait_until

OPEN = """
panel = lab.panel()
bundle = panel._repr_mimebundle_()
print(panel.shop.session.lease.name, bundle["application/vnd.jupyter.widget-view+json"]["model_id"])
"""
WAIT_FOR_AN_EFFECT = f"""
import time
until = time.monotonic() + {PATIENCE / 2}
while not panel.moment.happened and time.monotonic() < until:
    time.sleep(0.01)
print(panel.moment.happened)
"""


def opened(book: Notebook) -> tuple[str, str]:
    """Open a panel: its lease, and the widget's id."""
    book.run(SETUP)
    lease, comm = book.run(OPEN).strip().splitlines()[-1].split()
    return lease, comm


def subshell(book: Notebook) -> str:
    """A new subshell of the kernel."""
    client = book.client
    request = client.session.msg("create_subshell_request")
    client.control_channel.send(request)
    while True:
        reply: dict[str, Any] = client.get_control_msg(timeout=PATIENCE)
        if reply["parent_header"].get("msg_id") == request["header"]["msg_id"]:
            return str(reply["content"]["subshell_id"])


def click(book: Notebook, comm: str, button: str, shell: str) -> None:
    """What the panel's JavaScript sends when a button is pressed."""
    content = {"method": "custom", "content": {"press": button, "worker": ""}}
    message = book.client.session.msg("comm_msg", {"comm_id": comm, "data": content})
    message["header"]["subshell_id"] = shell
    book.client.shell_channel.send(message)


def held_by(stack: Stack, lease: str) -> int:
    """How many workers the nodes run under this lease."""
    nodes = Nodes(stack.node_urls, stack.control_token)
    try:
        return sum(worker["lease"] == lease for worker in nodes.workers())
    finally:
        nodes.close()


def test_a_click_is_heard_while_a_cell_runs(stack: Stack, stack_home: Path) -> None:
    with notebook(stack_home) as book:
        _, comm = opened(book)
        shell = subshell(book)
        cell = book.start(WAIT_FOR_AN_EFFECT)
        click(book, comm, "send one", shell)
        assert book.outcome(cell).strip() == "1"  # the cell ends when the click has had its effect


def updates(book: Notebook, comm: str) -> tuple[int, float]:
    """How often the browser is told something while a cell runs, and for how many seconds."""
    count, begun = 0, time.monotonic()
    cell = book.start("import threading\nthreading.Event().wait(4)")
    while True:
        message: dict[str, Any] = book.client.get_iopub_msg(timeout=PATIENCE)
        content = message["content"]
        if message["msg_type"] == "comm_msg" and content["comm_id"] == comm:
            count += "data" in content["data"].get("state", {})
        of_cell = message["parent_header"].get("msg_id") == cell
        if of_cell and content.get("execution_state") == "idle":
            return count, time.monotonic() - begun


def test_the_browser_is_told_what_moves_while_a_cell_runs(stack: Stack, stack_home: Path) -> None:
    with notebook(stack_home) as book:
        _, comm = opened(book)
        book.run('panel.press("hold before effect"), panel.press("send one")')
        told, seconds = updates(book, comm)
    assert 5 <= told <= 5 * seconds + 2


def test_the_browser_is_told_of_a_still_panel_once_a_second(stack: Stack, stack_home: Path) -> None:
    with notebook(stack_home) as book:
        _, comm = opened(book)
        told, seconds = updates(book, comm)
    assert 1 <= told <= seconds + 3


def test_a_killed_kernel_leaves_nothing_of_its_panel(stack: Stack, stack_home: Path) -> None:
    with notebook(stack_home) as book:
        lease, _ = opened(book)
        assert held_by(stack, lease) == 1
        book.manager.restart_kernel(now=True)
        wait_until(lambda: not held_by(stack, lease), "the panel's worker to end", PATIENCE)


def test_a_panel_cell_run_twice_ends_the_first_panel(stack: Stack, stack_home: Path) -> None:
    with notebook(stack_home) as book:
        first, _ = opened(book)
        second, _ = opened(book)
        assert (held_by(stack, first), held_by(stack, second)) == (0, 1)
