"""What can be said about a notebook without running it: one test per rule, and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbruns import cell

from labapp.course.notebook_rules import problems

IGNORED = "# NBVAL_IGNORE_OUTPUT\n"


def found(*cells: Any, **metadata: Any) -> str:
    """The problems of a notebook with a good cell and these, as one text."""
    good = cell("print('a')", "a\n")
    return "\n".join(problems(new_notebook(cells=[good, *cells], metadata=metadata)))


def shown(data: dict[str, str]) -> Any:
    """A cell that stores one display."""
    return new_code_cell(
        "show()", execution_count=1, outputs=[new_output("display_data", data=data)]
    )


def test_a_good_notebook_has_no_problems() -> None:
    assert found(cell("x = 1"), cell(IGNORED + "now()", count=None), cell("", count=None)) == ""


def test_a_compared_cell_must_have_been_executed() -> None:
    assert "cell 1: never executed" in found(cell("verdict", count=None))


def test_a_notebook_without_any_stored_output_is_refused() -> None:
    assert "no compared cell has a stored output" in "".join(
        problems(new_notebook(cells=[cell("x"), cell(IGNORED + "now()", "later")]))
    )


def test_ignoring_every_output_is_refused() -> None:
    everything = new_notebook(cells=[cell(IGNORED + "verdict", "a"), cell(IGNORED + "b")])
    assert "every cell is marked" in "".join(problems(everything))


def test_an_ignore_in_the_notebooks_own_metadata_is_refused() -> None:
    assert "own metadata" in found(tags=["nbval-ignore-output"])


def test_a_tag_ignores_as_a_comment_does() -> None:
    assert found(cell("now()", count=None, tags=["nbval-ignore-output"])) == ""


@pytest.mark.parametrize("marked", [cell("# NBVAL_SKIP\n1"), cell("1", tags=["nbval-skip"])])
def test_a_skipped_cell_is_refused(marked: Any) -> None:
    assert "cell 1: NBVAL_SKIP" in found(marked)


def test_exceptions_are_declared_by_the_tag_that_jupyter_knows_too() -> None:
    assert "use the tag raises-exception" in found(cell("# NBVAL_RAISES_EXCEPTION\n1/0"))


@pytest.mark.parametrize(
    "source",
    ["%tiem x", "%%bash\nls", "!ls", "files = !ls", "x = %pwd", "get_ipython().system('ls')"],
)
def test_magics_and_shell_escapes_outside_the_list_are_refused(source: str) -> None:
    assert "cell 1: magic" in found(cell(source)) or "cell 1: shell escape" in found(cell(source))


def test_a_magic_of_the_list_is_allowed() -> None:
    assert found(cell("%load_ext autoreload\n%autoreload 2\nprint('100 %d' % 3)")) == ""


def test_source_that_is_no_python_is_refused() -> None:
    assert "cell 1: is not Python" in found(cell("def ("))


def error(traceback: list[str]) -> Any:
    """A stored error output."""
    return new_output("error", ename="LabError", evalue="no", traceback=traceback)


def test_a_stored_error_is_refused_unless_the_cell_must_raise() -> None:
    bad = new_code_cell("x()", execution_count=1, outputs=[error(["LabError: no"])])
    assert "stored output is an error (LabError)" in found(bad)
    bad.metadata["tags"] = ["raises-exception"]
    assert found(bad) == ""
    bad.outputs = [error(["----", "LabError", "LabError: no"])]
    assert "whole traceback" in found(bad)


def test_a_printed_traceback_is_refused() -> None:
    printed = "Traceback (most recent call last):\n  File x\nKeyError: 1\n"
    assert "contains a traceback" in found(cell("x()", printed))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("see /home/someone/lab/x.log", "an absolute path"),
        ("see /tmp/lab-1/x.log", "an absolute path"),
        ("worker pid 4312 killed", "a process id"),
        ("'pid': 4312", "a process id"),
        ("at 2026-11-21T02:03:04", "an ISO time"),
        ("<object at 0x7f00deadbeef>", "a memory address"),
        ("task 2f1ed8b5-6f0a-4d0e-9e41-1c1f1f1f1f1f", "a generated id"),
        ("http://127.0.0.1:43121/live", "a port of this run"),
    ],
)
def test_stored_text_that_differs_between_machines_or_runs_is_refused(text: str, what: str) -> None:
    assert what in found(cell("x()", text))
    assert what in found(shown({"text/html": f"<b>{text}</b>"}))
    assert what in found(cell(IGNORED + "x()", text))


@pytest.mark.parametrize(
    "text",
    [
        "10 sent, 9 happened, lost: order-4",
        "POST /live/charges 201",
        "redis/tmp",
        "3 pids",
        "redis://localhost:6379",
    ],
)
def test_plain_verdicts_are_allowed(text: str) -> None:
    assert found(cell("x()", text)) == ""


SVG = "<svg/>"


@pytest.mark.parametrize("text", ["", "<IPython.core.display.SVG object>", "<Figure 640x480>"])
def test_a_compared_picture_needs_a_text_that_says_the_same(text: str) -> None:
    data = {"image/svg+xml": SVG, "text/plain": text} if text else {"image/svg+xml": SVG}
    assert "cell 1: shows a picture that nothing compares" in found(shown(data))


def test_a_picture_with_a_text_or_that_is_not_compared_is_fine() -> None:
    assert found(shown({"image/svg+xml": SVG, "text/plain": "order-3  lost"})) == ""
    ignored = shown({"image/svg+xml": SVG})
    ignored.metadata["tags"] = ["nbval-ignore-output"]
    assert found(ignored) == ""
