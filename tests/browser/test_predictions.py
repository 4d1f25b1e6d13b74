"""predict(…) by keyboard alone, as somebody does who uses no mouse."""

from __future__ import annotations

from browser_bench import JupyterLab


def test_an_option_chosen_by_keyboard_is_what_the_outcome_says(jupyterlab: JupyterLab) -> None:
    from playwright.sync_api import expect

    notebook = jupyterlab.open()
    options = notebook.run("code-03", "predict-calm").get_by_role("radio")
    expect(options).to_have_count(3)
    keys = jupyterlab.page.keyboard
    keys.press("ArrowUp")  # from the next cell, which Shift+Enter has selected
    for number in range(3):
        keys.press("Tab")
        expect(options.nth(number)).to_be_focused()
    keys.press("Space")
    expect(options.nth(2)).to_be_checked()
    outcome = notebook.run("code-10", "was-calm")
    expect(outcome).to_contain_text("You said: 11. It was: 10.")
    assert notebook.errors() == []
