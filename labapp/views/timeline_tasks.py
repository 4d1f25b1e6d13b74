"""What happened to each task of a run, put together from its history: the matter of a timeline.

Pure; depends on the checker only. A *delivery* is one handing of a message to a worker, from the
fetch to the acknowledgement or whatever else ended it; a *try* is one request that reached the
world. Events carry keys and times, so who belongs to whom is worked out here: a try belongs to the
latest delivery before it that has none yet and whose worker was running at that moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labapp.checker.history import (
    Answered,
    Attempt,
    Effect,
    Event,
    FaultFired,
    Mark,
    Remaining,
    Restored,
    Sent,
    TimeTravel,
    WorkerStarted,
    WorkerStruck,
)
from labapp.checker.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

PAUSED, WOKEN, ENDED = "paused", "woken", "ended"
CUT_OFF, RECONNECTED = "cut off", "reconnected"
AWAY = {WOKEN: PAUSED, RECONNECTED: CUT_OFF}
"""What brings a worker back, and from what."""
ASKED_TO_STOP = ("TERM", "QUIT")
GIVEN_BACK = "given back"
RUNNING = "running"
FATES = ("stuck", "dead_lettered", "lost", "duplicated", "failed", "recovered", "unexpected")
_OF = " of "  # in "mail of order-3": an effect of another kind than the task's own
BOOKING = "booking"  # a kind that comes by no request: it is read after the run, at no known moment


@dataclass(slots=True)
class Try:
    """One request for a task's effect. `what`: its kind ("mail"), empty for the task's own."""

    begun: float
    what: str = ""
    effect: float | None = None
    answered: float | None = None


@dataclass(frozen=True, slots=True)
class Strike:
    """What was done to the worker while it had the task in hand."""

    at: float
    step: str
    worker: str


@dataclass(slots=True)
class Delivery:
    """One handing of a task's message to a worker.

    returned, how: when it left the worker unacknowledged, and by which step. takers: the workers
    that could have fetched it as well, itself included; which of them did is chance.
    """

    worker: str
    fetched: float
    early: bool = False
    tries: list[Try] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    acknowledged: float | None = None
    returned: float | None = None
    how: str = ""
    takers: tuple[str, ...] = ()

    def open_at(self, at: float) -> bool:
        """Whether the worker still had something to do for it at that moment."""
        if self.fetched > at or _by(self.returned, at):
            return False
        if not _by(self.acknowledged, at):
            return True
        return self.early and any(not _by(one.answered, at) for one in self.tries)

    def put_back_by(self, at: float) -> bool:
        """Whether its worker itself had put it back: what a sweep hands on, it still counts."""
        return self.how in ("rejected", GIVEN_BACK) and _by(self.returned, at)

    def done_by(self, at: float) -> bool:
        """Whether all that it asked of the world was answered by then."""
        return bool(self.tries) and all(_by(one.answered, at) for one in self.tries)

    def unacknowledged_at(self, at: float) -> bool:
        """Whether the broker kept the message for its worker at that moment."""
        return self.fetched <= at and not _by(self.acknowledged, at) and not _by(self.returned, at)


@dataclass(slots=True)
class Task:
    """Everything that happened to one business key.

    fate: the verdict's word for it; empty where everything is as expected, or nothing is judged.
    went_well: one delivery and one try for each time it was sent, and nothing else.
    """

    key: str
    sent: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)
    travels: list[TimeTravel] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    remaining: str = ""
    fate: str = ""
    went_well: bool = False

    def queued_again(self) -> list[float]:
        """When its message was queued beyond the times that it was sent."""
        return sorted(self.queued)[max(self.sent, 1) :]


@dataclass(slots=True)
class Life:
    """One worker's life: pauses are `paused` and `woken` among its strikes.

    room: how many messages it keeps unacknowledged at most; 0 where that is not known.
    """

    name: str
    started: float
    early: bool = False
    room: int = 0
    strikes: list[Strike] = field(default_factory=list)

    def runs_at(self, at: float) -> bool:
        """Whether it was there and not stopped at that moment."""
        past = [strike.step for strike in self.strikes if strike.at <= at]
        awake = past.count(PAUSED) <= past.count(WOKEN)
        return self.started <= at and not _by(self.ended_at(), at) and awake

    def fetches_at(self, at: float) -> bool:
        """Whether it asked the broker for messages at that moment, if it had room."""
        past = [strike.step for strike in self.strikes if strike.at <= at]
        away = any(past.count(went) > past.count(back) for back, went in AWAY.items())
        return self.runs_at(at) and not away and not any(step in ASKED_TO_STOP for step in past)

    def ended_at(self) -> float | None:
        """When it ended or was killed; None where it outlived the run."""
        last = (s.at for s in self.strikes if s.step == ENDED or s.step.startswith("killed"))
        return next(last, None)


@dataclass(frozen=True, slots=True)
class Tale:
    """A whole run, task by task in order of sending.

    end: the last moment of which anything is known, in seconds.
    refusal: what the world did instead of answering, in words ("reply dropped").
    unknown: why nothing can be judged; "" when it can.
    """

    tasks: tuple[Task, ...]
    lives: tuple[Life, ...]
    travels: tuple[TimeTravel, ...]
    end: float
    refusal: str
    unknown: str


def tale(events: Iterable[Event]) -> Tale:
    """The tale of a run, from its history.

    Args:
        events: of one run; in any order, since each carries its time.
    """
    return _Teller(sorted(events, key=lambda event: event.at)).tell()


class _Teller:
    """Puts the events of a run together, kind by kind."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.lives = _lives(events)
        self.tasks: dict[str, Task] = {}
        self._running: dict[tuple[str, float], bool] = {}
        self._travelled: dict[float, set[str]] = {}
        self.travels = tuple(event for event in events if isinstance(event, TimeTravel))

    def tell(self) -> Tale:
        self._name_tasks()
        for step in (self._mark, self._try, self._settle, self._strike, self._leave):
            for event in self.events:
                step(event)
        verdict = judge(self.events)
        for task in self.tasks.values():
            self._finish(task, verdict)
        order = self._in_order()
        lives = tuple(self.lives.values())
        return Tale(order, lives, self.travels, self._end(), self._said(), verdict.unknown)

    # Tasks

    def _name_tasks(self) -> None:
        """Every key that was sent or that a message carried; then those of stray effects."""
        for event in self.events:
            if isinstance(event, Mark):
                self._task(event.key)
        for event in self.events:
            if isinstance(event, Sent | Attempt | Effect | Remaining):
                self._of(event.key)

    def _task(self, key: str) -> Task:
        return self.tasks.setdefault(key, Task(key))

    def _of(self, key: str) -> tuple[Task, str]:
        """The task that an effect belongs to, and its kind where it is not the task's own."""
        kind, of, rest = key.partition(_OF)
        if of and key not in self.tasks and rest in self.tasks:
            return self.tasks[rest], kind
        return self._task(key), ""

    def _in_order(self) -> tuple[Task, ...]:
        """In order of sending; what nobody sent comes last."""
        sent = (self._of(event.key)[0].key for event in self.events if isinstance(event, Sent))
        order = dict.fromkeys([*sent, *self.tasks])
        return tuple(self.tasks[key] for key in order)

    # The broker's steps

    def _mark(self, event: Event) -> None:
        match event:
            case Sent(_, key):
                task, kind = self._of(key)
                task.sent += not kind
            case Mark(at, key, "queued"):
                self._task(key).queued.append(at)
            case Mark(at, key, "fetched", worker):
                self._fetched(self._task(key), at, worker or self._worker_at(at))

    def _settle(self, event: Event) -> None:
        match event:
            case Mark(at, key, "acknowledged", worker):
                self._acknowledged(self._task(key), at, worker)
            case Mark(at, key, "redelivered" | "rejected" as step, worker):
                self._returned(self._task(key), at, step, worker or self._worker_at(at))

    def _fetched(self, task: Task, at: float, worker: str) -> None:
        life = self.lives.get(worker)
        task.deliveries.append(Delivery(worker, at, life.early if life else False))

    def _acknowledged(self, task: Task, at: float, worker: str) -> None:
        """Of several deliveries to one worker, that whose work is done is acknowledged, or, where
        it acknowledges early, the one that it fetched first."""
        waiting = [d for d in task.deliveries if d.acknowledged is None and d.fetched <= at]
        own = [one for one in waiting if one.worker == worker] or waiting
        done = [one for one in own if one.done_by(at)]
        if own:
            found = own[0] if own[0].early else (done or own)[-1]
            found.acknowledged = at

    def _returned(self, task: Task, at: float, step: str, worker: str) -> None:
        held = [one for one in task.deliveries if one.unacknowledged_at(at)]
        if held:
            last = held[-1]
            stops = self._was_asked_to_stop(last.worker, at) and worker == last.worker
            last.returned, last.how = at, GIVEN_BACK if stops else step

    def _was_asked_to_stop(self, worker: str, at: float) -> bool:
        life = self.lives.get(worker)
        strikes = life.strikes if life else []
        return any(strike.step in ASKED_TO_STOP and strike.at <= at for strike in strikes)

    def _worker_at(self, at: float) -> str:
        """Whoever ran at that moment, the latest if there were several."""
        running = [life.name for life in self.lives.values() if life.runs_at(at)]
        return running[-1] if running else ""

    # What the world saw

    def _try(self, event: Event) -> None:
        match event:
            case Attempt(at, key):
                task, what = self._of(key)
                self._delivery_of(task, at, what).tries.append(Try(at, what))
            case Effect(at, key):
                if tries := self._tries(key, lambda one: one.effect is None):
                    self._happened(tries[-1], at, key)
                elif self._of(key)[1] != BOOKING:  # it came without a request, and is to be seen
                    task, what = self._of(key)
                    self._delivery_of(task, at, what).tries.append(Try(at, what, effect=at))
            case Answered(at, key):
                if tries := self._tries(key, lambda one: one.answered is None):
                    tries[-1].answered = at

    def _happened(self, one: Try, at: float, key: str) -> None:
        """Note the effect of a try.  No answer comes before its effect: where two copies run side
        by side, what was taken for this one's answer was that of the other."""
        open_still = self._tries(key, lambda t: t.effect is not None and t.answered is None)
        if one.answered is not None and open_still:
            open_still[-1].answered, one.answered = one.answered, None
        one.effect = at

    def _delivery_of(self, task: Task, at: float, what: str) -> Delivery:
        fetched = [one for one in reversed(task.deliveries) if one.fetched <= at]
        running = [one for one in fetched if self._ran(one.worker, at)]
        unused = (one for one in running if all(tried.what != what for tried in one.tries))
        if found := next(unused, None) or next(iter(running), None):
            return found
        # Nobody saw the fetch: MONITOR ends with a broker that is killed.
        task.deliveries.append(Delivery(self._worker_at(at), at))
        return task.deliveries[-1]

    def _ran(self, worker: str, at: float) -> bool:
        if (worker, at) not in self._running:
            known = self.lives.get(worker)
            self._running[worker, at] = known is None or known.runs_at(at)
        return self._running[worker, at]

    def _tries(self, key: str, wanted: Callable[[Try], bool]) -> list[Try]:
        """The tries for this key that are so, in order of beginning."""
        task, what = self._of(key)
        tries = [one for delivery in task.deliveries for one in delivery.tries]
        return sorted((t for t in tries if t.what == what and wanted(t)), key=lambda t: t.begun)

    # Strikes, and what is left

    def _strike(self, event: Event) -> None:
        if not isinstance(event, WorkerStruck) or event.step == ENDED:
            return
        if not event.worker:
            self._strike_broker(event)
            return
        for task in self._struck(event):
            held: list[Delivery | Task] = [d for d in task.deliveries if _hit(d, event)]
            for one in held or ([task] if event.keys else []):
                one.strikes.append(Strike(event.at, event.step, event.worker))

    def _strike_broker(self, event: WorkerStruck) -> None:
        """It concerns every message that the broker had in a queue or unacknowledged."""
        for task in self.tasks.values():
            held = any(one.unacknowledged_at(event.at) for one in task.deliveries)
            fetched = any(one.fetched <= event.at for one in task.deliveries)
            if held or (task.queued and not fetched):
                task.strikes.append(Strike(event.at, event.step, ""))

    def _struck(self, event: WorkerStruck) -> Iterable[Task]:
        if not event.keys:
            return list(self.tasks.values())
        return [self._of(key)[0] for key in event.keys]

    def _leave(self, event: Event) -> None:
        if isinstance(event, Remaining):
            self._of(event.key)[0].remaining = event.where

    def _finish(self, task: Task, verdict: Verdict) -> None:
        task.deliveries.sort(key=lambda one: one.fetched)
        task.travels = [travel for travel in self.travels if task.key in self._aged(travel)]
        if not verdict.unknown:
            task.fate = self._fate(task.key, verdict)
        task.went_well = _went_well(task)
        if not task.went_well:
            for one in task.deliveries:
                one.takers = self._takers(task, one)

    def _takers(self, task: Task, delivery: Delivery) -> tuple[str, ...]:
        """Who could have fetched it, in order of their start: whoever asked and had room.

        Of a message that comes back with others: had room when time passed for all of them, since
        who took the others is chance as well."""
        asked = [life for life in self.lives.values() if life.fetches_at(delivery.fetched)]
        if len(asked) > 1:
            passed = [travel.at for travel in task.travels if travel.at < delivery.fetched]
            at = max(passed, default=delivery.fetched)
            asked = [life for life in asked if not life.room or self._kept(life, at) < life.room]
        found = {life.name for life in asked} | {delivery.worker}
        return tuple(name for name in (*self.lives, "") if name in found)

    def _kept(self, life: Life, at: float) -> int:
        """How many messages it had fetched before and neither acknowledged nor put back."""
        all_of_them = (one for task in self.tasks.values() for one in task.deliveries)
        own = (d for d in all_of_them if d.worker == life.name and d.fetched < at)
        return sum(not _by(d.acknowledged, at) and not d.put_back_by(at) for d in own)

    def _aged(self, travel: TimeTravel) -> set[str]:
        """The tasks whose messages were unacknowledged when time travelled."""
        if travel.at not in self._travelled:
            restored = (e for e in self.events if isinstance(e, Restored) and e.at >= travel.at)
            keys = next((event.keys for event in restored), ())
            self._travelled[travel.at] = {self._of(key)[0].key for key in keys}
        return self._travelled[travel.at]

    def _fate(self, key: str, verdict: Verdict) -> str:
        keys = {key} | {f"{kind}{_OF}{key}" for kind in (*self._kinds(key), BOOKING)}
        found = (fate for fate in FATES if keys & set(getattr(verdict, fate)))
        return next(found, "").replace("_", "-")

    def _kinds(self, key: str) -> set[str]:
        return {one.what for d in self.tasks[key].deliveries for one in d.tries if one.what}

    def _end(self) -> float:
        kinds = Mark | Attempt | Effect | Answered | Remaining | WorkerStarted | WorkerStruck
        seen = (event for event in self.events if isinstance(event, kinds))
        return max((one.at for one in seen if not self._is_row(one)), default=0.0)

    def _is_row(self, event: Event) -> bool:
        """Whether it is an effect of whose moment nothing is known."""
        return isinstance(event, Effect) and self._of(event.key)[1] == BOOKING

    def _said(self) -> str:
        """What the world did instead of answering: the name of its fault, in words."""
        names = [event.name for event in self.events if isinstance(event, FaultFired)]
        return refusal_words(names[0]) if names and not self._any_struck() else "no answer"

    def _any_struck(self) -> bool:
        return any(life.strikes for life in self.lives.values())


