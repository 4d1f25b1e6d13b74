"""How lessons run under nbval: `pytest notebooks`, nothing else needed.

A plugin for pytest on top of nbval's. nbval alone is quiet about a lot: a cell that was never
executed is not compared, a dead kernel is waited for, a cell that should raise may not, and after
a time-out the rest is 'expected to fail'. Here each of these is red. One headless stack per pytest
process (so one per xdist worker), started by the first cell that runs.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError

from labapp.course.kernels import Environment, KernelDied, WatchedKernel
from labapp.course.notebook_rules import problems
from labapp.course.notebooks import CASES, PICTURES, is_main_lesson, notebooks_in, stage_of
from labapp.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

HERE = Path(__file__).parent
CELL_TIMEOUT = 60.0  # seconds; nbval's own default is 2000
NBVAL_DEFAULT_TIMEOUT = 2000.0
LOG_TAIL_LINES = 15
OUTPUTS = ("display_data", "execute_result", "stream", "error")
ENVIRONMENT = pytest.StashKey[Environment]()
PARTS = re.compile(r"\btest_(?P<file>answers|flips)\.py::\w+\[(?P<part>\w+)-")
"""Of the longest files, what shares its fixtures: the tests of one stage, of one lesson."""


# --- options and configuration -------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this plugin."""
    group = parser.getgroup("lessons", "the lab's notebooks")
    group.addoption("--stage", default="", metavar="NN", help="only the notebooks of one stage")
    group.addoption("--shuffle-seed", type=int, metavar="N", help="notebooks in a random order")
    group.addoption("--rounds", type=int, default=1, metavar="N", help="run each lesson N times")
    group.addoption("--kernel-cwd", metavar="DIR", help="start kernels there, not beside the file")
    group.addoption("--no-stack", action="store_true", help="start no stack for the notebooks")


def pytest_configure(config: pytest.Config) -> None:
    """Strict comparison, a short time-out, and one xdist worker for the whole of a notebook."""
    option = config.option
    if option.nbval_sanitize_with or option.sanitize_with:
        raise pytest.UsageError("--nbval-sanitize-with ignores differences wholesale: mark cells")
    option.nbval_lax = False
    option.nbval_current_env = True
    if option.nbval_cell_timeout == NBVAL_DEFAULT_TIMEOUT:
        option.nbval_cell_timeout = CELL_TIMEOUT
    if getattr(option, "dist", "no") in ("load", "worksteal"):
        option.dist = "loadfile"
    config.stash[ENVIRONMENT] = Environment(with_stack=not option.no_stack)
    _require_stage(option.stage)


def _require_stage(stage: str) -> None:
    try:
        notebooks_in(HERE, stage)
    except LabError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the stack, if one was started."""
    environment = config.stash.get(ENVIRONMENT, None)
    if environment is not None:
        environment.close()


# --- collection ----------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect lessons here, with or without --nbval; never twice."""
    collectors = yield
    if file_path.suffix != ".ipynb":
        return collectors
    others = [collector for collector in collectors if not isinstance(collector, IPyNbFile)]
    stage = parent.config.option.stage
    if stage and stage_of(file_path) != stage:
        return others
    # An appendix or a case file stands alone: nothing follows it, and it follows nothing.
    rounds = parent.config.option.rounds if is_main_lesson(file_path) else 1
    return others + [
        Lesson.from_parent(parent, path=file_path, **_round_name(parent, file_path, number))
        for number in range(1, rounds + 1)
    ]


