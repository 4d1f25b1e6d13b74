"""The stages, by number: a new lesson is one line here and one module beside it."""

from __future__ import annotations

from labapp.course.naming import pick
from labapp.course.stage import Stage
from labapp.course.stage_01 import FIRST_QUEUE
from labapp.course.stage_02 import CRASH
from labapp.course.stage_03 import DUPLICATES
from labapp.course.stage_04 import IDEMPOTENCY
from labapp.course.stage_05 import RETRIES

START_HERE = Stage("00", "start_here")

STAGES = {
    stage.number: stage
    for stage in (START_HERE, FIRST_QUEUE, CRASH, DUPLICATES, IDEMPOTENCY, RETRIES)
}


def stage_named(name: str) -> Stage:
    """The stage with this number or name ("02", "2", "crash", "02_crash").

    Raises:
        LabError: there is none, with those that there are.
    """
    return pick(STAGES.values(), name)
