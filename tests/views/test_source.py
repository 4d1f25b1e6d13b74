"""The code that a lesson shows is the code that it runs."""

from __future__ import annotations

import pytest
from celery import Celery

from labapp.errors import LabError
from labapp.views.source import source

app = Celery("of this test")


@app.task(bind=True, max_retries=2)
def tell(self: object, order: str) -> str:
    return f"{order} of {self}"


def plain(order: str) -> str:
    def inner() -> str:
        return order

    return inner()


def test_a_task_is_shown_with_its_decorator() -> None:
    shown = repr(source(tell))
    assert shown.startswith("@app.task(bind=True, max_retries=2)\ndef tell(self")
    assert shown.endswith('return f"{order} of {self}"')


def test_several_parts_stand_one_after_the_other() -> None:
    first, second = repr(source(tell)), repr(source(plain))
    assert repr(source(tell, plain)) == f"{first}\n\n{second}"


def test_a_notebook_shows_it_as_code() -> None:
    shown = source(plain)
    assert shown._repr_markdown_() == f"```python\n{shown!r}\n```"


@pytest.mark.parametrize("part", [3, len, "plain"], ids=["a number", "a builtin", "a name"])
def test_what_has_no_code_in_a_file_is_told(part: object) -> None:
    with pytest.raises(LabError, match="is in no file"):
        source(part)
