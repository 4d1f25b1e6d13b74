"""What a stage is: its place, its faults, its diagnoses.

Plain values; a stage is one module of ``labapp.course.stages`` that makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labapp.checker.verdict import Verdict
from labapp.faults import Fault


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault of a check.

    Args:
        name: how it is shown, and how a diagnosis names it.
        fault: what strikes; None for nothing.
        exactly_once: whether every effect must happen once and no more; otherwise at least once
            is enough, and a failure that the fault makes unavoidable is allowed.
        work: arguments of each task to send.
        deadline: seconds that the queue may take to drain.
    """

    name: str
    fault: Fault | None
    exactly_once: bool = False
    work: Sequence[tuple[Any, ...]] = tuple((f"order-{number}",) for number in range(1, 11))
    deadline: float = 10.0

    def passed(self, verdict: Verdict) -> bool:
        """Whether this verdict is good enough."""
        return bool(verdict.exactly_once if self.exactly_once else verdict.at_least_once)


Verdicts = Mapping[str, Verdict]
"""Verdict by name of the trial; a trial that did not run has none."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with an answer, read off the verdicts alone.

    Args:
        code: short name, by which tests and JSON know it.
        applies: whether these verdicts show it; asked in the order of the stage's list.
        says: what happened and why, in two or three sentences.
        look: where to look next.
    """

    code: str
    applies: Callable[[Verdicts], bool]
    says: str
    look: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the course.

    Args:
        number: two digits, as in file names.
        name: as in file names.
        question: what it asks.
        trials: faults of its check; empty where the stage has no exercise.
        diagnoses: from the most to the least particular.
        module: module of the exercise.
        task: task that is sent, without the module's name.
    """

    number: str
    name: str
    question: str
    trials: Sequence[Trial] = ()
    diagnoses: Sequence[Diagnosis] = field(default=())
    module: str = "shop"
    task: str = "charge"

    @property
    def folder(self) -> str:
        """Its folder in ``exercises/`` and ``solutions/``."""
        return f"{self.number}_{self.name}"

    def diagnose(self, verdicts: Verdicts) -> Diagnosis:
        """The first diagnosis that applies to verdicts that did not pass."""
        return next(d for d in (*self.diagnoses, *FALLBACKS) if d.applies(verdicts))


def lost(verdicts: Verdicts, trial: str, reason: str = "") -> bool:
    """Whether this trial lost something (for a reason that begins so)."""
    verdict = verdicts.get(trial)
    if verdict is None:
        return False
    return any(verdict.reasons.get(key, "").startswith(reason) for key in verdict.lost)


def stuck(verdicts: Verdicts, trial: str, where: str = "") -> bool:
    """Whether this trial left something in the broker or running (at this place)."""
    verdict = verdicts.get(trial)
    if verdict is None:
        return False
    return any(verdict.reasons.get(key, "").startswith(where) for key in verdict.stuck)


def any_of(verdicts: Verdicts, field_name: str) -> bool:
    """Whether any trial has keys in this field of its verdict."""
    return any(getattr(verdict, field_name) for verdict in verdicts.values())


FALLBACKS = (
    Diagnosis(
        "lost",
        lambda verdicts: any_of(verdicts, "lost"),
        "A charge was lost: its message left the broker, and the charge never happened.",
        "Read the row that says lost: which fault was it, and what does the result state say?",
    ),
    Diagnosis(
        "stuck",
        lambda verdicts: any_of(verdicts, "stuck"),
        "A charge neither happened nor failed in time: its message is still in the broker, "
        "or its task is still running.",
        "Does the task wait for something that never comes? Does its retry wait longer than the "
        "check does?",
    ),
    Diagnosis(
        "duplicated",
        lambda verdicts: any_of(verdicts, "duplicated") or any_of(verdicts, "unexpected"),
        "A charge happened more often than it was asked for.",
        "Count the ways in which one order can lead to two requests.",
    ),
    Diagnosis(
        "not-passed",
        lambda _: True,
        "A fault was not survived.",
        "Read the table from the top: the first NO is the one to mend.",
    ),
)
"""What is said of an answer that no stage foresaw."""
