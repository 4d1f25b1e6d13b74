"""Flower as a learner finds it: a tile of JupyterLab's launcher, and a tab."""

from __future__ import annotations

from browser_bench import JupyterLab, wait_for

SENT = 10
KNOWN = """count => fetch('/flower/api/tasks').then(answer => answer.json())
    .then(tasks => Object.keys(tasks).length === count)"""


def test_flower_opens_from_the_launcher_and_lists_the_tasks_of_a_notebook(
    jupyterlab: JupyterLab,
) -> None:
    from playwright.sync_api import expect

    notebook = jupyterlab.open()
    verdict = notebook.run("code-03", "code-13")
    expect(verdict).to_contain_text("lost: order-4")
    jupyterlab.hide_file_browser()  # beside it there is no room for Flower's menu
    flower = jupyterlab.launch("Flower")
    # Its list of workers renews itself, that of tasks does not
    expect(flower.locator("#workers-table")).to_contain_text("live@")
    wait_for(jupyterlab.page, KNOWN, f"Flower to know {SENT} tasks", SENT)
    flower.get_by_role("link", name="Tasks").click()
    rows = flower.locator("tbody tr").filter(has_text="shop.charge")
    expect(rows).to_have_count(SENT)
    expect(rows.filter(has_text="SUCCESS").first).to_be_visible()
    jupyterlab.picture("flower")
