"""Stage 04, idempotency: how can twice look like once?

The learner's shop charges at the partner and keeps its own books, and each order must be charged
once and booked once: under every kind of duplicate, after every crash, and when an answer is lost.
Every order's result must say SUCCESS, that of a copy too; but that of an order which cannot be
booked must say FAILURE.
"""

from __future__ import annotations

from labapp.course.stage import FAILURE, SUCCESS, Diagnosis, Outcomes, Stage, Trial
from labapp.faults import (
    Fault,
    charge_of,
    drop_reply,
    duplicate,
    kill_child,
    kill_worker,
    pause,
    slow_partner,
)
from labapp.world.kinds import Kind, named

CALM = "no fault"
AGAIN = "published again"
TWICE = "ordered twice"
REDELIVERED = "redelivered"
WORKER = "worker killed"
CHILD = "child killed"
DROPPED = "reply dropped"
PAUSED = "worker paused"
BROKEN = "order without customer"

CUSTOMERS = 5
"""Each orders twice, for the same amount: two orders, and no duplicate."""
ORDERS = tuple(f"order-{number}" for number in range(1, 2 * CUSTOMERS + 1))
PAIRS = tuple(zip(ORDERS[:CUSTOMERS], ORDERS[CUSTOMERS:], strict=True))
"""The two orders of each customer."""
UNBOOKABLE = "order-5"
"""It has no customer where one is missing."""
SLOW_MINUTES = 12 * 60
"""How long a charge takes whose message is handed out again: longer than any visibility timeout
that stage 03 allows, shorter than results are kept."""
DEADLINE = 15.0
"""Seconds: a retry of a second or three is no end."""


def work(without_customer: str = "") -> tuple[tuple[str, str | None, int], ...]:
    """The orders, each with its customer and its amount; one of them without a customer."""
    found = []
    for place, order in enumerate(ORDERS):
        number = place % CUSTOMERS + 1
        customer = None if order == without_customer else f"customer-{number}"
        found.append((order, customer, 10 * number))
    return tuple(found)


def trial(name: str, fault: Fault | None, refused: str = "") -> Trial:
    """All of these orders under a fault: each charged once and booked once, whatever happens."""
    return Trial(
        name,
        fault,
        exactly_once=True,
        work=work(refused),
        deadline=DEADLINE,
        expect=(Kind.CHARGE, Kind.BOOKING),
        refused=(refused,) if refused else (),
        succeed=True,
    )


THIRD, FOURTH = charge_of("order-3"), charge_of("order-4")
SECOND_COPY = duplicate("published", before=THIRD, together=True)

TRIALS = (
    trial(CALM, None),
    trial(AGAIN, SECOND_COPY),
    trial(TWICE, duplicate("sent", after=THIRD)),
    trial(REDELIVERED, slow_partner(minutes=SLOW_MINUTES, before=[THIRD, FOURTH])),
    trial(WORKER, kill_worker(after=THIRD, before=FOURTH)),
    trial(CHILD, kill_child(after=THIRD)),
    trial(DROPPED, drop_reply(after=THIRD)),
    trial(PAUSED, pause(after=THIRD, before=FOURTH)),
    trial(BROKEN, SECOND_COPY, refused=UNBOOKABLE),
)
STRUCK = (AGAIN, TWICE, REDELIVERED, WORKER, CHILD, DROPPED, PAUSED)
"""Where every order can be charged and booked."""

LESSON = "notebooks/04_idempotency.ipynb"
BRIEF = "exercises/04_idempotency/README.md"


def charged_twice(seen: Outcomes, *trials: str) -> bool:
    """Whether a customer paid twice in each of these trials."""
    return all(set(ORDERS) & set(seen.of(trial).verdict.duplicated) for trial in trials)


def never_charged_twice(seen: Outcomes, *trials: str) -> bool:
    """Whether no customer paid twice in any of these trials, and all of them ran."""
    return all(t in seen and not charged_twice(seen, t) for t in trials)


def booked_twice(seen: Outcomes) -> bool:
    """Whether the books have a row twice, in any trial."""
    rows = {named(Kind.BOOKING, order) for order in ORDERS}
    return any(rows & set(outcome.verdict.duplicated) for outcome in seen.values())


