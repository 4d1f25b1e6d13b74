"""``connect()`` as notebooks get it: the lab, with the course's exercises.

The lab knows of no course; this is the one place where a notebook's object has both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labapp.lab.surface import Lab

if TYPE_CHECKING:
    from labapp.course.exercise_view import ExerciseView


class Classroom(Lab):
    """A connection to the running stack, for learners."""

    def exercise(self, stage: str) -> ExerciseView:
        """The exercise of a stage: its brief, file, check, hints and the last verdict.

        Args:
            stage: number or name ("02").

        Raises:
            LabError: there is no such stage, or it has no exercise.
        """
        from labapp.course.exercise_view import ExerciseView

        return ExerciseView(stage)


def connect() -> Classroom:
    """The lab of the stack that runs here.

    Raises:
        LabError: none is running.
    """
    return Classroom()
