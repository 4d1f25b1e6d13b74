"""Stage 05, retries: when does a retry make it worse?

The learner's shop must try again what may be different in a moment, a bounded number of times and
not in one burst; must not try again what stays as it is; must not hang; and must put aside what has
failed for good, whatever it died of, once.  Everything stays exactly once, as stage 04 left it.
"""

from __future__ import annotations

from collections import Counter
from statistics import median

from labapp.course.stage import Diagnosis, Outcome, Outcomes, Stage, Trial
from labapp.faults import (
    Fault,
    answer,
    charge_of,
    freeze_child,
    kill_child,
    kill_worker,
    never_answer,
    outage,
)
from labapp.world.kinds import Kind

CALM = "no fault"
TWICE = "refused twice"
BUSY = "too many requests"
DECLINED = "declined"
FOREVER = "refused for ever"
SILENT = "no answer"
FROZEN = "frozen process"
POISON = "poison order"
WORKER = "worker killed"
AWAY = "partner away"
REPLAYED = "dead letter replayed"

STRUCK = "order-2"
"""The order that faults strike where they strike one."""
SECONDS = 30.0
"""In which each order must have come to an end: charged, or put aside."""
RETRY_AFTER = 3
"""Seconds that the partner asks for."""
PATIENCE = 5.0
"""Seconds beyond them after which an order must have been tried again."""
AWAY_SECONDS = 4.0
"""How long the partner is away."""
MANY = 20
"""Orders that meet a partner who is away."""
MOST_TRIES = 12
"""How often an order may be tried."""
EVEN, MOST = 0.05, 0.7
"""All wait equally long where each wait of so large a part of them differs from its median by so
small a part of it at most.  A jitter of half of each wait leaves one in forty of them there; what a
loaded machine adds to a wait is some 0.01 s, and rarely more."""
FEWEST = 10
"""Waits from which that can be told."""
AT_ONCE = 4
"""Trials that run at a time: most of their time they wait."""


def work(count: int) -> list[tuple[str, str, int]]:
    """So many orders; each customer has two, of the same amount."""
    return [(f"order-{n}", f"customer-{(n + 1) // 2}", 10) for n in range(1, count + 1)]


def tried_once(seen: Outcome) -> str:
    """The struck order was tried once, and no more."""
    tries = seen.tried(STRUCK)
    return "" if tries == 1 else f"{STRUCK} was tried {tries} times, and must be tried once."


def bounded(seen: Outcome) -> str:
    """The struck order was tried again, and not too often."""
    if seen.tried(STRUCK) > MOST_TRIES:
        return f"{STRUCK} was tried more than {MOST_TRIES} times."
    return "" if seen.tried(STRUCK) > 1 else f"{STRUCK} was not tried again."


def gap(seen: Outcome) -> float:
    """Seconds between the first two tries of the struck order; 0 where there is one."""
    tries = seen.tries.get(STRUCK, ())
    return tries[1] - tries[0] if len(tries) > 1 else 0.0


def too_early(seen: Outcome) -> bool:
    """The struck order was tried again before the partner wanted it."""
    return seen.tried(STRUCK) > 1 and gap(seen) < RETRY_AFTER


def as_asked(seen: Outcome) -> str:
    """The struck order was tried again when the partner had asked for it, and not much later."""
    if seen.tried(STRUCK) < 2:
        return f"{STRUCK} was not tried again."
    if too_early(seen):
        return f"{STRUCK} was tried again before {RETRY_AFTER} seconds were over."
    late = gap(seen) > RETRY_AFTER + PATIENCE
    return f"{STRUCK} was tried again much later than asked for." if late else ""


def in_lock_step(seen: Outcome) -> bool:
    """Everybody waited equally long before the first retry, and before the second.

    Two, and each by itself: Celery's own jitter is of whole seconds.  Before the first retry there
    are two of them to draw from, and twenty orders draw the same too often; the sum of both waits
    is the same in a third of the orders."""
    waited = [waits[:2] for waits in seen.waits.values() if waits]
    if len(waited) < FEWEST:
        return False
    second = [waits[1] for waits in waited if len(waits) > 1]
    usual = (median(waits[0] for waits in waited), median(second) if second else 0.0)
    alike = sum(all(map(even, waits, usual)) for waits in waited)
    return alike >= MOST * len(waited)


