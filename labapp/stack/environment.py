"""The environment for code that is not the lab's: everything but the lab's own variables.

Those carry the stack's secrets and addresses (``LAB_…``); a learner's module has no use for them.
Uses nothing else of the lab; used by whatever starts a learner's code, and by the tests.
"""

from __future__ import annotations

import os


def without_lab() -> dict[str, str]:
    """This process's environment without the lab's variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}


def for_module() -> dict[str, str]:
    """The same, for a process that imports a learner's module.

    Bytecode is keyed by whole seconds and size: an edit within one second could be missed."""
    return {**without_lab(), "PYTHONDONTWRITEBYTECODE": "1"}
