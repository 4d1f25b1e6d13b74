"""All static invariants, in the order in which ``lab verify`` asks them."""

from __future__ import annotations

from labapp.course.verify import (
    answers,
    files,
    hints,
    links,
    numbering,
    outputs,
    prose,
    trials,
)
from labapp.course.verify.context import Invariant

INVARIANTS: tuple[Invariant, ...] = (
    *numbering.INVARIANTS,
    *trials.INVARIANTS,
    *files.INVARIANTS,
    *hints.INVARIANTS,
    *answers.INVARIANTS,
    *links.INVARIANTS,
    *prose.INVARIANTS,
    *outputs.INVARIANTS,
)
