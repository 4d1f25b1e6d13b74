"""What people call a stage: "02", "2", "crash" or "02_crash".

Used by the rest of ``labapp.course``; depends on ``labapp.errors`` only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from labapp.errors import LabError


class Named(Protocol):
    """A stage, as data or as code, by what people call it."""

    @property
    def number(self) -> str:
        """Two digits."""

    @property
    def name(self) -> str:
        """As in file names."""

    @property
    def folder(self) -> str:
        """Its folder in ``exercises/`` and ``solutions/``."""


N = TypeVar("N", bound=Named)


def pick(stages: Iterable[N], name: str) -> N:
    """The stage with this number or name ("02", "2", "crash", "02_crash").

    Raises:
        LabError: there is none, with those that there are.
    """
    known = list(stages)
    wanted = name.strip().lower()
    for stage in known:
        if wanted in (stage.number, str(int(stage.number)), stage.name, stage.folder):
            return stage
    folders = ", ".join(stage.folder for stage in known)
    raise LabError(f"there is no stage {name!r}", hint=f"stages: {folders}")


def no_exercise(stage: Named, others: Iterable[Named]) -> LabError:
    """What is said where a stage has no exercise; ``others`` have one."""
    numbers = ", ".join(other.number for other in others)
    return LabError(f"stage {stage.folder} has no exercise", hint=f"stages with one: {numbers}")
