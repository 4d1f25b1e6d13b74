"""`lab status`: what runs here, for people and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labapp.errors import LabError
from labapp.stack.state import NOT_RUNNING, Stack, find_stack

NOTHING: dict[str, Any] = {
    "running": False,
    "jupyter_url": None,
    "flower_url": None,
    "broker": None,
    "services": {},
    "nodes": 0,
}


def status_of(start: Path | None = None) -> dict[str, Any]:
    """The stack as `lab status --json` prints it; secrets stay out except JupyterLab's token.

    Raises:
        LabError: it cannot be told, since the folder is another user's or a variable is missing.
    """
    try:
        stack = find_stack(start)
    except LabError as error:
        if error.message != NOT_RUNNING.message:
            raise
        return NOTHING
    return _running(stack)


def _running(stack: Stack) -> dict[str, Any]:
    broker = stack.broker
    return {
        "running": True,
        "jupyter_url": stack.jupyter_url,
        "flower_url": stack.flower_url,
        "broker": {
            "engine": broker.engine,
            "version": broker.version,
            "source": broker.source,
        },
        "services": {
            name: {"pid": service.pid, "state": service.state}
            for name, service in stack.services.items()
        },
        "nodes": len(stack.node_urls),
    }


def status_lines(status: dict[str, Any]) -> list[str]:
    """The same for people."""
    if not status["running"]:
        return ["lab: nothing runs here; start it with `make lab` (or `lab up`)"]
    broker = status["broker"]
    lines = [
        f"  {name:<8} {service['state']:<10} pid {service['pid']}"
        for name, service in status["services"].items()
    ]
    lines.append(f"lab: broker is {broker['engine']} {broker['version']} ({broker['source']})")
    if not status["services"]:  # containers, or somebody else's
        lines.append(f"lab: {status['nodes']} node{'s' if status['nodes'] > 1 else ''}")
    if status["flower_url"]:
        lines.append(f"lab: Flower is in JupyterLab's launcher, or at {status['flower_url']}")
    if status["jupyter_url"]:
        lines.append(f"lab: open {status['jupyter_url']}")
    return lines