def _round_name(parent: pytest.Collector, path: Path, number: int) -> dict[str, str]:
    """The first round has the file's own id; later ones are told apart, also by xdist."""
    if number == 1:
        return {}
    folder = f"{parent.nodeid}/" if parent.nodeid not in ("", ".") else ""
    return {"name": f"{path.name}@{number}", "nodeid": f"{folder}{path.name}@{number}"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Rounds one after the other; with --shuffle-seed each round in an order of its own."""
    lessons = defaultdict(list)
    others = []
    for item in items:
        (lessons[item.parent] if isinstance(item.parent, Lesson) else others).append(item)
    order = sorted(lessons, key=lambda lesson: lesson.round)
    if config.option.shuffle_seed is not None:
        order = _shuffled(order, random.Random(config.option.shuffle_seed))  # noqa: S311
    items[:] = others + [item for lesson in order for item in lessons[lesson]]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With rounds, one xdist worker, and so one stack, for all rounds of all lessons; in any case
    the parts of the longest files each for themselves."""
    if config.option.dist != "loadfile":
        return None
    rounds = config.option.rounds > 1
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            if part := PARTS.search(nodeid):
                return f"{part['file']}[{part['part']}"
            file = super()._split_scope(nodeid)
            is_lesson = ".ipynb" in file and CASES not in Path(file).parts
            return "lessons" if rounds and is_lesson else file

    return Together(config, log)


def _shuffled(lessons: list[Lesson], chance: random.Random) -> list[Lesson]:
    """Shuffled within each round, so that 'twice in a row' still means round after round."""
    keys = {lesson: (lesson.round, chance.random()) for lesson in lessons}
    return sorted(lessons, key=keys.__getitem__)


# --- a lesson and its cells ----------------------------------------------------------------------


class Lesson(IPyNbFile):
    """A notebook: first its static rules, then its cells in one kernel, started by the first.

    Pictures are not compared, as nbval does not compare PNG: beside each stands the same in words,
    which is (`labapp.course.notebook_rules` sees to it).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.skip_compare = (*self.skip_compare, *PICTURES)

    @property
    def round(self) -> int:
        """1, or the number after the @ of a repeated lesson."""
        number = self.nodeid.rpartition("@")[2]
        return int(number) if number.isdigit() else 1

    def collect(self) -> Iterator[pytest.Item]:
        """The item `rules`, then nbval's cells as ours."""
        cells = list(super().collect())
        yield Rules.from_parent(self, name="rules")
        for cell in cells:
            yield Cell.from_parent(
                self, name=cell.name, cell_num=cell.cell_num, cell=cell.cell, options=cell.options
            )

    def setup(self) -> None:
        """Nothing yet: the static rules need no kernel."""

    def ensure_kernel(self) -> None:
        """Start the kernel, in the environment of this process's stack."""
        if self.kernel is None:
            with self.config.stash[ENVIRONMENT].exported():
                self.kernel = WatchedKernel(str(self._folder()))
        if not self.kernel.is_alive():
            raise KernelDied("the kernel is dead since an earlier cell")

    def _folder(self) -> Path:
        """Where the kernel starts: beside the file, or where a copy of it would stand."""
        elsewhere = self.config.option.kernel_cwd
        if not elsewhere:
            return self.path.parent
        return Path(elsewhere, CASES) if stage_of(self.path) == CASES else Path(elsewhere)

    def get_kernel_message(self, timeout: float | None = None, stream: str = "iopub") -> Any:
        """nbval's source of outputs, with those that were redrawn as they look in the end."""
        message = super().get_kernel_message(timeout, stream)
        self.screen.follow(message)
        return message

    def teardown(self) -> None:
        """Stop the kernel and wait for it, also where it died."""
        if self.kernel is not None:
            self.kernel.close()


class Screen:
    """Redraws the outputs of one cell as a notebook would: updated displays, cleared outputs.

    nbval collects outputs in `cell.test_outputs` and knows of neither.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._displays: dict[str, list[NotebookNode]] = defaultdict(list)
        self._clear_before_next = False

    def follow(self, message: dict[str, Any]) -> None:
        """Take note of a message before nbval sees it."""
        kind, content = message["msg_type"], message["content"]
        if kind == "clear_output":
            self._clear(wait=content["wait"])
        elif kind == "update_display_data":
            self._redraw(content)
        elif kind in OUTPUTS:
            self._draw(content)

    def _clear(self, *, wait: bool) -> None:
        self._clear_before_next = wait
        if not wait:
            self._cell.test_outputs.clear()

    def _redraw(self, content: dict[str, Any]) -> None:
        for shown in self._displays[content["transient"]["display_id"]]:
            shown.clear()
            shown.update(content["data"])

    def _draw(self, content: dict[str, Any]) -> None:
        if self._clear_before_next:
            self._clear(wait=False)
        display_id = content.get("transient", {}).get("display_id")
        if display_id:  # nbval keeps a NotebookNode as it is, so it can be changed later
            content["data"] = NotebookNode(content["data"])
            self._displays[display_id].append(content["data"])


class Rules(pytest.Item):
    """What can be said about a notebook without running it."""

    def runtest(self) -> None:
        """Fail with every problem, one per line."""
        found = problems(self.parent.nb)
        if found:
            self.user_properties.append(("why", "rule"))
            pytest.fail("\n".join([f"{self.path.name}:", *found]), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where pytest says this item is."""
        return self.path, 0, f"{self.path.name}::rules"


class Cell(IPyNbCell):
    """A code cell that says why it is red, in the property `why`."""

    def setup(self) -> None:
        """Nothing: nbval would mark cells after a time-out as 'expected to fail' here."""

    def runtest(self) -> None:
        """nbval's run and comparison, and what it forgets to ask."""
        try:
            self._get_ready()
            super().runtest()
        except (NbCellError, KernelDied) as error:
            self._blame(self._reason(error))
            raise
        if self.options["check_exception"] and not self._fresh_error():
            self._blame("nothing raised")
            self.raise_cell_error("The cell is marked raises-exception and raised nothing")

    def _get_ready(self) -> None:
        if self.parent.timed_out:
            self.raise_cell_error("Timeout of an earlier cell: not run")
        self.parent.ensure_kernel()
        self.parent.screen = Screen(self)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        """One clear line for a dead kernel or a missing stack; nbval's account otherwise."""
        if isinstance(excinfo.value, KernelDied | LabError):
            return f"Cell {self.cell_num}: {excinfo.value}\n\nInput:\n{self.cell.source}"
        return super().repr_failure(excinfo)

    def _blame(self, why: str) -> None:
        self.user_properties.append(("why", why))

    def _fresh_error(self) -> str:
        """The class name of the exception that the cell raised now; empty if it raised none."""
        errors = [out for out in self.test_outputs or [] if out.output_type == "error"]
        return str(errors[-1].ename) if errors else ""

    def _reason(self, error: Exception) -> str:
        stored = {out.ename for out in self.cell.outputs if out.output_type == "error"}
        raised = self._fresh_error()
        if isinstance(error, KernelDied):
            return "kernel died"
        if "Timeout of" in str(error):
            return "time-out"
        if raised == "AssertionError":
            return "assertion"
        if raised and raised not in stored:
            return f"exception {raised}"
        return "outputs differ" if str(error) == "Cell outputs differ" else str(error)


# --- reports -------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped or 'expectedly failed' cell is red; a red cell shows the stack's logs."""
    report = yield
    if not isinstance(item, Cell):
        return report
    if report.skipped or hasattr(report, "wasxfail"):
        vars(report).pop("wasxfail", None)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skip and xfail count as failures here"
    if report.failed:
        tails = item.config.stash[ENVIRONMENT].log_tails(LOG_TAIL_LINES)
        report.sections.extend(tails)
    return report
