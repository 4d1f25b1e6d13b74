"""The verdict over a history: did every expected effect happen at least once? exactly once?

Pure; uses `labapp.checker.history` only. The judgement rests on what was sent, what the world
recorded and what was left in the broker, never on a task's own word: a task that says SUCCESS
without an effect is lost. Events are ordered by their `at`, not by their place in the stream.

`judge` walks the history once and keeps one `_Fate` per business key.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, assert_never

from labapp.checker.history import (
    Answered,
    Attempt,
    BrokerState,
    DeadLettered,
    Declared,
    Doubt,
    Effect,
    Event,
    FaultFired,
    Mark,
    Note,
    Remaining,
    Restored,
    Result,
    Sent,
    TaskEvent,
    TimeTravel,
    WorkerStarted,
    WorkerStruck,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOTHING_SENT = "nothing was sent"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of everything that was sent.

    Tuples of keys are in order of sending. Of lost, duplicated, recovered, failed, stuck and
    dead_lettered a key is in at most one; a key that is stuck is not judged further.

    sent: effects expected. happened: those of them that happened. effects: all that the world
    recorded, also those that nobody expected. unexpected: keys with an effect, never sent.
    reasons: for lost and failed keys the result states ("PENDING", "FAILURE: WorkerLostError"),
    for stuck ones where they are. unknown: why nothing can be judged; "" when it can.
    """

    sent: int
    happened: int
    effects: int
    lost: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    dead_lettered: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict, hash=False)
    unknown: str = ""

    @property
    def at_least_once(self) -> bool | None:
        """Every expected effect happened, or failed as declared; None when unknown."""
        return None if self.unknown else not (self.lost or self.stuck or self.dead_lettered)

    @property
    def exactly_once(self) -> bool | None:
        """At least once, and nothing happened that was not expected; None when unknown."""
        return self.at_least_once and not (self.duplicated or self.unexpected)


def judge(events: Iterable[Event]) -> Verdict:
    """The verdict over `events`, in one pass.

    Any `Doubt` makes it unknown, and so does a history in which nothing was sent: a run that did
    nothing proves nothing.
    """
    ledger = _Ledger()
    for event in events:
        ledger.enter(event)
    return ledger.verdict()


class _End(Enum):
    """What became of one key."""

    AS_EXPECTED = auto()
    NOT_SENT = auto()
    RECOVERED = auto()
    LOST = auto()
    DUPLICATED = auto()
    FAILED = auto()
    STUCK = auto()
    DEAD_LETTERED = auto()


@dataclass(slots=True)
class _Fate:
    """Everything the history says about one key."""

    sent: int = 0
    effects: int = 0
    sent_at: float = math.inf
    last_effect_at: float = -math.inf
    touched_at: float = math.inf
    declared: bool = False
    dead_lettered: bool = False
    outcomes: set[tuple[str, str]] = field(default_factory=set)  # (state, error)
    remaining: frozenset[str] = frozenset()  # at most the four places; mostly empty

    def end(self) -> _End:
        """The one end of this key; the order of the questions is the order of precedence."""
        if self.remaining:
            return _End.STUCK
        if not self.effects and self.dead_lettered:
            return _End.DEAD_LETTERED
        if not self.effects and self.failed_as_declared():
            return _End.FAILED
        if self.effects < self.sent:
            return _End.LOST
        if self.effects > self.sent:
            return _End.DUPLICATED if self.sent else _End.NOT_SENT
        return _End.RECOVERED if self.touched_at < self.last_effect_at else _End.AS_EXPECTED

    def unexpected(self) -> bool:
        """Whether an effect happened that nobody asked for; told of stuck keys too."""
        return not self.sent and self.effects > 0

    def failed_as_declared(self) -> bool:
        """Whether this key's effect was impossible and all of its results say so."""
        return self.declared and {state for state, _ in self.outcomes} == {"FAILURE"}

    def reason(self) -> str:
        """Where the message still is, or else what the results say; sorted, to be repeatable."""
        outcomes = (f"{state}: {error}" if error else state for state, error in self.outcomes)
        return ", ".join(sorted(self.remaining or outcomes))


_REASONED = (_End.LOST, _End.FAILED, _End.STUCK)


class _Ledger:
    """The fates of all keys, filled event by event."""

    def __init__(self) -> None:
        self._fates: defaultdict[str, _Fate] = defaultdict(_Fate)
        self._doubts: list[Doubt] = []

    def enter(self, event: Event) -> None:
        """Write one event into the fates that it concerns."""
        match event:
            case Sent(at, key):
                fate = self._fates[key]
                fate.sent += 1
                fate.sent_at = min(fate.sent_at, at)
            case Effect(at, key):
                fate = self._fates[key]
                fate.effects += 1
                fate.last_effect_at = max(fate.last_effect_at, at)
            case FaultFired(at, _, keys) | Restored(at, keys):
                self._touch(at, keys)
            case Result(_, key, state, error, _):
                self._fates[key].outcomes.add((state, error))
            case Declared(_, key):
                self._fates[key].declared = True
            case Remaining(_, key, where):
                self._fates[key].remaining |= {where}
            case DeadLettered(_, key):
                self._fates[key].dead_lettered = True
            case Doubt():
                self._doubts.append(event)
            case Attempt() | BrokerState() | Mark() | TaskEvent() | Note():
                pass  # for the reader, not for the verdict
            case Answered() | WorkerStarted() | WorkerStruck() | TimeTravel():
                pass  # for drawings
            case _:
                assert_never(event)

    def _touch(self, at: float, keys: Iterable[str]) -> None:
        for key in keys:
            fate = self._fates[key]
            fate.touched_at = min(fate.touched_at, at)

    def verdict(self) -> Verdict:
        """Sum up; to be called once everything is entered."""
        fates = self._in_order_of_sending()
        ends: defaultdict[_End, list[str]] = defaultdict(list)
        for key, fate in fates.items():
            ends[fate.end()].append(key)
        return Verdict(
            sent=sum(fate.sent for fate in fates.values()),
            happened=sum(min(fate.sent, fate.effects) for fate in fates.values()),
            effects=sum(fate.effects for fate in fates.values()),
            lost=tuple(ends[_End.LOST]),
            duplicated=tuple(ends[_End.DUPLICATED]),
            recovered=tuple(ends[_End.RECOVERED]),
            failed=tuple(ends[_End.FAILED]),
            stuck=tuple(ends[_End.STUCK]),
            dead_lettered=tuple(ends[_End.DEAD_LETTERED]),
            unexpected=tuple(key for key, fate in fates.items() if fate.unexpected()),
            reasons={key: fates[key].reason() for end in _REASONED for key in ends[end]},
            unknown=self._unknown(),
        )

    def _in_order_of_sending(self) -> dict[str, _Fate]:
        """Keys never sent come last, by name. Linear when the sends are in order already."""
        return dict(sorted(self._fates.items(), key=_place))

    def _unknown(self) -> str:
        if self._doubts:
            return min(self._doubts, key=lambda doubt: doubt.at).reason or "no reason was given"
        return "" if any(fate.sent for fate in self._fates.values()) else NOTHING_SENT


def _place(item: tuple[str, _Fate]) -> tuple[float, str]:
    key, fate = item
    return fate.sent_at, "" if fate.sent else key
