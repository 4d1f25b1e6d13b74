"""A timeline in words: the same on every run, so that nbval can compare it to the letter.

One line for tasks with the same story, in order of sending, and one for those that went well. No
times and no ids; nothing that is a race: which of two children ran a task, or whether an early
acknowledgement reached the broker before the request reached the world.  Depends on
`labapp.views.timeline_tasks` and `labapp.views.keys`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labapp.views.keys import fold, one_line
from labapp.views.timeline_tasks import (
    ASKED_TO_STOP,
    RECONNECTED,
    RUNNING,
    WOKEN,
    Delivery,
    Strike,
    Tale,
    Task,
    Try,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDEST_NAME = 30
"""Characters to which the column of keys is aligned; longer ones stand out."""
FEWEST_REPEATS = 3
BEFORE = " before the "
BACK = {WOKEN: " wakes", RECONNECTED: " reconnected"}
LONGEST_CYCLE = 4
LEFT = {
    "queue": "still in the queue",
    "unacked": "still unacked",
    "waiting": "still waiting for its time",
}
NEARLY = 1.0
"""Seconds by which a time may differ from whole minutes, and still be told in minutes."""
Moment = tuple[float, str]


def timeline_text(tale: Tale) -> str:
    """The whole timeline, a line for each story."""
    head = [f"not judged: {one_line(tale.unknown)}"] if tale.unknown else []
    well = [task.key for task in tale.tasks if task.went_well]
    foot = [f"{len(well)} went well: {fold(well)}"] if well else []
    return "\n".join([*head, *_lines(tale), *foot])


def stories(tale: Tale) -> dict[tuple[str, str], list[Task]]:
    """The tasks that did not simply go well, by fate and story, in order of sending."""
    found: dict[tuple[str, str], list[Task]] = {}
    for task in tale.tasks:
        if not task.went_well:
            told = (outcome(task, tale), story(task, tale.refusal))
            found.setdefault(told, []).append(task)
    return found


def outcome(task: Task, tale: Tale) -> str:
    """What became of a task, in a word."""
    return "" if tale.unknown else task.fate or "happened"


def story(task: Task, refusal: str) -> str:
    """What happened to a task, in order.

    Args:
        task: of the tale.
        refusal: what to say of a request that got no answer.
    """
    moments = [*_meanwhile(task)]
    for delivery in task.deliveries:
        moments += _delivered(delivery, task, refusal)
    told = [text for _, text in sorted(moments, key=lambda moment: moment[0])]
    if task.remaining in LEFT:
        told.append(LEFT[task.remaining])
    return " | ".join(_with_repeats(told)) or "never fetched"


def passing(seconds: float) -> str:
    """So much time, in words: "an hour passes".

    A second more or less is not told: a message is overdue when its time is over, and not yet
    when it is up."""
    words = {60: "a minute passes", 3600: "an hour passes", 86400: "a day passes"}
    whole = round(seconds / 60) * 60
    if not whole or abs(seconds - whole) > NEARLY:
        return f"{seconds:.0f} s pass"
    much = f"{whole // 60} minutes pass" if whole % 3600 else f"{whole // 3600} hours pass"
    return words.get(whole, much)


def _lines(tale: Tale) -> Iterator[str]:
    told = [(fold(t.key for t in tasks), *words) for words, tasks in stories(tale).items()]
    keys = min(max((len(name) for name, _, _ in told), default=0), WIDEST_NAME)
    fates = max((len(fate) for _, fate, _ in told), default=0)
    for name, fate, text in told:
        yield "  ".join([f"{name:<{keys}}", *([f"{fate:<{fates}}"] if fates else []), text])


def _meanwhile(task: Task) -> Iterator[Moment]:
    """What happened to the message while no worker was at it."""
    for travel in task.travels:
        yield travel.at, passing(travel.seconds)
    for strike in task.strikes:
        yield strike.at, f"{strike.worker}: {strike.step}" if strike.worker else strike.step
    for at in task.queued_again():
        yield at, "queued again"


def _delivered(delivery: Delivery, task: Task, refusal: str) -> Iterator[Moment]:
    """One delivery: what its worker did, and again after a pause."""
    back = {s.at: BACK[s.step] for s in delivery.strikes if s.step in BACK}
    items = words(delivery, refusal)
    if task.remaining == RUNNING and delivery is task.deliveries[-1]:
        items.append((max([at for at, _ in items], default=delivery.fetched), "still running"))
    elif not items and delivery.tries:
        items.append((delivery.tries[0].begun, "request under way"))
    name = _either(delivery.takers) or delivery.worker or "a worker"
    for began, until in zip([delivery.fetched, *back], [*back, None], strict=True):
        said = [word for at, word in items if _between(at, began, until, delivery)]
        if said:
            yield began, f"{name}{back.get(began, '')}: {', '.join(said)}"
    if not items and not task.remaining:
        yield delivery.fetched, f"{name}: fetched"
    if delivery.returned is not None:
        yield delivery.returned, delivery.how


def _either(names: Sequence[str]) -> str:
    """ "w1, w2 or w3": the text does not say which of several it was by chance."""
    known = [name for name in names if name]
    return " or ".join([", ".join(known[:-1]), known[-1]]) if len(known) > 1 else "".join(known)


def _between(at: float, began: float, until: float | None, delivery: Delivery) -> bool:
    early = at < began and began == delivery.fetched  # clocks may differ by a hair
    return early or (began <= at and (until is None or at < until))


def words(delivery: Delivery, refusal: str) -> list[Moment]:
    """What one delivery came to, each word with its time, in an order that is no race."""
    told = [*tried(delivery, refusal), *struck(delivery)]
    if delivery.acknowledged is not None and not delivery.early:
        # Late means after the end of the task: whose effect was whose is a guess where copies of
        # one task run at once, in two workers, and may be told too late.
        ended = max((at for at, _ in told), default=0.0)
        told.append((max(delivery.acknowledged, ended), "acknowledged"))
    told.sort(key=lambda moment: moment[0])
    if delivery.acknowledged is not None and delivery.early:
        # It races with the request, so it is told first, where the setting puts it.
        told.insert(0, (delivery.fetched, "acknowledged"))
    if told and (idle := _idle(delivery)):
        told.insert(0, (delivery.fetched, idle))
    return told


def _idle(delivery: Delivery) -> str:
    """What to say where nothing reached the world, or not before the worker was struck."""
    if not delivery.tries and delivery.acknowledged is not None:
        return "no request"
    first = min((strike.at for strike in delivery.strikes), default=0.0)
    return "" if any(one.begun <= first or not first for one in delivery.tries) else "fetched"


def tried(delivery: Delivery, refusal: str) -> Iterator[Moment]:
    """What became of each request of a delivery."""
    for one in delivery.tries:
        if one.effect is not None:
            yield one.effect, one.what or "effect"
        elif one.answered is not None:
            yield one.answered, f"answered without a new {one.what or 'effect'}"
        if one.answered is None and not _cut_short(delivery, one.begun) and _over(delivery):
            after = "" if one.effect is not None else f"{BEFORE}{one.what or 'effect'}"
            yield max(one.begun, one.effect or 0.0), f"{refusal}{after}"


def _cut_short(delivery: Delivery, begun: float) -> bool:
    """Whether something was done to the worker after this try began."""
    return any(strike.at >= begun for strike in delivery.strikes)


def _over(delivery: Delivery) -> bool:
    return delivery.acknowledged is not None or delivery.returned is not None


def struck(delivery: Delivery) -> Iterator[Moment]:
    """What was done to the worker of a delivery, and how far the task had come by then."""
    strikes = [s for s in delivery.strikes if s.step not in BACK and not _survived(delivery, s)]
    for number, strike in enumerate(strikes, start=1):
        begun = [one for one in delivery.tries if one.begun <= strike.at and not _seen(one, strike)]
        before = f"{BEFORE}{begun[-1].what or 'effect'}" if begun else ""
        yield strike.at, strike.step + (before if number == len(strikes) else "")


def _seen(one: Try, strike: Strike) -> bool:
    return one.effect is not None and one.effect <= strike.at


def _survived(delivery: Delivery, strike: Strike) -> bool:
    """Whether the worker was asked to stop, and ended this task first."""
    asked = strike.step in ASKED_TO_STOP
    return asked and all(one.answered is not None for one in delivery.tries or [Try(0.0)])


def _with_repeats(told: Sequence[str]) -> Iterator[str]:
    """The same few things over and over, told once: "10 times (a | b)"."""
    place = 0
    while place < len(told):
        size, times = _cycle(told, place)
        block = " | ".join(told[place : place + size])
        yield f"{times} times ({block})" if times > 1 else block
        place += size * times


def _cycle(told: Sequence[str], place: int) -> tuple[int, int]:
    """Length and number of the repeats that begin here; (1, 1) where nothing is repeated."""
    found = ((size, _repeats(told, place, size)) for size in range(1, LONGEST_CYCLE + 1))
    return next(((s, n) for s, n in found if n >= FEWEST_REPEATS), (1, 1))


def _repeats(told: Sequence[str], place: int, size: int) -> int:
    block, times = told[place : place + size], 1
    while told[place + times * size : place + (times + 1) * size] == block:
        times += 1
    return times
