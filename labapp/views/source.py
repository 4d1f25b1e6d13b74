"""``source(…)``: the code of tasks and functions, as it stands in their modules.

A lesson shows what it runs, so that the text and the module cannot drift apart.  Depends on nothing
else of the lab but ``labapp.errors``.
"""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from labapp.errors import LabError


class Source:
    """Code, to be shown.

    Args:
        text: Python.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.text}\n```"


def source(*parts: Any) -> Source:
    """The code of these tasks, functions or modules, one after the other.

    Args:
        parts: Celery tasks, functions, classes or modules, defined in files.

    Raises:
        LabError: the code of one of them is in no file.
    """
    return Source("\n\n".join(code_of(part) for part in parts))


def code_of(part: Any) -> str:
    """The code of one part, without white space around it.  Raises LabError."""
    try:
        return textwrap.dedent(inspect.getsource(getattr(part, "run", part))).strip()
    except (OSError, TypeError):
        raise LabError(
            f"the code of {part!r} is in no file", hint="give source() a task or a function"
        ) from None
