"""The newcomer's path in a real browser: the first notebook, and the first exercise."""

from __future__ import annotations

from browser_bench import LONG_PATIENCE, Editor, JupyterLab
from copy_bench import ROOT, Checkout

SHOP = "02_crash/shop.py"


def test_the_first_notebook_runs_and_shows_its_verdict(jupyterlab: JupyterLab) -> None:
    from playwright.sync_api import expect

    notebook = jupyterlab.open()
    assert notebook.path == "notebooks/00_start_here.ipynb"
    notebook.run_all()
    assert notebook.errors() == []
    expect(notebook.output("code-10")).to_contain_text("10 of 10 happened")
    verdict = notebook.output("code-13")
    expect(verdict).to_contain_text("lost: order-4")
    expect(notebook.output("timeline-first-loss").get_by_role("img")).to_be_visible()
    jupyterlab.hide_file_browser()
    notebook.output("code-13").evaluate("output => output.scrollIntoView()")
    jupyterlab.picture("verdict")


def test_the_exercise_is_opened_by_its_link_edited_saved_and_passes(
    jupyterlab: JupyterLab, checkout: Checkout
) -> None:
    from playwright.sync_api import expect

    solution = (ROOT / "solutions" / SHOP).read_text()
    jupyterlab.open().follow("text-19", "02 · Crash")
    notebook = jupyterlab.notebook("notebooks/02_crash.ipynb")
    notebook.run("code-02", "exercise")
    notebook.follow("exercise", "shop.py")
    editor = Editor(jupyterlab, f"exercises/{SHOP}")
    editor.replace(solution)
    editor.save()
    assert (checkout.folder / "exercises" / SHOP).read_text() == solution
    jupyterlab.go_to("02_crash.ipynb")
    report = notebook.run("code-41", seconds=LONG_PATIENCE)
    expect(report).to_contain_text("Stage 02, crash: passed.")
    assert notebook.errors() == []
