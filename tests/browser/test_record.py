"""What the other browser tests rely on: whatever leaves the lab, or goes wrong, is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from record_bench import Record

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

LAB = "127.0.0.1:9"
"""Nobody listens there; asked is asked."""
ELSEWHERE = "127.0.0.2:9"


@pytest.fixture
def record(browser: Browser) -> Record:
    """A record of a browser that has no page yet."""
    return Record(browser.new_context(), LAB)


@pytest.fixture
def page(browser: Browser, record: Record) -> Page:
    """A page of that browser, with nothing in it."""
    [context] = browser.contexts
    return context.new_page()


@pytest.mark.parametrize(
    "script",
    [
        "host => fetch(`http://${host}/x`).catch(() => null)",
        "host => new Promise(over => { new WebSocket(`ws://${host}/x`).onerror = over; })",
        "host => new Promise(over => { new Image().src = `http://${host}/x`; setTimeout(over); })",
    ],
    ids=["fetch", "socket", "picture"],
)
def test_a_request_to_another_host_is_noticed(record: Record, page: Page, script: str) -> None:
    page.evaluate(script, LAB)
    assert record.foreign == []
    page.evaluate(script, ELSEWHERE)
    with pytest.raises(AssertionError, match=rf"asked elsewhere:\n.*{ELSEWHERE}/x"):
        record.judge()


@pytest.mark.parametrize(
    "script", ["console.error('oh dear')", "setTimeout(() => { throw Error('oh dear'); })"]
)
def test_an_error_is_noticed(record: Record, page: Page, script: str) -> None:
    with page.context.expect_event("console" if "console" in script else "weberror"):
        page.evaluate(f"() => {{ {script} }}")
    with pytest.raises(AssertionError, match=r"errors on the console:\n.*oh dear"):
        record.judge()


def test_warnings_are_kept_and_no_error(record: Record, page: Page) -> None:
    with page.context.expect_event("console"):
        page.evaluate("() => { console.warn('well') }")
    record.judge()
    assert "warning: well" in record.console[0]


def test_of_a_failed_test_pages_console_and_logs_are_saved(
    record: Record, page: Page, tmp_path: Path
) -> None:
    with page.context.expect_event("console"):
        page.evaluate("() => { console.log('here') }")
    folder = tmp_path / "evidence"
    record.save(folder, lambda: "the end of a log\n")
    assert (folder / "console.txt").read_text().startswith("log: here")
    assert (folder / "logs.txt").read_text() == "the end of a log\n"
    assert (folder / "page-0.png").read_bytes().startswith(b"\x89PNG")
