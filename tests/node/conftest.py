"""For the node's tests: a bench on the stack's node, nodes that a test may kill, no zombies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from node_bench import Bench, OwnNode, zombies

from labapp.lab.session import Session
from labapp.stack.state import Stack
from labapp.stack.testing import wait_until


@pytest.fixture
def bench(stack: Stack, tmp_path: Path) -> Iterator[Bench]:
    """A bench on the stack's own node."""
    with Session(stack) as session:
        made = Bench(session, tmp_path)
        yield made
        made.close()


@pytest.fixture(autouse=True)
def no_zombies(stack: Stack) -> Iterator[None]:
    """After each test the stack's node has reaped all that ended."""
    yield
    node = psutil.Process(stack.services["node"].pid)
    wait_until(lambda: not zombies(node), "the node to reap its zombies", 5.0)


@pytest.fixture
def own_node(stack: Stack, tmp_path: Path) -> Iterator[Any]:
    """Makes nodes that a test may kill; each ends with the test."""
    with ExitStack() as at_end:

        def make(*arguments: str) -> OwnNode:
            node = OwnNode(stack, tmp_path, *arguments)
            at_end.callback(node.close)
            return node

        yield make
