"""What tests of the live panel work with: a panel on the stack, waiting for a moment of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab_bench import LATE, PATIENCE, SHOP

from labapp.lab.panel.moment import Mark, Moment
from labapp.lab.panel.panel import Panel
from labapp.lab.publisher import Module
from labapp.lab.run import WorkerSettings
from labapp.node.client import Nodes
from labapp.stack.state import Stack
from labapp.stack.testing import wait_until


@contextmanager
def panel_on(stack: Stack, module: Module = SHOP, **settings: Any) -> Iterator[Panel]:
    """An open panel; its worker acknowledges late unless it is told otherwise."""
    worker = WorkerSettings(settings={**LATE, **settings})
    panel = Panel(stack, module, f"{module.name}.charge", worker)
    try:
        yield panel
    finally:
        panel.close()


def until(panel: Panel, shows: Callable[[Moment], object], what: str) -> Moment:
    """Wait until the panel shows this; the moment in which it does."""
    seen: list[Moment] = []

    def shown() -> bool:
        seen[:] = [panel.moment]
        return bool(shows(seen[0]))

    wait_until(shown, f"{what}; it shows\n{panel.picture}", PATIENCE)
    return seen[0]


def held(moment: Moment, count: int = 1) -> bool:
    """Whether so many tasks are held by the partner, in workers that are known."""
    return sum(task.held for worker in moment.workers for task in worker.tasks) == count


def marks(moment: Moment, kind: str) -> list[Mark]:
    """The marks of a kind on the timeline."""
    return [mark for mark in moment.marks if mark.kind == kind]


def left_in(stack: Stack, lease: str) -> list[str]:
    """Names of the workers that the stack's nodes still run under a lease."""
    nodes = Nodes(stack.node_urls, stack.control_token)
    try:
        return [worker["name"] for worker in nodes.workers() if worker["lease"] == lease]
    finally:
        nodes.close()
