"""A report names the learner's own line where an error came from one."""

from __future__ import annotations

import importlib.util
import shutil
import traceback
from pathlib import Path

import pytest
from answers import ROOT
from hypothesis import given
from hypothesis import strategies as st

from labapp.course.check import check
from labapp.lab.reading import own_line
from labapp.stack.state import Stack

SHOP = """\
import os

from celery import Celery

app = Celery("shop", broker=os.environ["CELERY_BROKER_URL"])
app.conf.result_backend = os.environ["CELERY_RESULT_BACKEND"]


def price_of(order):
    return {"order-0": 10}[order]


@app.task
def charge(order):
    return price_of(order)
"""
UNKNOWN = 'return {"status": "unknown"}'
LINE = 'shop.py, line 10: return {"order-0": 10}[order]'


def raised_in(file: Path, source: str) -> str:
    """The traceback of a module that raises when it is imported."""
    file.write_text(source)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ZeroDivisionError) as caught:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return "".join(traceback.format_exception(caught.value))


def test_the_innermost_line_of_the_learners_folder_is_named(tmp_path: Path) -> None:
    text = raised_in(tmp_path / "shop.py", "def f():\n    1 / 0  # here\n\n\nf()\n")
    assert own_line(text, tmp_path) == "shop.py, line 2: 1 / 0  # here"


def test_an_error_inside_a_library_is_named_by_the_line_that_called_it(tmp_path: Path) -> None:
    source = "import json\n\njson.loads('1', parse_int=lambda _: 1 / 0)\n"
    own = raised_in(tmp_path / "shop.py", source)
    assert own_line(own, tmp_path).startswith("shop.py, line 3: ")
    assert own_line(own, tmp_path / "elsewhere") == ""


@given(st.text())
def test_any_other_text_names_no_line(text: str) -> None:
    assert own_line(text, Path("/nowhere/at/all")) == ""


def test_the_check_names_the_line_at_which_an_api_broke(lab_here: Stack, tmp_path: Path) -> None:
    for name in ("api.py", "shop.py"):
        shutil.copy(ROOT / "solutions" / "01_first_queue" / name, tmp_path)
    api = tmp_path / "api.py"
    api.write_text(api.read_text().replace(UNKNOWN, "raise KeyError(order)  # no answer"))
    lines = api.read_text().splitlines()
    line = 1 + next(number for number, text in enumerate(lines) if "# no answer" in text)
    said = " ".join(repr(check("01", tmp_path)).split())
    assert f"the error of the API comes from api.py, line {line}: raise KeyError" in said


def test_the_check_names_the_line_behind_a_lost_order(lab_here: Stack, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    said = repr(check("02", tmp_path))
    assert "result FAILURE: KeyError" in said
    flat = " ".join(said.split())
    assert f"no fault: the error of order-1 … order-10 comes from {LINE}" in flat
