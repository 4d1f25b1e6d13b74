"""The live panel by keyboard: a redelivery, clicks while a cell runs, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
import pytest
from browser_bench import PATIENCE, JupyterLab, Notebook, press, wait_for
from copy_bench import Checkout

from labapp.node.client import Nodes
from labapp.stack.state import find_stack

if TYPE_CHECKING:
    from playwright.sync_api import Locator

NOTEBOOK = "notebooks/panel.ipynb"
RELEASE = "notebooks/release"
CELLS = {
    "panel": """from labapp import connect

lab = connect()
panel = lab.panel(worker=lab.worker(task_acks_late=True))
panel""",
    "blocked": f"""import time
from pathlib import Path

until = time.monotonic() + {PATIENCE}
while not Path("release").exists() and time.monotonic() < until:
    time.sleep(0.05)
print("released" if Path("release").exists() else "in vain")""",
}
NEWEST = ".lab-panel svg[role=img] g > path:last-of-type"
"""The mark of the timeline that was drawn last."""
MOVED = "(mark, before) => document.querySelector(mark)?.getAttribute('transform') !== before"
FRAMES = 5


class Panel:
    """A panel in a notebook, as keys reach it.

    Args:
        output: of its cell.
    """

    def __init__(self, output: Locator) -> None:
        self.page, self.root = output.page, output.get_by_role("region", name="Live panel")
        self.status = self.root.get_by_role("status").first

    def press(self, name: str, says: str) -> None:
        """Press a button by keyboard; returns when the status line says this of it."""
        from playwright.sync_api import expect

        press(self.page, self.button(name))
        expect(self.status).to_contain_text(says)

    def button(self, name: str) -> Locator:
        """The button of this name."""
        return self.root.get_by_role("button", name=name, exact=True)

    def number(self, name: str) -> Locator:
        """What stands behind this name among the numbers."""
        named = self.page.get_by_text(name, exact=True)
        return self.root.locator("dl > div").filter(has=named).locator("dd")

    def worker(self, name: str) -> Locator:
        """The row of a worker in the table."""
        return self.root.get_by_role("row").filter(has=self.page.get_by_text(name, exact=True))


@pytest.fixture
def notebook(jupyterlab: JupyterLab, checkout: Checkout) -> Notebook:
    """A notebook with a cell that shows a panel, and one that runs until a file is there."""
    cells = [nbformat.v4.new_code_cell(source, id=name) for name, source in CELLS.items()]
    # Shift+Enter in the last cell would make another one, in which the Tab key indents
    cells.append(nbformat.v4.new_markdown_cell("The end.", id="end"))
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(book, checkout.folder / NOTEBOOK)
    return jupyterlab.open(NOTEBOOK)


def workers(checkout: Checkout) -> set[str]:
    """Names of all workers of the lab."""
    stack = find_stack(checkout.folder)
    nodes = Nodes(stack.node_urls, stack.control_token)
    try:
        return {worker["name"] for worker in nodes.workers()}
    finally:
        nodes.close()


def test_a_panel_shows_a_redelivery_and_hears_clicks_while_a_cell_runs(
    notebook: Notebook, jupyterlab: JupyterLab, checkout: Checkout
) -> None:
    from playwright.sync_api import expect

    before = workers(checkout)
    panel = Panel(notebook.run("panel"))
    assert len(workers(checkout) - before) == 1
    see_a_redelivery(panel)
    jupyterlab.hide_file_browser()
    notebook.cell("panel").evaluate("cell => cell.scrollIntoView()")
    jupyterlab.picture("panel")

    with notebook.running("blocked", end=(checkout.folder / RELEASE).touch):
        panel.press("Send one", "sent order-2")
        expect(panel.number("happened")).to_have_text("2")
        for frame in range(FRAMES):
            place = panel.page.locator(NEWEST).get_attribute("transform")
            wait_for(panel.page, MOVED, f"the picture to move (frame {frame})", NEWEST, place)
    expect(notebook.output("blocked")).to_have_text("released")

    panel.press("Close", "Ended: this panel has ended")
    assert workers(checkout) == before
    assert notebook.errors() == []


def see_a_redelivery(panel: Panel) -> None:
    """What docs/panel.md says, button by button; the order happens twice."""
    from playwright.sync_api import expect

    panel.press("Hold after effect", "the partner holds each request after its effect")
    expect(panel.button("Hold after effect")).to_have_attribute("aria-pressed", "true")
    panel.press("Send one", "sent order-1")
    expect(panel.worker("w1")).to_contain_text("order-1 (held by the partner)")
    panel.press("Kill worker w1", "killed w1, which had order-1 in flight")
    expect(panel.worker("w1")).to_have_count(0)
    expect(panel.button("New worker")).to_be_focused()  # its own button is gone
    panel.press("Answer", "the partner answers at once")
    expect(panel.number("unacked")).to_have_text("1 (order-1)")
    panel.press("Time passes", "order-1 overdue")
    panel.press("New worker", "w2 is ready")
    expect(panel.root).to_contain_text("redelivered")
    expect(panel.number("more than once")).to_have_text("1")
    expect(panel.number("happened")).to_have_text("1")
    expect(panel.number("unacked")).to_have_text("0")
