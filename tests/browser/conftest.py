"""A checkout with its lab, and a browser, for each test; `make test-browser` runs these."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from browser_bench import VIEWPORT, JupyterLab, chromium
from copy_bench import ROOT, Checkout, running_checkout
from record_bench import Record

if TYPE_CHECKING:
    from playwright.sync_api import Browser

sys.path.insert(0, str(ROOT / "scripts"))
from setup_browser import SetupError, find_chromium

EVIDENCE = ROOT / "build" / "browser"
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Notes for the fixtures whether their test failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def program() -> str:
    """A Chromium; without one, or without Playwright, these tests cannot run, and say so."""
    if find_spec("playwright") is None:
        pytest.fail("Playwright is not installed: `make test-browser` does it", pytrace=False)
    try:
        return find_chromium()
    except SetupError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A newcomer's copy of the project, its lab running."""
    with running_checkout(tmp_path) as running:
        yield running


@pytest.fixture
def browser(program: str) -> Iterator[Browser]:
    """A browser of this test's own."""
    with chromium(program) as running:
        yield running


@pytest.fixture
def jupyterlab(
    checkout: Checkout, browser: Browser, request: pytest.FixtureRequest
) -> Iterator[JupyterLab]:
    """JupyterLab, not opened yet; at the end the browser must have been well-behaved."""
    folder = EVIDENCE / request.node.name
    shutil.rmtree(folder, ignore_errors=True)
    context = browser.new_context(viewport=VIEWPORT, locale="en-US", reduced_motion="reduce")
    record = Record(context, urlsplit(checkout.address).netloc)
    try:
        yield JupyterLab(context.new_page(), checkout.address)
        if not request.node.stash.get(FAILED, False):
            record.judge()
    except BaseException:
        request.node.stash[FAILED] = True
        raise
    finally:
        if request.node.stash.get(FAILED, False):
            record.save(folder, checkout.logs)
