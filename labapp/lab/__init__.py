"""The lab as a notebook sees it: connect, send work under a fault, read the verdict.

May depend on everything but ``labapp.course`` and ``labapp.cli``.
"""

from labapp.faults import (
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
from labapp.lab.surface import Lab, compare, connect, orders

__all__ = [
    "Lab",
    "answer",
    "charge_of",
    "compare",
    "connect",
    "drop_reply",
    "kill_child",
    "kill_worker",
    "late",
    "never_answer",
    "nth_charge",
    "open_charges",
    "orders",
    "pause",
    "stop",
]
