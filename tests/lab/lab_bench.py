"""What the lab's tests work with: one call for an experiment, and the verdicts that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labapp.faults import Fault, charge_of
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session
from labapp.stack.state import Stack

HERE = Path(__file__).parent
SHOP = Module("shop", HERE.parent.parent / "solutions" / "00_start_here")
SHOPS = HERE / "shops"
PATIENCE = 60.0
"""Seconds that anything here may take on an overloaded machine."""
LIVE = (
    "CELERY_BROKER_URL",
    "CELERY_RESULT_BACKEND",
    "PARTNER_URL",
    "MAIL_URL",
    "SHOP_DATABASE_URL",
)
"""What `connect()` sets for tasks that are sent by hand."""
BETWEEN = {"after": charge_of("order-3"), "before": charge_of("order-4")}
"""The moment at which order-3 is charged and order-4 is not."""
LATE = {"task_acks_late": True}


def experiment(
    session: Session,
    fault: Fault | None = None,
    *,
    module: Module = SHOP,
    count: int = 10,
    concurrency: int = 2,
    pool: str = "prefork",
    time_passes: bool = True,
    survivor: bool = False,
    deadline: float = 40.0,
    **settings: Any,
) -> Run:
    """Charge orders under a fault; ``settings`` are Celery's."""
    worker = WorkerSettings(concurrency, pool, settings)
    plan = Plan(
        module,
        f"{module.name}.charge",
        orders(count),
        worker,
        fault,
        time_passes=time_passes,
        survivor=survivor,
        deadline=deadline,
    )
    return conduct(session, plan)


def point_to(monkeypatch: pytest.MonkeyPatch, stack: Stack) -> dict[str, str]:
    """Make `connect()` find this stack, as in compose; gives the variables, for processes."""
    addresses = {
        "LAB_BROKER_URL": stack.broker_url(0),
        "LAB_WORLD_URL": stack.world_url,
        "LAB_MAIL_URL": stack.mail_url,
        "LAB_NODE_URLS": ",".join(stack.node_urls),
        "LAB_CONTROL_TOKEN": stack.control_token,
    }
    for name, value in (addresses | dict.fromkeys(LIVE, "")).items():
        monkeypatch.setenv(name, value)
    return addresses


def known_texts() -> dict[str, str]:
    """Name → text, from the file of verdicts."""
    sections = (HERE / "verdicts.txt").read_text().split("## ")[1:]
    return {name: text.strip() for name, _, text in (part.partition("\n") for part in sections)}


KNOWN = known_texts()
