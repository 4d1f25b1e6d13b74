"""Scopes of the stack's world, and worlds of their own for tests that kill one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from world_bench import TOKEN, MakeScope, Scope, WorldProcess, let_go

from labapp.stack.state import Stack
from labapp.world.client import WorldClient


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[WorldProcess]:
    """A world that a test may kill."""
    process = WorldProcess(tmp_path)
    yield process
    process.close()


@pytest.fixture
def world_with(tmp_path: Path) -> Iterator[Callable[[str], WorldProcess]]:
    """Makes a world of which Python has tweaked a limit."""
    with ExitStack() as at_end:

        def make(tweak: str) -> WorldProcess:
            process = WorldProcess(tmp_path, tweak)
            at_end.callback(process.close)
            return process

        yield make


@pytest.fixture
def scope_of(request: pytest.FixtureRequest) -> Iterator[MakeScope]:
    """Makes scopes; their held requests are dropped when the test ends."""
    made: list[Scope] = []
    with ThreadPoolExecutor(8) as pool:

        def make(url: str, token: str = TOKEN, name: str = request.node.name) -> Scope:
            named = "".join(c if c.isalnum() else "-" for c in name)
            made.append(Scope(WorldClient(url, token, named), pool))
            return made[-1]

        yield make
        for scope in made:
            let_go(scope)


@pytest.fixture
def scope(stack: Stack, scope_of: MakeScope) -> Scope:
    """A scope of the stack's world that no other test uses."""
    return scope_of(stack.world_url, stack.control_token)
