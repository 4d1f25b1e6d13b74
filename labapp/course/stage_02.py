"""Stage 02, crash: where does a task go when its worker dies?

The learner's shop must bring every charge through the death of a pool process, of the whole worker
and through a cold shutdown, and must give up on an order that kills its process every time.  A
charge may happen twice here; that is mended in stage 04.
"""

from __future__ import annotations

from labapp.course.stage import Diagnosis, Outcomes, Stage, Trial
from labapp.faults import charge_of, kill_child, kill_worker, stop

CALM = "no fault"
WORKER = "worker killed"
CHILD = "child killed"
DEPLOY = "cold shutdown"
POISON = "poison order"
POISONED = "order-3"

TRIALS = (
    Trial(CALM, None, exactly_once=True),
    Trial(WORKER, kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))),
    Trial(CHILD, kill_child(before=charge_of("order-3"))),
    Trial(DEPLOY, stop("QUIT", after=charge_of("order-3"), before=charge_of("order-4"))),
    Trial(POISON, kill_child(before=charge_of("order-3"), every_time=True)),
)

LESSON = "notebooks/02_crash.ipynb"
BRIEF = "exercises/02_crash/README.md"


def none_fetched(seen: Outcomes) -> bool:
    """Nothing struck, and all that is left is still in a queue."""
    stuck = seen.of(CALM).stuck()
    return bool(stuck) and stuck == seen.of(CALM).stuck("queue")


def success_without_charge(seen: Outcomes) -> bool:
    """After a crash, a result says SUCCESS, and its charge never happened."""
    return any(seen.of(trial).lost("SUCCESS") for trial in (WORKER, CHILD))


def given_back(seen: Outcomes, state: str) -> bool:
    """A charge was lost with this result although the broker gave its message back."""
    outcome = seen.of(WORKER)
    return bool(outcome.lost(state) & outcome.given_back)


def left(seen: Outcomes, where: str = "") -> bool:
    """A charge that could have happened did not (its message is at this place)."""
    poison = bool(where and seen.of(POISON).stuck(where))
    return poison or any(seen.of(trial).stuck(where) for trial in (WORKER, CHILD, DEPLOY))