def second_orders_missing(seen: Outcomes) -> bool:
    """Nothing struck, and of the two orders of each customer exactly one was done."""
    missing = {key.rpartition(" ")[2] for key in seen.of(CALM).lost()}
    return bool(missing) and all(len(missing & set(pair)) == 1 for pair in PAIRS)


def silent(seen: Outcomes) -> bool:
    """Something never happened, and its result says SUCCESS."""
    return any(seen.of(trial).lost(SUCCESS) for trial in STRUCK)


def lost_with_the_worker(seen: Outcomes) -> bool:
    """The worker died, and the broker had nothing to give back of what was lost."""
    outcome = seen.of(WORKER)
    return bool(outcome.lost() - outcome.given_back)


def left_behind(seen: Outcomes) -> bool:
    """The broker gave everything back, and an order could not be finished all the same."""
    return bool(seen.of(WORKER).lost(FAILURE) or seen.of(WORKER).stuck())


def lock_ended(seen: Outcomes) -> bool:
    """A copy is kept out for a while, and no longer; and a crash, or a lost answer, is not mended
    by what keeps it out."""
    outlasted = charged_twice(seen, REDELIVERED) and never_charged_twice(seen, AGAIN)
    return outlasted and bool(
        charged_twice(seen, DROPPED) or seen.of(CHILD).lost() or seen.of(CHILD).stuck()
    )


def unsaid(seen: Outcomes) -> bool:
    """Everything happened once, and a result does not say SUCCESS."""
    return any(
        outcome.verdict.exactly_once and any(said != SUCCESS for said in outcome.states.values())
        for outcome in (seen.of(trial) for trial in (CALM, *STRUCK))
    )


