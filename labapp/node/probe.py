"""Loaded into a worker with ``celery worker --include``: tells the node that the worker is ready.

A line on an inherited pipe, written from ``worker_ready``, is the earliest sure sign (a ping lags
it by 0.1 to 1 s).  It also says which delivery settings the tasks ended up with, since a setting
may come from the command line, the app or the task.  Nothing here touches a task.
"""

from __future__ import annotations

import json
import os
from typing import Any

from celery.signals import worker_ready

FD_VARIABLE = "LAB_PROBE_FD"
"""Environment variable that carries the pipe's descriptor."""


def report(consumer: Any) -> dict[str, Any]:
    """What the node is told: pid, pool, prefetch and each task's delivery settings."""
    app = consumer.app
    pool = consumer.pool
    return {
        "pid": os.getpid(),
        "hostname": consumer.hostname,
        "pool": type(pool).__module__.rpartition(".")[2],
        "concurrency": pool.num_processes,
        "prefetch": consumer.prefetch_multiplier * pool.num_processes,
        "disable_prefetch": bool(app.conf.worker_disable_prefetch),
        "soft_shutdown": float(app.conf.worker_soft_shutdown_timeout or 0.0),
        "visibility_timeout": visibility_timeout(consumer),
        "queues": sorted(app.amqp.queues.consume_from),
        "tasks": {
            name: {
                "acks_late": bool(task.acks_late),
                "reject_on_worker_lost": bool(task.reject_on_worker_lost),
            }
            for name, task in app.tasks.items()
            if not name.startswith("celery.")
        },
    }


def visibility_timeout(consumer: Any) -> float:
    """Seconds after which this worker's sweep hands back what is not acknowledged.

    Asked of the channel itself (kombu/transport/redis.py), which knows the default."""
    try:
        return float(consumer.task_consumer.channel.visibility_timeout)
    except AttributeError:  # another transport has none
        return 0.0


def tell(sender: Any = None, **_: Any) -> None:
    """``worker_ready`` handler: write the report and close the pipe."""
    descriptor = os.environ.pop(FD_VARIABLE, "")
    if not descriptor:
        return
    with os.fdopen(int(descriptor), "w", encoding="utf-8") as pipe:
        pipe.write(json.dumps(report(sender)) + "\n")


worker_ready.connect(tell, weak=False)
