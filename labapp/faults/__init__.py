"""Faults: a trigger and an action, as a learner writes them.

A fault says *when* (an effect, before or after it is recorded; k open requests; now) and *what*
(kill a child, kill a worker, pause, TERM, QUIT, drop the reply, answer badly).  This package only
describes; ``labapp.lab`` carries faults out.  May depend on ``labapp.world.rules`` and below.
"""

from labapp.faults.fault import (
    Action,
    Effect,
    Fault,
    Moment,
    answer,
    charge_of,
    drop_reply,
    kill_child,
    kill_worker,
    late,
    never_answer,
    nth_charge,
    open_charges,
    pause,
    stop,
)

__all__ = [
    "Action",
    "Effect",
    "Fault",
    "Moment",
    "answer",
    "charge_of",
    "drop_reply",
    "kill_child",
    "kill_worker",
    "late",
    "never_answer",
    "nth_charge",
    "open_charges",
    "pause",
    "stop",
]
