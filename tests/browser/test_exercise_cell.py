"""An exercise in one cell, by keyboard: its brief, its check, its hints, and what it remembers."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from urllib.parse import unquote

from browser_bench import LONG_PATIENCE, Editor, JupyterLab, press
from copy_bench import ROOT, Checkout

if TYPE_CHECKING:
    from playwright.sync_api import Locator

NOTEBOOK = "notebooks/02_crash.ipynb"
SHOP = "02_crash/shop.py"
CELL = "exercise"


def test_an_exercise_is_checked_hinted_at_and_solved_by_its_buttons(
    jupyterlab: JupyterLab, checkout: Checkout
) -> None:
    from playwright.sync_api import expect

    notebook = jupyterlab.open(NOTEBOOK)
    exercise = notebook.run("code-02", CELL)
    expect(exercise).to_contain_text("not checked yet")
    notebook.follow(CELL, "shop.py")
    editor = Editor(jupyterlab, f"exercises/{SHOP}")
    expect(editor.text).to_contain_text("TODO")
    jupyterlab.go_to("02_crash.ipynb")

    heard = check(jupyterlab, exercise, "not yet (acknowledged-early).")
    assert "checking: 1/5 no fault: passed" in heard
    assert "checking: 2/5 worker killed: not yet" in heard
    expect(exercise).to_contain_text("What happened: worker killed")
    assert ">order-4<" in picture(exercise)
    jupyterlab.hide_file_browser()
    jupyterlab.page.set_viewport_size({"width": 1440, "height": 980})  # all of the timeline
    jupyterlab.put_beside(editor.path, notebook.path, width=390)
    button(exercise, "Check").evaluate("button => button.scrollIntoView()")
    jupyterlab.picture("exercise")

    for number in (1, 2):
        press(jupyterlab.page, button(exercise, "Hint"))
        expect(exercise).to_contain_text(f"Hint {number} of 3.")
    expect(exercise).to_contain_text("Hint 1 of 3.")
    expect(exercise).to_contain_text("hints taken: 2")

    shutil.copy(ROOT / "solutions" / SHOP, checkout.folder / "exercises" / SHOP)
    heard = check(jupyterlab, exercise, "passed.")
    assert "checking: 5/5 poison order: passed" in heard
    expect(exercise).to_contain_text("checked 2 times, last time: passed; hints taken: 2")
    assert notebook.errors() == []

    again = jupyterlab.reload()
    assert again.path == NOTEBOOK
    expect(again.run(CELL)).to_contain_text("checked 2 times, last time: passed; hints taken: 2")
    assert again.errors() == []  # its kernel lives: nobody has run the first cell again


def button(exercise: Locator, name: str) -> Locator:
    """One of the two buttons of the exercise."""
    return exercise.get_by_role("button", name=name, exact=True)


def check(jupyterlab: JupyterLab, exercise: Locator, says: str) -> list[str]:
    """Press Check; all that the line of progress has said until the report ends so."""
    from playwright.sync_api import expect

    exercise.evaluate("output => reach.listen(output)")
    press(jupyterlab.page, button(exercise, "Check"))
    conclusion = exercise.get_by_text(f"Stage 02, crash: {says}", exact=True)
    expect(conclusion).to_be_visible(timeout=LONG_PATIENCE * 1000)
    expect(button(exercise, "Check")).to_be_enabled()
    heard: list[str] = jupyterlab.page.evaluate("() => reach.heard")
    return heard


def picture(exercise: Locator) -> str:
    """The SVG of the picture in an exercise, which the browser must have drawn."""
    drawn = exercise.get_by_role("img")
    assert drawn.evaluate("img => img.decode().then(() => img.naturalWidth)") > 0
    _, _, source = str(drawn.get_attribute("src")).partition("data:image/svg+xml,")
    return unquote(source)