DIAGNOSES = (
    # Nothing has struck yet.
    Diagnosis(
        "charges-other-orders",
        lambda seen: bool(seen.of(CALM).verdict.unexpected),
        "Nothing struck, and the partner was asked to charge orders that nobody had sent.",
        f"the contract in {BRIEF}: what is sent to the partner must be the order as it came",
    ),
    Diagnosis(
        "nobody-fetches",
        none_fetched,
        "Nothing struck, and the messages still lie in a queue. No worker fetches from it: the "
        "check's worker consumes what the app declares, and this queue is not among that.",
        "routes and queue names in shop.py; without any, everything goes through one queue",
    ),
    Diagnosis(
        "does-not-end",
        lambda seen: bool(seen.of(CALM).stuck()),
        "Nothing struck, and after ten seconds there were charges that had neither happened nor "
        "failed. Their tasks hang, or start again and again, or wait for a later retry.",
        "let the task print how far it comes; `lab logs` shows what the check's workers said last",
    ),
    Diagnosis(
        "charges-twice",
        lambda seen: bool(seen.of(CALM).verdict.duplicated),
        "Nothing struck, and customers paid twice. A second charge is allowed after a crash only.",
        "count the requests that one call of the task makes when all goes well",
    ),
    Diagnosis(
        "no-charge",
        lambda seen: bool(seen.of(CALM).lost("SUCCESS")),
        "Nothing struck, every worker was idle, and charges were missing although their results "
        "say SUCCESS. Either the task does not ask the partner, or it returns before that is done.",
        f"the contract in {BRIEF}: one request per charge, made by the task itself",
    ),
    Diagnosis(
        "fails-by-itself",
        lambda seen: bool(seen.of(CALM).lost()),
        "Nothing struck, and charges are missing all the same. It is not about crashes yet: the "
        "task does not do its work, or never gets to it.",
        "the results named above; `lab logs` shows what the check's workers said last",
    ),
    # SUCCESS is a claim, and the partner knows better.
    Diagnosis(
        "taken-for-done",
        lambda seen: given_back(seen, "SUCCESS"),
        "The broker gave a message back after the crash, as it should. The task then took the "
        "order for done and reported SUCCESS, but its charge had never happened. A mark that is "
        "set before the work says 'somebody has begun', not 'it is done'.",
        "what does your task believe when it meets an order for the second time?",
    ),
    Diagnosis(
        "success-without-charge",
        success_without_charge,
        "A task reported SUCCESS, and its charge never happened. A message is there for the task "
        "that it names, up to the moment that task returns. Work that goes on elsewhere, in a "
        "thread or in another task, is not covered by it.",
        f"{LESSON}, 'Late acknowledgement': what exactly is acknowledged late?",
    ),
    # The whole worker died.
    Diagnosis(
        "fails-when-repeated",
        lambda seen: given_back(seen, "FAILURE"),
        "The broker gave a message back after the crash, as it should. The second attempt then "
        "failed, though nothing struck it any more: the first one had left something behind.",
        "what does a process that dies in the middle leave locked, marked or half done?",
    ),
    Diagnosis(
        "acknowledged-early",
        lambda seen: bool(seen.of(WORKER).lost() and seen.of(CHILD).lost()),
        "What was running was lost, whether one process died or the whole worker. The messages "
        "had been acknowledged before the work, so the broker had nothing left to give back.",
        f"{LESSON}, 'Early acknowledgement' and 'Late acknowledgement'. If you have changed "
        "settings already: `celery -A shop report` shows those that the app has taken",
    ),
    Diagnosis(
        "needs-a-living-worker",
        lambda seen: bool(seen.of(WORKER).lost()),
        "A charge survives the death of its pool process, but not of the whole worker. The rescue "
        "is done by the main process, and that died too. Only a message that is still in the "
        "broker outlives a worker.",
        f"{LESSON}, 'Late acknowledgement' and 'Remove the fix, watch it fail'",
    ),
    # One process died.
    Diagnosis(
        "lost-worker-acknowledged",
        lambda seen: bool(seen.of(CHILD).lost()),
        "The whole worker may die, but one of its processes may not. The main process saw it die, "
        "counted the task as failed and took the message off the broker. A process that is killed "
        "raises nothing: no except, no retry in the task and no on_failure gets to run.",
        f"{LESSON}, 'One process dies'",
    ),
    Diagnosis(
        "returns-too-late",
        lambda seen: left(seen, "waiting"),
        "The order is not lost, but it waits: its next attempt is too far away. "
        "A task's default retry delay is 180 seconds.",
        f"{LESSON}, 'A bounded retry'; the brief asks for retries within seconds",
    ),
    Diagnosis(
        "waits-for-the-dead",
        left,
        "After the crash there were charges that neither happened nor failed. Their tasks wait, "
        "and what they wait for died with the first attempt: a lock, for instance.",
        "what does a process that dies in the middle leave locked, marked or half done?",
    ),
    # A deploy.
    Diagnosis(
        "lost-in-shutdown",
        lambda seen: bool(seen.of(DEPLOY).lost()),
        "A killed worker loses nothing, but one that is told to stop at once does. A cold "
        "shutdown cancels what runs, and here a cancelled task counts as ended.",
        "notebooks/02a_shutdown.ipynb, and what your task does when it is interrupted",
    ),
    # An order that kills its process every time.
    Diagnosis(
        "no-bound",
        lambda seen: bool(seen.of(POISON).stuck()),
        "An order that kills its process every time was tried ten times, and the next attempt was "
        "already on its way. The attempts have no limit, or what counts them dies with the "
        "process.",
        f"{LESSON}, 'The poison order' and 'A bounded retry'",
    ),
    Diagnosis(
        "gives-up-in-silence",
        lambda seen: POISONED in seen.of(POISON).lost(),
        "The order that kills its process every time is given up, and nothing says so: its result "
        "is not FAILURE. Whoever reads the results will think that the customer has paid, or is "
        "still waiting.",
        f"{BRIEF}: how is an order to end that cannot be charged?",
    ),
)

CRASH = Stage(
    "02",
    "crash",
    trials=TRIALS,
    diagnoses=DIAGNOSES,
)