DIAGNOSES = (
    # Nothing has struck yet.
    Diagnosis(
        "charges-other-orders",
        lambda seen: bool(seen.of(CALM).verdict.unexpected),
        "Nothing struck, and orders were charged or booked that nobody had sent.",
        f"the contract in {BRIEF}: what is sent to the partner, and written into the books, must "
        "be the order as it came",
    ),
    Diagnosis(
        "does-not-end",
        lambda seen: bool(seen.of(CALM).stuck()),
        "Nothing struck, and after fifteen seconds there were orders that were neither done nor "
        "failed. Nobody fetches them, or their tasks hang, or they wait for a later time.",
        "let the task print how far it comes; `lab logs` shows what the check's workers said last",
    ),
    Diagnosis(
        "happens-twice-by-itself",
        lambda seen: bool(seen.of(CALM).verdict.duplicated),
        "Nothing struck, and an order was charged or booked twice.",
        "count the requests and the rows that one call of the task makes when all goes well",
    ),
    Diagnosis(
        "drops-a-second-order",
        second_orders_missing,
        "Nothing struck, and of the two orders of each customer only one was done. They are for "
        "the same amount, and still two orders: whoever sent both wants both. What tells an order "
        "from its copy must be the same in every copy, and in no other order.",
        f"{LESSON}, 'A key for what?'; and which column of your table is unique?",
    ),
    Diagnosis(
        "fails-by-itself",
        lambda seen: bool(seen.of(CALM).lost()),
        "Nothing struck, and charges or rows are missing all the same. It is not about duplicates "
        "yet: the task does not do its work, or never gets to it.",
        "the results named above; `lab logs` shows what the check's workers said last",
    ),
    # Rows.
    Diagnosis(
        "books-twice",
        booked_twice,
        "The books have an order twice. A task that looks first and writes then is no help: the "
        "copy looks at the same moment. Only the table itself can refuse a second row, in the "
        "same step in which it would be written.",
        f"{LESSON}, 'The table refuses'",
    ),
    # A duplicate avoided at the price of a loss.
    Diagnosis(
        "taken-for-done",
        silent,
        "A task met an order for the second time, took it for done and reported SUCCESS; but a "
        "charge or a row of it had never happened. A mark that is set before the work says "
        "'somebody has begun'. Whoever that was has died, or got no answer, and the mark stays.",
        f"{LESSON}, 'A key, set before the work'",
    ),
    Diagnosis(
        "acknowledged-early",
        lost_with_the_worker,
        "The worker died, and what it was at was lost: its messages had been acknowledged before "
        "the work. Stage 02 had solved that. A task that may run twice can be had without losing "
        "any.",
        "settings in your shop.py, beside those of the starter",
    ),
    Diagnosis(
        "waits-for-the-dead",
        left_behind,
        "The broker gave the orders of the dead worker back, and they could not be finished: what "
        "the dead one had locked is locked for ever. `finally` does not run in a process that is "
        "killed.",
        f"{LESSON}, 'Its holder dies'",
    ),
    # Charges.
    Diagnosis(
        "asks-the-partner-again",
        lambda seen: charged_twice(seen, AGAIN, TWICE),
        "Each order is in the books once, and the card was charged twice. When the row is refused, "
        "the charge has happened already. What must happen once at the partner, the partner has "
        "to refuse: it has to be told by which name it knows the order.",
        f"{LESSON}, 'The partner refuses'",
    ),
    Diagnosis(
        "checks-then-acts",
        lambda seen: charged_twice(seen, AGAIN) and never_charged_twice(seen, TWICE),
        "An order that comes again later is recognised; one whose copy runs at the same time is "
        "charged twice. Both looked, both saw nothing, both went on: between looking and acting "
        "there is room for another one.",
        f"{LESSON}, 'Look, then act'; then who can look and act in one step?",
    ),
    Diagnosis(
        "lock-runs-out",
        lock_ended,
        "A copy at the same moment is kept out. Then time passes, the lock's time with it, and two "
        "are inside: its holder does not know. A lock keeps others out while it lasts; it does not "
        "say that the work is done, nor that it is not.",
        f"{LESSON}, 'Its time runs out' and 'The partner refuses'",
    ),
    Diagnosis(
        "differs-between-workers",
        lambda seen: (
            charged_twice(seen, REDELIVERED)
            and never_charged_twice(seen, AGAIN, TWICE, CHILD, DROPPED)
        ),
        "Copies on one worker are recognised, a copy on another worker is not. What you make the "
        "name of the order from differs from one worker to the next.",
        "notebooks/04a_outbox_and_files.ipynb, 'A key for whom?'",
    ),
    Diagnosis(
        "key-of-the-attempt",
        lambda seen: charged_twice(seen, DROPPED),
        "The charge had happened, its answer was lost, the task was tried again, and the customer "
        "paid twice. To the partner the second attempt looked like another order: it came under "
        "another name, or under none.",
        "what in your key changes when a task is tried again?",
    ),
    Diagnosis(
        "key-of-the-task",
        lambda seen: charged_twice(seen, TWICE),
        "Every copy of a message is recognised. But the order itself was sent twice, as two tasks "
        "with two ids, and charged twice: the name by which the partner knows it is the task's, "
        "not the order's.",
        "which of its arguments says what the task is about?",
    ),
    # What the results say.
    Diagnosis(
        "does-not-ask-again",
        lambda seen: bool(seen.of(DROPPED).lost(FAILURE)),
        "The partner's answer was lost. The charge had happened; the result says FAILURE, and the "
        "books know nothing of it. No answer is not a no: now that it is safe to ask again, "
        "somebody has to.",
        "autoretry_for in Celery's documentation, and which errors say that no answer came",
    ),
    Diagnosis(
        "every-error-is-a-duplicate",
        lambda seen: bool(
            seen.of(BROKEN).lost(SUCCESS) or SUCCESS in seen.of(BROKEN).states.get(UNBOOKABLE, "")
        ),
        "An order without a customer cannot be booked: the table has refused it, and the result "
        "says SUCCESS. An IntegrityError says that a constraint was broken, and not which one.",
        f"{LESSON}, 'Which refusal was it?'",
    ),
    Diagnosis(
        "leaves-no-result",
        unsaid,
        "Everything happened once, and a result does not say so. Whoever sent the order waits for "
        "a result: a page, or a chord, which waits for all of them and would wait for ever. Work "
        "that is done already is a success.",
        "notebooks/04a_outbox_and_files.ipynb, 'The result of a duplicate'",
    ),
)

IDEMPOTENCY = Stage(
    "04",
    "idempotency",
    trials=TRIALS,
    diagnoses=DIAGNOSES,
    contract=frozenset({"charge", "migrate"}),
)
