"""Stage 03, duplicates: why did it run twice?

Nothing is broken here but the time: charges take two hours, and orders wait for one and a half.
The learner's shop must not hand out the message of healthy work a second time, and must still get
the work of a dead worker back within four hours.  What a crash after the charge leaves, happens
twice here; that is mended in stage 04.
"""

from __future__ import annotations

from labapp.course.stage import Diagnosis, Outcomes, Stage, Trial
from labapp.faults import Fault, charge_of, kill_worker, slow_partner
from labapp.lab.surface import orders

CALM = "no fault"
SLOW = "slow charges"
BEHIND = "orders behind slow ones"
AHEAD = "orders sent ahead"
WORKER = "worker killed"

CHARGE_MINUTES = 120
"""How long a charge may take."""
AHEAD_MINUTES = 90
"""How long before its time an order may be sent."""
BACK_MINUTES = 240
"""How long after the death of its worker an order is to be on its way again, at the most."""


def slow(*numbers: int) -> Fault:
    """The charges of these orders are slow."""
    charges = [charge_of(f"order-{number}") for number in numbers]
    return slow_partner(minutes=CHARGE_MINUTES, before=charges)


TRIALS = (
    Trial(CALM, None, exactly_once=True),
    Trial(SLOW, slow(3, 4), exactly_once=True),
    Trial(BEHIND, slow(1, 2, 3, 4), exactly_once=True),
    Trial(AHEAD, slow(1, 2), exactly_once=True, work=orders(2), countdown=AHEAD_MINUTES * 60.0),
    Trial(
        WORKER,
        kill_worker(after=charge_of("order-3"), before=charge_of("order-4")),
        time_passes=BACK_MINUTES * 60.0,
    ),
)

LESSON = "notebooks/03_duplicates.ipynb"
BRIEF = "exercises/03_duplicates/README.md"


def twice(seen: Outcomes, trial: str) -> bool:
    """Whether a charge happened twice in this trial."""
    return bool(seen.of(trial).verdict.duplicated)


def silent(seen: Outcomes) -> bool:
    """A charge never happened, and its result says SUCCESS."""
    return any(outcome.lost("SUCCESS") for outcome in seen.values())


def left(seen: Outcomes, where: str = "") -> bool:
    """A charge that could have happened did not, and its message is still there (at this place)."""
    return any(seen.of(trial).stuck(where) for trial in (SLOW, BEHIND, AHEAD, WORKER))


DIAGNOSES = (
    # Nothing has struck yet.
    Diagnosis(
        "charges-other-orders",
        lambda seen: bool(seen.of(CALM).verdict.unexpected),
        "Nothing struck, and the partner was asked to charge orders that nobody had sent.",
        f"the contract in {BRIEF}: what is sent to the partner must be the order as it came",
    ),
    Diagnosis(
        "does-not-end",
        lambda seen: bool(seen.of(CALM).stuck()),
        "Nothing struck, and after ten seconds there were charges that had neither happened nor "
        "failed. Nobody fetches them, or their tasks hang, or they wait for a later time.",
        "let the task print how far it comes; `lab logs` shows what the check's workers said last",
    ),
    Diagnosis(
        "charges-twice",
        lambda seen: twice(seen, CALM),
        "Nothing struck, no time passed, and customers paid twice.",
        "count the requests that one call of the task makes when all goes well",
    ),
    Diagnosis(
        "fails-by-itself",
        lambda seen: bool(seen.of(CALM).lost()),
        "Nothing struck, and charges are missing all the same. It is not about duplicates yet: the "
        "task does not do its work, or never gets to it.",
        "the results named above; `lab logs` shows what the check's workers said last",
    ),
    # A duplicate avoided at the price of a loss.
    Diagnosis(
        "taken-for-done",
        silent,
        "A task met an order for the second time, took it for done and reported SUCCESS, but its "
        "charge had never happened. A mark that is set before the work says 'somebody has begun'. "
        "After a crash nobody has it any more, and the mark is still there.",
        f"{LESSON}, 'What a timeout cannot do'; marks that hold are the matter of stage 04",
    ),
    Diagnosis(
        "acknowledged-early",
        lambda seen: bool(seen.of(WORKER).lost()),
        "The worker died, and what it was charging was lost. A message that is acknowledged before "
        "its work is not handed out a second time while the work runs; nor is it after a crash. "
        "Stage 02 had solved that.",
        f"{LESSON}, 'Early acknowledgement is no way out'",
    ),
    Diagnosis(
        "waits-for-the-dead",
        lambda seen: left(seen, "waiting"),
        "Charges that could have happened wait for a later attempt. What they wait for is a mark "
        "or a lock that somebody else holds; and where that one has died, nobody gives it back.",
        "what does a process that dies in the middle leave locked, marked or half done?",
    ),
    # The timeout.
    Diagnosis(
        "shorter-than-the-charge",
        lambda seen: twice(seen, SLOW),
        "Two healthy charges took two hours each. Before they were through, the broker handed "
        "their messages out again, and a second copy ran beside the first. The time that a "
        "message may stay unacknowledged is shorter than the work.",
        f"{LESSON}, 'Longer than the timeout'. If you have changed it already: "
        "`celery -A shop report` shows the options that the app has taken",
    ),
    Diagnosis(
        "fetched-too-early",
        lambda seen: twice(seen, BEHIND),
        "One slow charge is waited for, two in a row are not. The orders behind were fetched "
        "together with the first ones, and their time ran while they waited inside the worker: "
        "the clock starts at the fetch, not at the start of the task.",
        f"{LESSON}, 'Fetched, and not begun'",
    ),
    Diagnosis(
        "forgets-the-countdown",
        lambda seen: twice(seen, AHEAD),
        "Orders that are sent ahead of their time are charged twice. A worker fetches them at once "
        "and keeps them until their time has come; the clock runs all the while, and then comes "
        "the charge on top.",
        f"{LESSON}, 'Sent ahead of its time'",
    ),
    Diagnosis(
        "comes-back-too-late",
        lambda seen: bool(seen.of(WORKER).stuck("unacked")),
        "The worker died, and four hours later its orders were still noted as being in work. The "
        "same timeout that protects slow work keeps the work of the dead: nobody but the timeout "
        "says that a worker has died.",
        f"{LESSON}, 'The price of a long timeout'",
    ),
)

DUPLICATES = Stage(
    "03",
    "duplicates",
    trials=TRIALS,
    diagnoses=DIAGNOSES,
)
