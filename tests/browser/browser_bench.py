"""JupyterLab as a learner meets it in a browser: pages as objects, and states to wait for.

Whatever a learner does is done by clicks and keys. What the page does not show (is the kernel idle,
has a cell ended?) is asked of JupyterLab's own application, by ``reach.js``. Nothing sleeps.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copy_bench import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, FrameLocator, Locator, Page

REACH = Path(__file__).with_name("reach.js")
VIEWPORT = {"width": 1280, "height": 800}
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 120.0
"""Seconds for what takes a few on an idle machine: a page, a kernel, a few cells."""
LONG_PATIENCE = 300.0
"""Seconds for a whole notebook or a check."""
PICTURES = "LAB_PICTURES"
"""Environment variable with the folder for the README's pictures, from the project's; without it
none are made."""
MOST_BYTES = 150_000
"""A picture in the README may weigh no more."""
MOST_TABS = 40
"""What is further away than so many presses of the Tab key, nobody reaches by keyboard."""


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """A browser without a window, of this program; gone at the end, with all it started."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def wait_for(
    page: Page, script: str, awaited: str, *arguments: Any, seconds: float = PATIENCE
) -> None:
    """Return as soon as a script's value is true in the page.

    Args:
        page: the page.
        script: a function of JavaScript; asked ten times a second.
        awaited: what is waited for, for the error.
        arguments: the function's.
        seconds: how long.

    Raises:
        AssertionError: it was not true in time.
    """
    from playwright.sync_api import TimeoutError as TookTooLong

    spread = f"given => ({script})(...given)"
    try:
        page.wait_for_function(spread, arg=arguments, timeout=seconds * 1000, polling=100)
    except TookTooLong:
        raise AssertionError(f"waited {seconds:.0f} s in vain for: {awaited}") from None


def press(page: Page, button: Locator) -> None:
    """Go to a button with the Tab key, or back to it with Shift+Tab, and press Enter.

    Raises:
        AssertionError: the Tab key does not lead there.
    """
    for _ in range(MOST_TABS):
        if button.evaluate("button => button === document.activeElement"):
            page.keyboard.press("Enter")
            return
        page.keyboard.press(button.evaluate("button => reach.keyTowards(button)"))
    focused = page.evaluate("() => document.activeElement.outerHTML.slice(0, 200)")
    raise AssertionError(f"{MOST_TABS} presses of Tab do not lead to {button}, but to {focused}")


def light(shot: bytes) -> bytes:
    """A PNG with 256 colours at the most: no eye sees the difference, and it is a third.

    Raises:
        AssertionError: it is heavier than MOST_BYTES all the same.
    """
    from PIL import Image

    small = BytesIO()
    picture = Image.open(BytesIO(shot)).convert("RGB")
    # without k-means the greys of large areas take on a tint
    few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
    few.save(small, "PNG", optimize=True)
    size = small.tell()
    assert size <= MOST_BYTES, f"the picture has {size} bytes of {MOST_BYTES}"
    return small.getvalue()


