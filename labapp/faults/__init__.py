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
    crash_broker,
    cut_off,
    drop_reply,
    duplicate,
    file_of,
    freeze_child,
    kill_child,
    kill_worker,
    late,
    mail_of,
    never_answer,
    nth_charge,
    open_charges,
    outage,
    pause,
    quit_unheard,
    slow_link,
    slow_partner,
    stop,
    together,
)

__all__ = [
    "Action",
    "Effect",
    "Fault",
    "Moment",
    "answer",
    "charge_of",
    "crash_broker",
    "cut_off",
    "drop_reply",
    "duplicate",
    "file_of",
    "freeze_child",
    "kill_child",
    "kill_worker",
    "late",
    "mail_of",
    "never_answer",
    "nth_charge",
    "open_charges",
    "outage",
    "pause",
    "quit_unheard",
    "slow_link",
    "slow_partner",
    "stop",
    "together",
]
