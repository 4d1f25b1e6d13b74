"""What only a drawing needs: the broker's steps, whose they were, and Celery's events.

Used by ``labapp.lab.conductor`` for runs that ask for it; the verdict does not look at it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from labapp.checker.history import Mark, TaskEvent
from labapp.errors import LabError
from labapp.lab.events import EventRecorder
from labapp.lab.field import Field
from labapp.lab.monitor import Monitor


@contextmanager
def recorded(field: Field) -> Iterator[None]:
    """Record what happens inside, if the plan asks for a drawing."""
    if not field.plan.drawing:
        yield
        return
    monitor, events = Monitor(field.broker.url), EventRecorder(field.broker.url)
    field.at_restart.append(monitor.listen_again)
    try:
        yield
    finally:
        for running in field.live:
            with contextlib.suppress(LabError):  # it, or its node, is gone
                field.meet(running)
        for step in monitor.stop():
            if key := field.keys.get(step.task_id):
                worker = field.addresses.get(step.client, "")
                of_message = (step.task_id, step.tag, step.again, step.wait)
                field.note(Mark(step.at - field.begun, key, step.step, worker, *of_message))
        for event in events.stop():
            if key := field.keys.get(event.task_id):
                field.note(TaskEvent(event.at - field.begun, key, event.name))
