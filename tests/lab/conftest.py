"""For the lab's tests: a session on the stack, and modules such as a learner writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_bench import point_to

from labapp.lab.publisher import Module
from labapp.lab.session import Session
from labapp.stack.state import Stack


@pytest.fixture
def session(stack: Stack) -> Iterator[Session]:
    """A session of the stack that no other test uses."""
    with Session(stack) as made:
        yield made


@pytest.fixture
def here(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """`connect()` finds the stack."""
    return point_to(monkeypatch, stack)


@pytest.fixture
def module_in(tmp_path: Path) -> Callable[[str], Module]:
    """Writes a module of a learner's."""

    def write(source: str, name: str = "answer") -> Module:
        (tmp_path / f"{name}.py").write_text(source)
        return Module(name, tmp_path)

    return write