def even(wait: float, usual: float) -> bool:
    """A wait is as long as is usual."""
    return abs(wait - usual) <= EVEN * usual


def spread(seen: Outcome) -> str:
    """Retries did not come in one burst."""
    return (
        "everybody waited equally long before the first two retries." if in_lock_step(seen) else ""
    )


def trial(name: str, fault: Fault | None, count: int = 4, **further: object) -> Trial:
    """A trial of this stage: exactly once, in so many seconds."""
    told = {"exactly_once": True, "succeed": True, "expect": (Kind.CHARGE, Kind.BOOKING)}
    time = {"deadline": SECONDS, "horizon": SECONDS}
    return Trial(name, fault, work=work(count), **{**told, **time, **further})  # type: ignore[arg-type]


ONE = charge_of(STRUCK)
PUT_ASIDE = (STRUCK,)

TRIALS = (
    trial(CALM, None),
    trial(TWICE, answer(503, before=ONE, times=2)),
    trial(BUSY, answer(429, before=ONE, retry_after=RETRY_AFTER), unmet=as_asked),
    trial(DECLINED, answer(402, before=ONE, times=0), dead_letters=PUT_ASIDE, unmet=tried_once),
    trial(FOREVER, answer(503, before=ONE, times=0), dead_letters=PUT_ASIDE, unmet=bounded),
    trial(SILENT, never_answer(before=ONE)),
    trial(FROZEN, freeze_child(before=ONE), dead_letters=PUT_ASIDE),
    trial(POISON, kill_child(before=ONE, every_time=True), dead_letters=PUT_ASIDE),
    trial(WORKER, kill_worker(after=charge_of("order-1"), before=ONE)),
    trial(AWAY, outage(seconds=AWAY_SECONDS), MANY, waits=True, unmet=spread),
    trial(REPLAYED, answer(402, before=ONE, times=0), dead_letters=PUT_ASIDE, then_replay=True),
)

LESSON = "notebooks/05_retries.ipynb"
APPENDIX = "notebooks/05a_limits_and_pools.ipynb"
BRIEF = "exercises/05_retries/README.md"


def calm_letters(seen: Outcomes) -> bool:
    """Something was put aside although nothing struck."""
    return bool(seen.of(CALM).letters)


def twice_aside(seen: Outcomes) -> bool:
    """An order was put aside twice."""
    return any(max(Counter(one.letters).values(), default=0) > 1 for one in seen.values())


def charged_and_aside(seen: Outcomes) -> bool:
    """An order was put aside although it was charged in the end."""
    return any(
        set(outcome.letters) - {*outcome.verdict.dead_lettered, *outcome.verdict.lost}
        for outcome in map(seen.of, (TWICE, BUSY, SILENT, AWAY, WORKER))
    )


def given_up(seen: Outcomes, *trials: str) -> bool:
    """An order that could have been charged was put aside or failed, in one of these trials."""
    return any(
        seen.of(name).verdict.dead_lettered or seen.of(name).lost("FAILURE") for name in trials
    )


def failed_unkept(seen: Outcomes, trial_name: str) -> bool:
    """The struck order failed for good, and was not put aside."""
    outcome = seen.of(trial_name)
    failed = outcome.lost("FAILURE") or outcome.verdict.failed
    return bool(failed) and STRUCK not in outcome.letters


def waiting(seen: Outcomes) -> bool:
    """An order waits for longer than all of it may take."""
    return any(outcome.stuck("waiting") for outcome in seen.values())


def without_end(seen: Outcomes) -> bool:
    """An order is tried again and again."""
    refused = seen.of(FOREVER)
    still = seen.of(POISON).stuck() or refused.stuck()
    return bool(still) or refused.tried(STRUCK) > MOST_TRIES


def any_duplicate(seen: Outcomes) -> bool:
    """Something happened twice."""
    return any(outcome.verdict.duplicated for outcome in seen.values())


