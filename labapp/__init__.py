"""A lab for learning how Celery and Redis queues break.

This module must stay light: the probe inside every Celery worker imports `labapp.node.probe`,
and `lab` starts through here. What notebooks use is looked up on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# name → module that defines it
_LAB = (
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
    "orders",
    "outage",
    "pause",
    "quit_unheard",
    "slow_link",
    "slow_partner",
    "stop",
    "storm",
    "together",
)
_EXPORTS = {
    "LabError": "labapp.errors",
    "check": "labapp.course.check",
    "compare": "labapp.lab",
    "connect": "labapp.course.classroom",
    "predict": "labapp.views.prediction",
    "source": "labapp.views.source",
    **dict.fromkeys(_LAB, "labapp.lab"),
}

if TYPE_CHECKING:
    from labapp.course.check import check as check
    from labapp.course.classroom import connect as connect
    from labapp.errors import LabError as LabError
    from labapp.lab import answer as answer
    from labapp.lab import charge_of as charge_of
    from labapp.lab import compare as compare
    from labapp.lab import crash_broker as crash_broker
    from labapp.lab import cut_off as cut_off
    from labapp.lab import drop_reply as drop_reply
    from labapp.lab import duplicate as duplicate
    from labapp.lab import file_of as file_of
    from labapp.lab import freeze_child as freeze_child
    from labapp.lab import kill_child as kill_child
    from labapp.lab import kill_worker as kill_worker
    from labapp.lab import late as late
    from labapp.lab import mail_of as mail_of
    from labapp.lab import never_answer as never_answer
    from labapp.lab import nth_charge as nth_charge
    from labapp.lab import open_charges as open_charges
    from labapp.lab import orders as orders
    from labapp.lab import outage as outage
    from labapp.lab import pause as pause
    from labapp.lab import quit_unheard as quit_unheard
    from labapp.lab import slow_link as slow_link
    from labapp.lab import slow_partner as slow_partner
    from labapp.lab import stop as stop
    from labapp.lab import storm as storm
    from labapp.lab import together as together
    from labapp.views.prediction import predict as predict
    from labapp.views.source import source as source


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'labapp' has no attribute {name!r}")
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
