"""Seconds that `lab check NN` takes for the solution of each stage. Goal: 30 s each."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from rows import Row

from labapp.course.check import check
from labapp.course.kernels import Environment
from labapp.course.stages import STAGES
from labapp.errors import LabError

GOAL = 30.0  # seconds


def rows() -> Iterator[Row]:
    """One row per stage that has an exercise.

    Raises:
        LabError: a solution did not pass.
    """
    environment = Environment()
    try:
        with environment.exported():
            for number, stage in STAGES.items():
                if stage.trials:
                    note = f"{len(stage.trials)} faults"
                    yield Row(f"check of the solution of {number}", _check(number), GOAL, note=note)
    finally:
        environment.close()


def _check(number: str) -> float:
    began = perf_counter()
    if not check(number, "solutions").passed:
        raise LabError(f"the solution of stage {number} does not pass")
    return perf_counter() - began