def not_replayed(seen: Outcomes) -> bool:
    """What was put aside stayed there, or failed when it was sent again."""
    outcome = seen.of(REPLAYED)
    missing = (*outcome.verdict.dead_lettered, *outcome.verdict.lost, *outcome.verdict.stuck)
    return STRUCK in outcome.letters and bool(missing)


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
        "Nothing struck, and after half a minute there were orders that had neither been charged "
        "nor failed. Their tasks hang, or start again and again, or wait for a later time.",
        "let the task print how far it comes; `lab logs` shows what the check's workers said last",
    ),
    Diagnosis(
        "charges-twice",
        lambda seen: bool(seen.of(CALM).verdict.duplicated),
        "Nothing struck, and customers paid twice, or stand in the books twice.",
        "count the requests and the rows that one call of the task makes when all goes well",
    ),
    Diagnosis(
        "fails-by-itself",
        lambda seen: bool(seen.of(CALM).lost()) or calm_letters(seen),
        "Nothing struck, and charges or bookings are missing, or were put aside. It is not about "
        "retries yet: the task does not do its work, or never gets to it.",
        "the results named above; `lab logs` shows what the check's workers said last",
    ),
    # A result says SUCCESS, and the partner knows better.
    Diagnosis(
        "swallows-errors",
        lambda seen: bool(seen.of(DECLINED).lost("SUCCESS")),
        "The partner declined, and the result says SUCCESS. Somewhere an exception is caught and "
        "not raised again; for Celery a task that returns has done its work.",
        f"{LESSON}, 'Transient or permanent': what does the task do with an error it cannot mend?",
    ),
    Diagnosis(
        "gives-up-in-silence",
        lambda seen: bool(seen.of(FOREVER).lost("SUCCESS")),
        "The partner refused again and again, and when no retry was left the task ended as if all "
        "was well. The charge never happened, nobody put it aside, and the result says SUCCESS.",
        "what does your task do when the last retry is used up?",
    ),
    Diagnosis(
        "swallows-the-limit",
        lambda seen: bool(seen.of(SILENT).lost("SUCCESS")),
        "The partner never answered. The soft time limit ended the wait with an exception, and "
        "something caught that exception like any other and let the task go on to SUCCESS. "
        "SoftTimeLimitExceeded is an Exception.",
        f"{APPENDIX}, 'What swallows a limit'",
    ),
    # What is tried again, how often, when.
    Diagnosis(
        "retries-the-permanent",
        lambda seen: seen.of(DECLINED).tried(STRUCK) > 1,
        "The partner declined with 402, and was asked again. The card does not get better by "
        "waiting: only what may be different in a moment is worth another try.",
        f"{LESSON}, 'Transient or permanent'; which statuses are which?",
    ),
    Diagnosis(
        "waits-too-long",
        waiting,
        "A retry is to come later than the half minute that an order may take. Where it waits "
        "longer than the visibility timeout, it is even handed out again while it waits. Which "
        "delay holds? A setting that does not exist is taken in silence.",
        f"{APPENDIX}, 'A countdown that outlives the timeout'; `celery -A shop report`",
    ),
    Diagnosis(
        "never-tries-again",
        lambda seen: given_up(seen, TWICE) and seen.of(TWICE).tried(STRUCK) == 1,
        "The partner answered 503, 'not now', and the order was given up at once. A moment later "
        "it would have been charged.",
        f"{LESSON}, 'Transient or permanent'",
    ),
    Diagnosis(
        "no-bound",
        without_end,
        "An order is tried again and again, without an end. It holds a process each time, and "
        "those behind it wait.",
        "count the attempts at one order, whatever ends them: a refusal, a timeout, a dead process",
    ),
    Diagnosis(
        "no-timeout",
        lambda seen: bool(seen.of(SILENT).stuck()) or given_up(seen, SILENT),
        "The partner took the request and never answered, and nothing in the task ended the wait "
        "in time for another try. A time limit can kill the task, but then the order is given up.",
        f"{APPENDIX}, 'A partner that never answers'",
    ),
    Diagnosis(
        "no-hard-limit",
        lambda seen: bool(seen.of(FROZEN).stuck()),
        "A process hung where no Python code is asked any more, and half a minute later it still "
        "hung. Neither the client's timeout nor the soft limit can reach it; only somebody outside "
        "of it can.",
        f"{APPENDIX}, 'Soft and hard'",
    ),
    # Where failures go.
    Diagnosis(
        "letter-too-early",
        charged_and_aside,
        "An order was put aside although it was charged in the end. An attempt that fails is not "
        "the end of its order: whoever replays that letter charges for nothing.",
        "when is it certain that an order will not be tried again?",
    ),
    Diagnosis(
        "letter-twice",
        twice_aside,
        "An order was put aside twice. Celery tells of some failures twice (a hard time limit is "
        "one), and a message may be delivered twice; who puts aside has to know what is there.",
        f"{LESSON}, 'Each once': what makes the second letter the first one?",
    ),
    Diagnosis(
        "no-dead-letter",
        lambda seen: failed_unkept(seen, DECLINED),
        "An order failed for good, and nothing is left of it but a result that expires. Celery on "
        "Redis keeps no dead letters, and no setting makes it: it takes any name for one, in "
        "silence.",
        f"{LESSON}, 'Where failures go'",
    ),
    Diagnosis(
        "misses-the-lost-worker",
        lambda seen: failed_unkept(seen, POISON),
        "An order that kills its process was given up, and not put aside. The process that would "
        "have called the hook is dead: the main process marks the failure, and calls another one.",
        f"{LESSON}, 'A hook that dies with its process'",
    ),
    Diagnosis(
        "misses-the-limit",
        lambda seen: failed_unkept(seen, FROZEN),
        "The hard limit ended a task, and its order was not put aside. No code of the task runs "
        "then, and no `except` of it: only the main process knows.",
        f"{APPENDIX}, 'Soft and hard'",
    ),
    Diagnosis(
        "misses-the-last-refusal",
        lambda seen: failed_unkept(seen, FOREVER),
        "The partner refused until no retry was left. The order failed, as it should, and was not "
        "put aside.",
        "what does `retry` raise when no retry is left, and who sees it?",
    ),
    Diagnosis(
        "cannot-be-replayed",
        not_replayed,
        "The order was put aside, but sent again from there it was not charged. A letter has to "
        "hold all that its task needs, as values and not as a text about them.",
        "`lab dead-letters show`; compare args with what the task is called with",
    ),
    # The others at the partner's door.
    Diagnosis(
        "comes-too-early",
        lambda seen: too_early(seen.of(BUSY)),
        "The partner answered 429 and said after how many seconds it wants to be asked again, and "
        "it was asked before that. Partners that count requests lock such clients out.",
        f"{APPENDIX}, 'Retry-After'",
    ),
    Diagnosis(
        "gives-up-too-early",
        lambda seen: given_up(seen, TWICE, BUSY, AWAY),
        "The partner was away for a few seconds only, and orders were given up that could have "
        "been charged. The waits between all attempts together have to outlast it, the shortest "
        "that chance may choose, too.",
        "add up the waits: how long after the first attempt is the last one, at the least?",
    ),
    Diagnosis(
        "lock-step",
        lambda seen: in_lock_step(seen.of(AWAY)),
        "The partner was away, and all orders came back after the same wait: in one burst, again "
        "and again. Whoever has just got up is knocked down by that.",
        f"{LESSON}, 'The storm'",
    ),
    # What stages 02 to 04 had solved.
    Diagnosis(
        "acknowledged-early",
        lambda seen: bool(seen.of(WORKER).lost()) or bool(seen.of(WORKER).stuck()),
        "The worker died, and what it had in hand was lost, or does not come back. That was solved "
        "in stages 02 and 03: acknowledge late, and know how long that is.",
        "the settings that the starter came with",
    ),
    Diagnosis(
        "charges-again",
        any_duplicate,
        "After a fault, an order was charged or booked twice. More tries give more chances to do "
        "so; that each of them is harmless was solved in stage 04.",
        "what is the same in each attempt at one order, and sent to the partner?",
    ),
)

RETRIES = Stage(
    "05",
    "retries",
    trials=TRIALS,
    diagnoses=DIAGNOSES,
    contract=frozenset({"charge", "migrate", "on_failure"}),
    columns=("lost", "duplicated", "stuck", "letters"),
    at_once=AT_ONCE,
)
