"""Copies of answers in which nothing keeps its name; test_answers.py runs them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from answers import NOT_PASSING, copy_renamed, own_names

from labapp.course.verify.running import Told


@pytest.mark.parametrize("wrong", NOT_PASSING, ids=str)
def test_a_renamed_copy_shares_no_name_of_its_own_and_no_comment(
    wrong: Told, tmp_path: Path
) -> None:
    copy = copy_renamed(wrong.folder, tmp_path, keep=set(wrong.stage.contract))

    for source in wrong.folder.glob("*.py"):
        before, after = source.read_text(), (copy / source.name).read_text()
        own = own_names(ast.parse(before))
        assert own & own_names(ast.parse(after)) == own & wrong.stage.contract
        assert "#" not in after
        assert '"""' not in after
