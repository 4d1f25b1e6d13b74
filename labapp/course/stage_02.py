"""Stage 02, crash: where does a task go when its worker dies?

The learner's shop must bring every charge through the death of a pool process, of the whole worker
and through a cold shutdown, and must give up on an order that kills its process every time.  A
charge may happen twice here; that is mended in stage 04.
"""

from __future__ import annotations

from labapp.course.stage import Diagnosis, Stage, Trial, lost, stuck
from labapp.faults import charge_of, kill_child, kill_worker, stop

CALM = "no fault"
WORKER = "worker killed"
CHILD = "child killed"
DEPLOY = "cold shutdown"
POISON = "poison order"

TRIALS = (
    Trial(CALM, None, exactly_once=True),
    Trial(WORKER, kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))),
    Trial(CHILD, kill_child(before=charge_of("order-3"))),
    Trial(DEPLOY, stop("QUIT", after=charge_of("order-3"), before=charge_of("order-4"))),
    Trial(POISON, kill_child(before=charge_of("order-3"), every_time=True)),
)

LESSON = "notebooks/02_crash.ipynb"

DIAGNOSES = (
    Diagnosis(
        "success-without-charge",
        lambda v: any(lost(v, trial.name, "SUCCESS") for trial in TRIALS),
        "A task reported SUCCESS, and its charge never happened. The message that the broker "
        "keeps covers the task it names and nothing else: work that the task hands on, to a "
        "thread or to another task, is not covered by it.",
        f"{LESSON}, 'Late acknowledgement': what exactly is acknowledged late?",
    ),
    Diagnosis(
        "acknowledged-early",
        lambda v: lost(v, WORKER) and lost(v, CHILD),
        "What was running was lost, whether one process died or the whole worker: the messages "
        "had been acknowledged before the work, so the broker had nothing left to give back.",
        f"{LESSON}, 'Early acknowledgement' and 'Late acknowledgement'",
    ),
    Diagnosis(
        "needs-a-living-worker",
        lambda v: lost(v, WORKER),
        "A charge survives the death of its pool process, but not of the whole worker: the rescue "
        "is done by the main process, and that died too. Only a message that is still in the "
        "broker outlives a worker.",
        f"{LESSON}, 'Late acknowledgement'",
    ),
    Diagnosis(
        "lost-worker-acknowledged",
        lambda v: lost(v, CHILD, "FAILURE: WorkerLostError"),
        "The whole worker may die, but one of its processes may not: main saw the child die, "
        "stored FAILURE (WorkerLostError) and acknowledged the message. Late acknowledgement "
        "acknowledges failures too.",
        f"{LESSON}, 'One process dies'",
    ),
    Diagnosis(
        "returns-too-late",
        lambda v: stuck(v, CHILD, "waiting"),
        "The charge is not lost, but it waits: its retry must not run for minutes yet. "
        "A task's default retry delay is 180 seconds.",
        f"{LESSON}, 'A bounded retry'; the brief asks for a retry within seconds",
    ),
    Diagnosis(
        "no-bound",
        lambda v: stuck(v, POISON),
        "An order that kills its process every time comes back for ever, and takes a process "
        "down each time: nothing counts the attempts.",
        f"{LESSON}, 'The poison order' and 'A bounded retry'",
    ),
)

CRASH = Stage(
    "02",
    "crash",
    "Where does a task go when its worker dies?",
    trials=TRIALS,
    diagnoses=DIAGNOSES,
)
