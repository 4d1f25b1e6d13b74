"""What a browser did in a test: kept, judged at its end, and saved where the test failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page

NO_HOST = ("data", "blob", "about")
"""Schemes of addresses that ask nobody."""


class Record:
    """Requests and console of all pages of one browser.

    Args:
        context: the browser's; listened to from now on.
        host: of the lab, with its port: the only one that may be asked.
    """

    def __init__(self, context: BrowserContext, host: str) -> None:
        self._context, self._host = context, host
        self.foreign: list[str] = []
        self.console: list[str] = []
        self.errors: list[str] = []
        context.on("request", lambda request: self._asked(request.url))
        context.on("page", lambda page: page.on("websocket", lambda one: self._asked(one.url)))
        context.on("console", self._said)
        context.on("weberror", lambda error: self._failed(f"uncaught: {error.error}"))

    def _asked(self, url: str) -> None:
        asked = urlsplit(url)
        if asked.scheme not in NO_HOST and asked.netloc != self._host:
            self.foreign.append(url)

    def _said(self, message: ConsoleMessage) -> None:
        where = message.location
        line = f"{message.type}: {message.text} ({where['url']}:{where['lineNumber']})"
        self.console.append(line)
        if message.type == "error":
            self.errors.append(line)

    def _failed(self, line: str) -> None:
        self.console.append(line)
        self.errors.append(line)

    def judge(self) -> None:
        """No host but the lab's was asked, and no error was said."""
        assert not self.foreign, "asked elsewhere:\n" + "\n".join(self.foreign)
        assert not self.errors, "errors on the console:\n" + "\n".join(self.errors)

    def save(self, folder: Path, logs: Callable[[], str]) -> None:
        """Write what there is to see into a folder: pictures of the pages, console, logs."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "console.txt").write_text("\n".join([*self.console, *self.foreign, ""]))
        (folder / "logs.txt").write_text(logs())
        for number, page in enumerate(self._context.pages):
            _picture(page, folder / f"page-{number}.png")


def _picture(page: Page, path: Path) -> None:
    """A page that has crashed has none, and is to hide nothing of what went wrong."""
    from playwright.sync_api import Error

    try:
        page.screenshot(path=path, timeout=10_000)
    except Error as error:
        path.with_suffix(".txt").write_text(f"no picture: {error}\n")
