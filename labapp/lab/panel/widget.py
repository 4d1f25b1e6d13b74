"""The browser's side of the panel: an anywidget with our own module and style sheet, both local.

Used by ``labapp.lab.panel.panel`` when a panel is shown; the rest of the lab does without.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labapp.errors import LabError
from labapp.lab.panel.drawing import look

HERE = Path(__file__).parent


class PanelWidget(anywidget.AnyWidget):
    """What the browser gets to know: ``look`` once, ``data`` with each look."""

    _esm = (HERE / "panel.js").read_text(encoding="utf-8")
    _css = (HERE / "panel.css").read_text(encoding="utf-8")
    look = traitlets.Dict().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)


def widget_of(click: Callable[[str, str], None], data: dict[str, Any]) -> PanelWidget:
    """A widget that calls ``click`` with a button's name and its worker's.

    Args:
        click: must not wait for what it does.
        data: what is shown first.
    """
    widget = PanelWidget(look=look(), data=data)
    widget.on_msg(lambda _, content, __: pressed(click, content))
    answer_where_asked(widget.comm)
    return widget


def pressed(click: Callable[[str, str], None], content: Any) -> None:
    """A message of the browser's; what is no button of ours is passed over."""
    if isinstance(content, dict) and isinstance(content.get("press"), str):
        try:
            click(content["press"], str(content.get("worker") or ""))
        except LabError:  # an old page may know a button that is no more
            return


def answer_where_asked(comm: Any) -> None:
    """Let a click be heard in the subshell to which JupyterLab has sent it.

    JupyterLab sends messages of widgets to a subshell of the kernel, beside the running cell
    (setting ``commsOverSubshells``, "perCommTarget" by default).  ipykernel 7.4 sends them on to
    the shell that has spoken last on this comm (ipykernel/comm/comm.py, ``_reply_subshell_for``),
    which is meant for requests and their answers.  For our widget a thread speaks, in the name of
    the cell that runs: its clicks would wait for that cell.  Other versions have no such method."""
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = as_asked


def as_asked(data: Any, asked: str | None) -> str | None:
    """The subshell that a message asks for."""
    return asked
