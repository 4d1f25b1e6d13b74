"""The lab as a notebook sees it: connect, send work under a fault, read the verdict.

May depend on everything but ``labapp.course`` and ``labapp.cli``.
"""

from labapp.faults import (
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
from labapp.lab.surface import Lab, compare, connect, orders

__all__ = [
    "Lab",
    "answer",
    "charge_of",
    "compare",
    "connect",
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
    "orders",
    "outage",
    "pause",
    "quit_unheard",
    "slow_link",
    "slow_partner",
    "stop",
    "together",
]
