"""`make outputs`: a second run changes no byte, and a failing cell leaves the file as it was."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbruns import ROOT, cell, clean_environment, run_nbval, write

from labapp.course.stored_outputs import PICTURE_OF, PLACEHOLDER, normalised

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = """# NBVAL_IGNORE_OUTPUT
import time
from IPython.display import SVG
print(time.time())
SVG(f'<svg xmlns="http://www.w3.org/2000/svg"><text>{time.time()}</text></svg>')
"""
LESSON = [
    "import sys\nprint('a'); print('x', file=sys.stderr); print('b')",
    "# NBVAL_IGNORE_OUTPUT\nimport time\ntime.time()",
    PICTURE,
    "from ipywidgets import IntSlider\nIntSlider()",
    "{'verdict': 'order-4 lost'}",
]


def store(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`scripts/outputs.py` over a folder of notebooks that need no stack."""
    script = str(ROOT / "scripts" / "outputs.py")
    command = [sys.executable, script, f"--folder={folder}", "--no-stack", *arguments]
    return subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(name="lesson")
def _lesson(tmp_path: Path) -> Path:
    failing = cell("# told apart\nraise ValueError('no')", tags=["raises-exception"])
    return write(tmp_path, "00_lesson", *(cell(source) for source in LESSON), failing)


def outputs_of(path: Path) -> list[Any]:
    """The stored outputs of each cell."""
    return [node.outputs for node in nbformat.read(path, as_version=4).cells]


def test_a_second_run_changes_no_byte_and_nbval_is_green(lesson: Path) -> None:
    assert store(lesson.parent).returncode == 0
    first = lesson.read_bytes()
    again = store(lesson.parent, "--check")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "unchanged" in again.stdout
    assert lesson.read_bytes() == first
    run = run_nbval(lesson.parent, "--no-stack")
    assert run.red("00_lesson") == {}, run.output


def test_what_is_stored_is_what_a_reader_should_see(lesson: Path) -> None:
    assert store(lesson.parent).returncode == 0
    printed, number, picture, widget, verdict, error = outputs_of(lesson)
    assert [(out.name, out.text) for out in printed] == [("stdout", "a\nb\n"), ("stderr", "x\n")]
    assert number[0].data == {"text/plain": PLACEHOLDER}
    assert set(picture[0].data) == {"image/svg+xml", "text/plain"}
    assert set(widget[0].data) == {"text/plain"}
    assert verdict[0].execution_count == 5
    assert error[0].traceback == ["ValueError: no"]
    assert [node.id for node in nbformat.read(lesson, 4).cells] == [f"cell-{n}" for n in range(6)]


def test_a_check_shows_the_difference_and_changes_nothing(lesson: Path) -> None:
    before = lesson.read_bytes()
    done = store(lesson.parent, "--check")
    assert done.returncode == 1
    assert "order-4 lost" in done.stdout
    assert lesson.read_bytes() == before


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import os; os._exit(1)", "died"),
        ("print('pid', __import__('os').getpid())", "a process id"),
    ],
)
def test_a_failing_cell_is_named_and_the_file_stays(tmp_path: Path, source: str, said: str) -> None:
    path = write(tmp_path, "00_bad", cell("print('a')"), cell(source))
    before = path.read_bytes()
    done = store(tmp_path)
    assert done.returncode == 1
    assert "cell 1" in done.stdout
    assert said in done.stdout
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def executed(picture: str, source: str = PICTURE) -> Any:
    """A notebook whose one cell shows a picture."""
    shown = cell(source)
    shown.outputs = [nbformat.v4.new_output("display_data", data={"image/svg+xml": picture})]
    return nbformat.v4.new_notebook(cells=[shown])


def test_a_picture_stays_as_long_as_its_code_does() -> None:
    stored = normalised(executed("<svg>1</svg>"), executed(""))
    assert PICTURE_OF in stored.cells[0].metadata.lab

    def picture(now: Any, **options: bool) -> str:
        return str(normalised(now, stored, **options).cells[0].outputs[0].data["image/svg+xml"])

    assert picture(executed("<svg>2</svg>")) == "<svg>1</svg>"
    assert picture(executed("<svg>2</svg>"), fresh=True) == "<svg>2</svg>"
    assert picture(executed("<svg>2</svg>", PICTURE + "#")) == "<svg>2</svg>"


# --- a picture beside a text that is compared --------------------------------------------------

TIMELINE = """import time
class Timeline:
    def __repr__(self):
        return 'order-3  lost'
    def _repr_svg_(self):
        return f'<svg xmlns="http://www.w3.org/2000/svg"><text>{time.time()}</text></svg>'
Timeline()
"""


def test_a_picture_may_differ_where_the_text_beside_it_is_compared(tmp_path: Path) -> None:
    path = write(tmp_path, "00_drawn", cell(TIMELINE))
    assert store(tmp_path).returncode == 0
    first = path.read_bytes()
    (stored,) = outputs_of(path)
    assert stored[0].data["text/plain"] == "order-3  lost"
    assert "<svg" in stored[0].data["image/svg+xml"]
    again = store(tmp_path, "--check")
    assert again.returncode == 0, again.stdout
    assert path.read_bytes() == first
    assert run_nbval(tmp_path, "--no-stack").red("00_drawn") == {}


def test_the_text_beside_a_picture_is_compared_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, "00_drawn", cell(TIMELINE))
    assert store(tmp_path).returncode == 0
    path.write_text(path.read_text().replace('"order-3  lost"', '"order-4  lost"'))
    assert run_nbval(tmp_path, "--no-stack").red("00_drawn") == {"Cell 0": "outputs differ"}


def drawn(picture: str, text: str = "order-3  lost", source: str = TIMELINE) -> Any:
    """A notebook whose one cell, which is compared, shows a picture and a text."""
    data = {"image/svg+xml": picture, "text/plain": text}
    shown = cell(source)
    shown.outputs = [nbformat.v4.new_output("execute_result", data=data, execution_count=7)]
    return nbformat.v4.new_notebook(cells=[shown])


def test_a_compared_picture_stays_as_long_as_its_code_and_its_text_do() -> None:
    stored = normalised(drawn("<svg>1</svg>"), executed(""))
    assert PICTURE_OF in stored.cells[0].metadata.lab

    def data(now: Any, **options: bool) -> dict[str, str]:
        return dict(normalised(now, stored, **options).cells[0].outputs[0].data)

    assert data(drawn("<svg>2</svg>"))["image/svg+xml"] == "<svg>1</svg>"
    assert data(drawn("<svg>2</svg>"), fresh=True)["image/svg+xml"] == "<svg>2</svg>"
    changed = data(drawn("<svg>2</svg>", source=TIMELINE + "#"))
    assert changed["image/svg+xml"] == "<svg>2</svg>"
    other = data(drawn("<svg>2</svg>", "order-4  lost"))
    assert other == {"image/svg+xml": "<svg>2</svg>", "text/plain": "order-4  lost"}
