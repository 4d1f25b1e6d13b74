"""The marks of a task on a timeline, before they have a place: when, of which shape, which word.

Pure; depends on the tale and its words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labapp.views.timeline_tasks import (
    ASKED_TO_STOP,
    AWAY,
    CUT_OFF,
    PAUSED,
    WOKEN,
    Delivery,
    Strike,
    Task,
)
from labapp.views.timeline_text import BEFORE, struck, tried

EFFECT, ACKNOWLEDGED, KILLED, STOPPED, STRUCK = "effect", "acknowledged", "killed", "stop", "struck"
NO_ANSWER, ANSWERED, STILL = "no answer", "answered", "still there"
BROKER_KILLED = "broker killed"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A mark before it has a place: when, of which kind (its shape), and its word."""

    at: float
    kind: str
    word: str


def moments(delivery: Delivery) -> list[float]:
    """Every moment known of a delivery."""
    known = [delivery.fetched, delivery.acknowledged, delivery.returned]
    for one in delivery.tries:
        known += [one.begun, one.effect, one.answered]
    return [at for at in known if at is not None] + [s.at for s in delivery.strikes]


def over(delivery: Delivery) -> bool:
    """Whether its worker had done with it, in one way or the other."""
    settled = delivery.acknowledged is not None or delivery.returned is not None
    return settled or gone_at(delivery) is not None


def gone_at(delivery: Delivery) -> float | None:
    """When its whole worker was killed."""
    return next((s.at for s in delivery.strikes if s.step.startswith(KILLED)), None)


def struck_after(delivery: Delivery, begun: float) -> list[float]:
    """When the process that made a request was killed."""
    kills = (s.at for s in delivery.strikes if kind_of_strike(s.step) == KILLED)
    return [at for at in kills if at >= begun]


def kind_of_strike(step: str) -> str:
    """The kind of mark for what was done to a worker."""
    if "killed" in step:
        return BROKER_KILLED if step == BROKER_KILLED else KILLED
    if step in ASKED_TO_STOP:
        return STOPPED
    if step in AWAY:
        return WOKEN
    return step if step in (PAUSED, CUT_OFF) else STRUCK


def stamps(delivery: Delivery, refusal: str) -> list[Stamp]:
    """The marks of one delivery, in order of time."""
    found = [_tried_stamp(at, word, refusal) for at, word in tried(delivery, refusal)]
    for at, word in struck(delivery):
        step = word.partition(BEFORE)[0]
        found.append(Stamp(at, kind_of_strike(step), step))
    found += [Stamp(s.at, WOKEN, s.step) for s in delivery.strikes if s.step in AWAY]
    if delivery.acknowledged is not None:
        found.append(Stamp(delivery.acknowledged, ACKNOWLEDGED, ACKNOWLEDGED))
    if delivery.returned is not None:
        found.append(Stamp(delivery.returned, delivery.how, delivery.how))
    return sorted(found, key=lambda stamp: stamp.at)


def _tried_stamp(at: float, word: str, refusal: str) -> Stamp:
    if word.startswith(refusal):
        return Stamp(at, NO_ANSWER, refusal)
    kind = ANSWERED if word.startswith("answered without") else EFFECT
    return Stamp(at, kind, word)


def loose(task: Task) -> list[Stamp]:
    """The marks of a task that belong to no delivery."""
    found = [Stamp(at, "queued again", "queued again") for at in task.queued_again()]
    found += [Stamp(s.at, kind_of_strike(s.step), s.step) for s in task.strikes]
    return sorted(found, key=lambda stamp: stamp.at)


def effects(task: Task) -> list[float]:
    """When a task's effects happened; where it has none, when anything did."""
    found = [t.effect for d in task.deliveries for t in d.tries if t.effect is not None]
    return found or [delivery.fetched for delivery in task.deliveries]


def asleep(strikes: Sequence[Strike]) -> Iterator[tuple[float, float | None]]:
    """From when to when a worker was paused; None where it never woke up."""
    paused: float | None = None
    for strike in strikes:
        if strike.step == PAUSED and paused is None:
            paused = strike.at
        elif strike.step == WOKEN and paused is not None:
            yield paused, strike.at
            paused = None
    if paused is not None:
        yield paused, None


def forgotten(task: Task) -> float | None:
    """When the broker was killed and came back without the message; None where it kept it."""
    kills = [strike.at for strike in task.strikes if not strike.worker]
    kept = task.remaining or any(travel.at > at for travel in task.travels for at in kills)
    return None if kept else min(kills, default=None)