class JupyterLab:
    """JupyterLab in one page of a browser.

    Args:
        page: an empty one.
        address: where `lab up` said to go; opens a notebook.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        page.set_default_timeout(PATIENCE * 1000)
        page.add_init_script(path=REACH)

    def open(self, path: str = "") -> Notebook:
        """Go to the address; the notebook that it names, when it is ready.

        Args:
            path: another notebook's, from the project's folder, to go to in its place.
        """
        self.page.goto(
            re.sub(r"(?<=/lab/tree/)[^?]+", path, self.address) if path else self.address
        )
        return self._opened()

    def reload(self) -> Notebook:
        """Load the page again; the notebook that was in front, when it is ready."""
        self.page.reload()
        return self._opened()

    def _opened(self) -> Notebook:
        restored = "() => window.jupyterapp?.restored.then(() => true)"
        wait_for(self.page, restored, "JupyterLab")
        path = self.page.url.partition("/lab/tree/")[2].partition("?")[0]
        return self.notebook(path)

    def notebook(self, path: str) -> Notebook:
        """An open notebook, in front, when its kernel is ready.

        Args:
            path: from the project's folder.
        """
        wait_for(self.page, "path => reach.isReady(path)", f"{path}, ready to run", path)
        return Notebook(self, path)

    def go_to(self, name: str) -> None:
        """Click on the tab of this name."""
        self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tabLabel", has_text=name).click()

    def choose(self, menu: str, command: str) -> None:
        """Click on a menu, then on its entry with this command."""
        self.page.locator(".lm-MenuBar-itemLabel").get_by_text(menu, exact=True).click()
        self.page.locator(f'.lm-Menu-item[data-command="{command}"]').click()

    def hide_file_browser(self) -> None:
        """Ctrl+B: more room for the tabs."""
        self.page.keyboard.press("ControlOrMeta+b")
        wait_for(self.page, "() => jupyterapp.shell.leftCollapsed", "the file browser to be hidden")

    def put_beside(self, left: str, right: str, width: int) -> None:
        """Two open tabs, by their paths, side by side; for a picture.

        Args:
            left, right: the paths, from the project's folder.
            width: of the left one, in pixels; what is between them is drawn there.
        """
        self.page.evaluate("([left, right]) => reach.putBeside(left, right)", [left, right])
        handle = self.page.locator(".lm-DockPanel-handle:not(.lm-mod-hidden)")
        box, dock = handle.bounding_box(), self.page.locator("#jp-main-dock-panel").bounding_box()
        assert box
        assert dock
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] / 2, middle)
        self.page.mouse.down()
        self.page.mouse.move(dock["x"] + width, middle)
        self.page.mouse.up()

    def launch(self, title: str) -> FrameLocator:
        """Click on a tile of a new launcher; the page that it shows in a tab."""
        self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-addButton").click()
        self.page.locator(".jp-LauncherCard").get_by_text(title, exact=True).click()
        return self.page.frame_locator(".lm-DockPanel-widget:not(.lm-mod-hidden) iframe")

    def picture(self, name: str) -> None:
        """Write a picture for the README, where pictures are asked for."""
        folder = os.environ.get(PICTURES)
        if folder:
            path = ROOT / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shot = self.page.screenshot(animations="disabled", caret="hide")
            path.write_bytes(light(shot))


class Notebook:
    """An open notebook.

    Args:
        lab: where it is open.
        path: from the project's folder.
    """

    def __init__(self, lab: JupyterLab, path: str) -> None:
        self.lab, self.page, self.path = lab, lab.page, path

    def run_all(self) -> None:
        """Run all cells by the menu; returns when the last one has ended."""
        with self._until_run(None, LONG_PATIENCE):
            self.lab.choose("Run", "runmenu:run-all")

    def run(self, *ids: str, seconds: float = PATIENCE) -> Locator:
        """Run these cells with Shift+Enter, one after another; the last one's output.

        Args:
            ids: the cells', as in the file.
            seconds: how long each may take.
        """
        for name in ids:
            with self._until_run([name], seconds):
                self._run(name)
        return self.output(ids[-1])

    @contextmanager
    def running(self, name: str, end: Callable[[], object]) -> Iterator[None]:
        """Inside, this cell runs.

        Args:
            name: the cell's id.
            end: lets it come to its end.

        Raises:
            AssertionError: it has ended before, or did not end in time.
        """
        before = self._ask("counts")
        with self._until_run([name], PATIENCE):
            self._run(name)
            wait_for(self.page, "path => reach.kernel(path) === 'busy'", f"{name}", self.path)
            yield
            assert self._ask("unfinished", before, [name]) == [name], f"{name} did not wait"
            end()

    def _run(self, name: str) -> None:
        self.cell(name).locator(".jp-InputArea-editor").click(position={"x": 4, "y": 4})
        self.page.keyboard.press("Shift+Enter")

    @contextmanager
    def _until_run(self, ids: list[str] | None, seconds: float) -> Iterator[None]:
        """Returns when these cells (None: all) have run once more and the kernel is idle.

        Raises:
            AssertionError: they did not in time; with those that did not.
        """
        before = self._ask("counts")
        yield
        script = """(path, before, ids) =>
            !reach.unfinished(path, before, ids).length && reach.isReady(path)"""
        awaited = f"the end of {', '.join(ids) if ids else 'all cells'} in {self.path}"
        try:
            wait_for(self.page, script, awaited, self.path, before, ids, seconds=seconds)
        except AssertionError as error:
            left = self._ask("unfinished", before, ids)
            raise AssertionError(f"{error}; not ended: {left}; errors: {self.errors()}") from None

    def errors(self) -> list[str]:
        """What its outputs say of tracebacks and on standard error, with the cells' ids."""
        found: list[str] = self._ask("errors")
        return found

    def cell(self, name: str) -> Locator:
        """A cell by its id, brought into view."""
        number = self._ask("show", name)
        assert number >= 0, f"{self.path} has no cell {name}"
        return self._panel.locator(f'.jp-Cell[data-windowed-list-index="{number}"]')

    def follow(self, name: str, link: str) -> None:
        """Click on the link with this text in a cell of text."""
        self.cell(name).get_by_role("link", name=link).click()

    def output(self, name: str) -> Locator:
        """What a cell has put out; never its source, in which the same words may stand."""
        return self.cell(name).locator(".jp-Cell-outputArea")

    @property
    def _panel(self) -> Locator:
        return self.page.locator(f'[id="{self._id()}"]')

    def _id(self) -> str:
        found: str = self.page.evaluate("path => reach.panel(path).id", self.path)
        return found

    def _ask(self, verb: str, *arguments: Any) -> Any:
        script = "([verb, ...given]) => reach[verb](...given)"
        return self.page.evaluate(script, [verb, self.path, *arguments])


class Editor:
    """A file open in JupyterLab's editor, in front.

    Args:
        lab: where it is open.
        path: from the project's folder.
    """

    def __init__(self, lab: JupyterLab, path: str) -> None:
        self.lab, self.page, self.path = lab, lab.page, path
        wait_for(
            self.page,
            "path => Boolean(reach.panel(path)?.isVisible && reach.panel(path).context.isReady)",
            f"{path} in an editor",
            path,
        )
        self.text = self.page.locator(".jp-FileEditor:visible .cm-content")

    def replace(self, text: str) -> None:
        """Select all and paste."""
        self.text.click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(text)

    def save(self) -> None:
        """Ctrl+S; returns when JupyterLab has saved it."""
        self.page.keyboard.press("ControlOrMeta+s")
        saved = "path => !reach.panel(path).context.model.dirty"
        wait_for(self.page, saved, f"{self.path} to be saved", self.path)