def _lives(events: Sequence[Event]) -> dict[str, Life]:
    lives: dict[str, Life] = {}
    for event in events:
        match event:
            case WorkerStarted(at, worker, early, room):
                lives.setdefault(worker, Life(worker, at, early, room))
            case WorkerStruck(at, worker, step) if worker in lives:
                lives[worker].strikes.append(Strike(at, step, worker))
    return lives


def _hit(delivery: Delivery, event: WorkerStruck) -> bool:
    """Whether this concerned the delivery; a worker comes back with all that it had when it went
    away, even what the broker has given to another one meanwhile."""
    if delivery.worker != event.worker:
        return False
    if event.step in AWAY:
        return any(strike.step == AWAY[event.step] for strike in delivery.strikes)
    return delivery.open_at(event.at)


def _went_well(task: Task) -> bool:
    """One delivery with one answered try for each sending, and nothing out of the ordinary."""
    clean = all(_clean(one) for one in task.deliveries)
    ordinary = task.fate in ("", "recovered") and not task.remaining and not task.strikes
    return clean and ordinary and 0 < len(task.deliveries) == task.sent


def _clean(delivery: Delivery) -> bool:
    tries = delivery.tries
    whats = {one.what for one in tries}
    done = all(one.effect is not None and one.answered is not None for one in tries)
    one_each = bool(tries) and len(whats) == len(tries)
    harmless = all(strike.step in ASKED_TO_STOP for strike in delivery.strikes)
    settled = delivery.acknowledged is not None and delivery.returned is None
    return done and one_each and harmless and settled


def refusal_words(name: str) -> str:
    """The name of a fault of the world's as something that happened."""
    known = {"drop the reply": "reply dropped", "never answer": "never answered"}
    if name.startswith("answer "):
        return name.replace("answer", "answered", 1)
    return known.get(name, name)


def _by(moment: float | None, at: float) -> bool:
    """Whether that moment had come by `at`."""
    return moment is not None and moment <= at
