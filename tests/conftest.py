"""For all tests: one running stack per test process, and a look for what tests leave behind."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from labapp.course.progress import FILE
from labapp.stack.home import PROGRESS_VARIABLE
from labapp.stack.processes import kill_all, marked
from labapp.stack.state import Stack
from labapp.stack.testing import RUN_MARK, headless_stack, wait_until

RUN = (RUN_MARK, secrets.token_hex(8))  # inherited by whatever the tests start
ROOT = Path(__file__).parent.parent
GONE_SECONDS = 5.0
LONGEST = ("test_flips", "test_answers", "test_lab_verdicts")
"""Files that take minutes.  A file belongs to one test process (these: each stage or lesson of
theirs), so they have to begin first."""

# The same cases on each run and no time limits: a push must not turn red because a draw was
# unlucky or a neighbour busy.  To explore further: more examples, without `derandomize`.
settings.register_profile(
    "lab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lab")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """What takes longest first, in the order that others made; xdist keeps it (`make test`)."""
    yield
    items.sort(key=lambda item: _turn(item.path))


def _turn(file: Path) -> int:
    """A lesson is one process's, and with several rounds they all are: nothing else is as long."""
    if file.suffix == ".ipynb" and file.parent.name == "notebooks":
        return 0
    return 1 if file.stem in LONGEST else 2


class LeftOvers:
    """Processes of this test run that belong neither to pytest nor to the session's stack."""

    def __init__(self) -> None:
        self.allowed: set[int] = {os.getpid()}

    def allow_stack(self, stack: Stack) -> None:
        """The session's stack may outlive a test: its guard, its supervisor, all below."""
        self.allowed |= {stack.pid, psutil.Process(stack.pid).ppid()}

    def find(self) -> list[psutil.Process]:
        """Those that are there now."""
        return [process for process in marked(*RUN) if not self._is_allowed(process)]

    def _is_allowed(self, process: psutil.Process) -> bool:
        try:
            above = {parent.pid for parent in process.parents()} - {os.getpid()}
        except psutil.Error:
            return True  # it is gone
        return bool(self.allowed & (above | {process.pid}))


@pytest.fixture(scope="session", autouse=True)
def left_overs() -> Iterator[LeftOvers]:
    """Marks all that this run starts; at its very end nothing may be left, in no folder of ours."""
    os.environ[RUN[0]] = RUN[1]
    state = ROOT / ".lab" / "stack.json"
    before = state.stat().st_mtime if state.exists() else None
    found = LeftOvers()
    yield found
    found.allowed = {os.getpid()}
    _expect_none(found)
    after = state.stat().st_mtime if state.exists() else None
    assert before is not None or after is None, "a test started a lab in the project's own folder"


@pytest.fixture(scope="session", autouse=True)
def nobodys_progress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests check is not what a learner has done: the project's own file stays as it is."""
    own = ROOT / FILE
    before = own.read_bytes() if own.exists() else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROGRESS_VARIABLE, str(tmp_path_factory.mktemp("progress") / FILE))
        yield
    after = own.read_bytes() if own.exists() else None
    assert before == after, f"a test wrote the learner's own {FILE}"


@pytest.fixture(autouse=True)
def nothing_left_behind(left_overs: LeftOvers) -> Iterator[None]:
    """After each test: every process it started has ended."""
    yield
    _expect_none(left_overs)


def _expect_none(left_overs: LeftOvers) -> None:
    try:
        wait_until(lambda: not left_overs.find(), "the end of all a test started", GONE_SECONDS)
    except AssertionError:
        found = left_overs.find()
        lines = [f"{process.pid} {' '.join(process.cmdline())}" for process in found]
        kill_all(found)
        raise AssertionError("left behind:\n" + "\n".join(lines)) from None


@pytest.fixture(scope="session")
def stack_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `stack`, for whoever has to find it by $LAB_HOME."""
    return tmp_path_factory.mktemp("stack") / ".lab"


@pytest.fixture(scope="session")
def stack(stack_home: Path, left_overs: LeftOvers) -> Iterator[Stack]:
    """A running broker, world and node for all tests of this process ($LAB_BROKER chooses)."""
    with headless_stack(stack_home) as running:
        left_overs.allow_stack(running)
        yield running
