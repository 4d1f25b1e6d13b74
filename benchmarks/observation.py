"""What watching costs a worker: 10 ms tasks drained with the lab looking on, and without.

Watched: Celery's task events are on, and the lab waits for the queue to drain as an experiment
does.  Not watched: no events, and one look at the broker every 50 ms.  Goal: 0.9 of the pace, in
the median of interleaved pairs, on an idle machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from rows import Row

from labapp.course.kernels import Environment
from labapp.errors import LabError
from labapp.lab.drain import drain
from labapp.lab.field import Field
from labapp.lab.publisher import Module
from labapp.lab.run import Plan
from labapp.lab.session import Session
from labapp.node.client import StartedWorker
from labapp.node.workers import QUIET, WorkerSpec
from labapp.stack.state import find_stack

PAIRS = 9
TASKS = 300
LOOK = 0.05
DEADLINE = 120.0
NAPS = """
import time
from celery import Celery

app = Celery("naps")
app.conf.task_ignore_result = True


@app.task
def nap(number):
    time.sleep(0.01)
"""


def rows() -> Iterator[Row]:
    """The paces, and their ratio.

    Raises:
        LabError: a queue did not drain.
    """
    environment = Environment()
    try:
        with environment.exported(), tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "naps.py").write_text(NAPS)
            with Session(find_stack()) as session:
                pairs = [_pair(session, Module("naps", Path(folder))) for _ in range(PAIRS)]
    finally:
        environment.close()
    ratio = median(watched / alone for watched, alone in pairs)
    note = f"median of {PAIRS} pairs"
    yield Row("watched worker, 10 ms tasks", median(p[0] for p in pairs), unit="/s", note=note)
    yield Row("the same, not watched", median(p[1] for p in pairs), unit="/s", note=note)
    yield Row("watched against not watched (goal: ≥ 90 %)", 100 * ratio, unit="%", note=note)


def _pair(session: Session, module: Module) -> tuple[float, float]:
    return _pace(session, module, watched=True), _pace(session, module, watched=False)


def _pace(session: Session, module: Module, *, watched: bool) -> float:
    """Tasks a second, from the ready worker to the last acknowledgement."""
    session.clean()
    session.publisher(module).send("naps.nap", [(number,) for number in range(TASKS)])
    spec = WorkerSpec(
        name=session.worker_name(),
        module=module.name,
        path=str(module.path),
        env=session.environment(f"{session.stack.world_url}/naps"),
        settings={"task_acks_late": True},
        arguments=(*QUIET, "--task-events") if watched else QUIET,
        lease=session.lease.name,
    )
    worker = session.nodes.start(spec)
    began = time.monotonic()
    if not (_watch(session, module, worker) if watched else _glance(session)):
        raise LabError(f"the queue did not drain within {DEADLINE:.0f} s")
    spent = time.monotonic() - began
    session.nodes.kill(worker)
    return TASKS / spent


def _watch(session: Session, module: Module, worker: StartedWorker) -> bool:
    """Wait as an experiment does; whether the queue has drained."""
    field = Field(session, Plan(module, "naps.nap", [], deadline=DEADLINE))
    field.live.append(worker)
    try:
        return drain(field)
    finally:
        field.close()


def _glance(session: Session) -> bool:
    redis = session.broker.redis
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and (redis.llen("celery") or redis.zcard("unacked_index")):
        time.sleep(LOOK)
    return time.monotonic() < deadline
