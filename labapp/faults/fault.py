"""Triggers and actions, and the words that a notebook builds faults from.

    kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))
    kill_child(before=charge_of("order-3"), every_time=True)
    answer(503, before=charge_of("order-5"))

Pure; used by ``labapp.lab`` and ``labapp.course``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labapp.errors import LabError
from labapp.world.kinds import Kind, named
from labapp.world.rules import Do, Point, Rule


class Action(StrEnum):
    """What strikes."""

    KILL_CHILD = "kill child"
    """SIGKILL the pool process that made the request."""
    FREEZE_CHILD = "freeze child"
    """SIGSTOP the pool process that made the request: it does nothing more, and does not end."""
    KILL_WORKER = "kill worker"
    """SIGKILL the whole worker."""
    KILL_FETCHING = "kill worker as it fetches"
    """SIGKILL the whole worker after a message has left the queue and before it is noted."""
    TERM_FETCHING = "TERM as it fetches"
    """SIGTERM at the same moment."""
    QUIT_UNHEARD = "QUIT before main has heard of the start"
    """SIGQUIT when a pool process has begun a task and main has not read that it has."""
    PAUSE = "pause"
    """SIGSTOP the whole worker; it wakes up after another one has taken over."""
    TERM = "TERM"
    """SIGTERM: warm shutdown; what runs may finish."""
    QUIT = "QUIT"
    """SIGQUIT: cold shutdown; what runs is cancelled."""
    TERM_KILL = "TERM, then kill"
    """SIGTERM, and SIGKILL before the running tasks have finished (a grace period too short)."""
    PUBLISH_TWICE = "publish the message again"
    """Its task is published once more with the same task id: another delivery tag."""
    SEND_TWICE = "send the order again"
    """Its task is sent once more when it has ended, under another task id."""
    REDELIVER = "redeliver the message"
    """Its time is up while it is at work: the same message, with the same delivery tag."""
    CRASH_BROKER = "crash the broker"
    """SIGKILL the broker, and start it again with what is left of its data."""
    LOSE_BROKER = "crash the broker alone"
    """The same, but nobody kills the worker: what becomes of it is the finding."""
    CUT_OFF = "cut the worker off the broker"
    """Close the worker's connections to the broker and let it open no new ones, until another
    worker has taken over."""
    STALL = "stall the link to the broker"
    """The same, but the connections stay open, and nothing passes."""
    SLOW_LINK = "slow link"
    """What passes between worker and broker comes later, from the start on."""
    SLOW_PARTNER = "slow partner"
    """The requests stay open while hours pass; then they are answered."""
    TOGETHER = "let them happen together"
    """The requests stay open until all of them are there; then they are answered."""
    DROP_REPLY = "drop the reply"
    """The connection closes without an answer; the worker lives on."""
    ANSWER = "answer"
    """The world answers with an error status, or late."""
    OUTAGE = "outage"
    """The world answers everything with an error status for some time."""
    NEVER_ANSWER = "never answer"
    """The world leaves the request open."""

    @property
    def on_processes(self) -> bool:
        """Whether the conductor has to act; the world alone does the others."""
        by_the_world = (Action.DROP_REPLY, Action.ANSWER, Action.OUTAGE, Action.NEVER_ANSWER)
        return self not in by_the_world

    @property
    def duplicates(self) -> bool:
        """Whether it makes a second copy of one message, and ends nothing."""
        return self in (Action.PUBLISH_TWICE, Action.SEND_TWICE, Action.REDELIVER)

    @property
    def as_it_fetches(self) -> bool:
        """Whether it strikes between two commands to the broker, with nothing at work."""
        return self in (Action.KILL_FETCHING, Action.TERM_FETCHING)

    @property
    def sends_late(self) -> bool:
        """Whether the work is sent at a moment of the fault's, when the worker is ready."""
        return self.as_it_fetches or self is Action.QUIT_UNHEARD

    @property
    def crashes_broker(self) -> bool:
        """Whether it needs a broker that may be killed."""
        return self in (Action.CRASH_BROKER, Action.LOSE_BROKER)

    @property
    def on_link(self) -> bool:
        """Whether it is about the link between worker and broker."""
        return self in (Action.CUT_OFF, Action.STALL, Action.SLOW_LINK)

    @property
    def takes_over(self) -> bool:
        """Whether another worker drains the queue while the first is out of reach."""
        return self in (Action.PAUSE, Action.CUT_OFF, Action.STALL)

    @property
    def ends_worker(self) -> bool:
        """Whether the worker is gone afterwards."""
        return self in (
            Action.KILL_WORKER,
            Action.TERM,
            Action.QUIT,
            Action.TERM_KILL,
            Action.CRASH_BROKER,
        )


@dataclass(frozen=True, slots=True)
class Effect:
    """Which effect: of a business key, or the nth one, or any ``count`` that are open together;
    of a file also the moment at which ``after_bytes`` of it are written, and no more."""

    key: str = ""
    nth: int = 0
    count: int = 1
    kind: Kind = Kind.CHARGE
    after_bytes: int = 0

    @property
    def name(self) -> str:
        """What the history calls the effect of this key."""
        return named(self.kind, self.key)

    def __str__(self) -> str:
        if self.after_bytes:
            return f"{self.after_bytes} bytes of the {self.name}"
        if self.kind is not Kind.CHARGE:
            return f"the {self.name}"
        if self.key:
            return f"the charge of {self.key}"
        if self.nth:
            return f"charge number {self.nth}"
        return f"{self.count} open charge{'s' if self.count > 1 else ''}"


def charge_of(key: str) -> Effect:
    """The charge of this order."""
    return Effect(key=an_order(key, Kind.CHARGE))


def mail_of(key: str) -> Effect:
    """The mail whose header X-Entity-Ref-ID, or else whose subject, is this order."""
    return Effect(key=an_order(key, Kind.MAIL), kind=Kind.MAIL)


def file_of(key: str, *, after_bytes: int = 0) -> Effect:
    """The file whose name, without its last suffix, is this order: ``order-3.pdf``.

    Args:
        key: the order.
        after_bytes: strike when so many bytes of it are on disk, and no more (a torn file);
            such a moment is named with ``after=``.
    """
    whole = isinstance(after_bytes, int) and not isinstance(after_bytes, bool)
    if not whole or after_bytes < 0:
        raise LabError(
            f"a file is not torn after {after_bytes!r} bytes",
            hint='count them from 1: after=file_of("order-3", after_bytes=4096)',
        )
    return Effect(key=an_order(key, Kind.FILE), kind=Kind.FILE, after_bytes=after_bytes)


def an_order(key: str, kind: Kind) -> str:
    """The key.  Raises LabError where it is none."""
    if not isinstance(key, str) or not key:
        raise LabError(f"{key!r} is no order", hint=f'name one as it is sent: {kind}_of("order-3")')
    return key


def nth_charge(number: int) -> Effect:
    """The charge with this number in the run, from 1."""
    if number < 1:
        raise LabError("charges are counted from 1", hint="nth_charge(1) is the first one")
    return Effect(nth=number)


def open_charges(count: int) -> Effect:
    """A rendezvous: any ``count`` charges that are open at the same time."""
    if count < 1:
        raise LabError("a rendezvous needs at least one open charge")
    return Effect(count=count)


@dataclass(frozen=True, slots=True)
class Moment:
    """An effect, and whether the fault strikes before or after it is recorded."""

    effect: Effect
    point: Point

    def __str__(self) -> str:
        return f"{self.point} {self.effect}"

    def rules(self, do: Do, times: int) -> Rule:
        """The world's rule for this moment."""
        effect = self.effect
        return Rule(
            Point.DURING if effect.after_bytes else self.point,
            do,
            key=effect.key,
            nth=effect.nth,
            times=times * effect.count,
            kind=effect.kind,
            after_bytes=effect.after_bytes,
        )


Which = Effect | Sequence[Effect] | None
MAIL_REPLIES = (421, 450, 451, 452, 550, 552, 554)
"""SMTP reply codes that may follow a message."""
LONGEST_OUTAGE = 60
"""Seconds."""
MOST_MINUTES = 7 * 24 * 60
"""How long a charge may take."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A trigger and an action.

    Args:
        action: what strikes.
        moments: the requests that are in flight when it strikes; empty: it strikes now, as soon as
            the worker is ready.
        every_time: it strikes at each attempt, not once (a poison task).
        give_up_after: with ``every_time``: attempts after which the run stops waiting for an end.
        status: HTTP status of ``Action.ANSWER`` and ``Action.OUTAGE``.
        retry_after: seconds in its ``Retry-After`` header.
        delay: seconds before a late answer, or by which a slow link is slow in each direction.
        aof: with ``Action.CRASH_BROKER``: whether the broker keeps an append-only file.
        times: how often an answer is given, or a request left open; 0 for every time.
        passes: with ``Action.SLOW_PARTNER``: seconds that pass while the requests are open.
        signals: with ``Action.QUIT_UNHEARD``: how many SIGQUITs are sent.
        together: of a duplicate: whether the first copy is held until the second has come as far
            as it can, the partner at the most.
        lasts: with ``Action.OUTAGE``: seconds from the first request on.
    """

    action: Action
    moments: tuple[Moment, ...] = ()
    every_time: bool = False
    give_up_after: int = 10
    status: int = 0
    retry_after: int = 0
    delay: float = 0.0
    times: int = 1
    aof: bool = True
    passes: float = 0.0
    signals: int = 1
    together: bool = False
    lasts: float = 0.0

    def __str__(self) -> str:
        if self.action is Action.OUTAGE:
            return f"{self.name} from the first charge on"
        when = " and ".join(map(str, self.moments)) or "now"
        often = "every time " if self.every_time else ""
        return f"{self.name} {often}{when}"

    @property
    def name(self) -> str:
        """The action in words."""
        if self.action.crashes_broker and not self.aof:
            return f"{self.action} without AOF"
        if self.action is Action.OUTAGE:
            return f"{self.action} of {self.lasts:g} s"
        if self.action is not Action.ANSWER:
            return str(self.action)
        return f"answer {self.status}" if self.status else "answer late"

    @property
    def in_flight(self) -> int:
        """How many requests are open when it strikes."""
        return sum(moment.effect.count for moment in self.moments)

    @property
    def keys(self) -> tuple[str, ...]:
        """Business keys it names."""
        return tuple(moment.effect.key for moment in self.moments if moment.effect.key)

    @property
    def names(self) -> tuple[str, ...]:
        """The same, as the history calls their effects."""
        return tuple(moment.effect.name for moment in self.moments if moment.effect.key)

    @property
    def kinds(self) -> set[Kind]:
        """Kinds of effect at which it strikes."""
        return {moment.effect.kind for moment in self.moments}

    def rules(self) -> list[Rule]:
        """What the world is armed with."""
        if self.action is Action.OUTAGE:
            refusing = Rule(Point.BEFORE, Do.ANSWER, times=0, status=self.status, lasts=self.lasts)
            return [refusing]
        always = self.every_time or self.together or self.action is Action.SLOW_PARTNER
        times = 0 if always else self.times
        do = {
            Action.DROP_REPLY: Do.DROP,
            Action.ANSWER: Do.ANSWER,
            Action.NEVER_ANSWER: Do.NEVER,
        }.get(self.action, Do.HOLD)
        rules = [moment.rules(do, times) for moment in self.moments]
        for rule in rules:
            rule.status, rule.retry_after, rule.delay = self.status, self.retry_after, self.delay
        return rules


def moments(after: Which, before: Which) -> tuple[Moment, ...]:
    """Moments of the effects named, in both lists.  Raises LabError where one is named twice."""
    found = tuple(
        Moment(effect, point)
        for point, which in ((Point.AFTER, after), (Point.BEFORE, before))
        for effect in listed(which)
    )
    for moment in found:
        if moment.effect.after_bytes and moment.point is Point.BEFORE:
            raise LabError(
                f"no moment is {moment}",
                hint=f"write after={moment.effect.kind}_of(…, after_bytes=…)",
            )
    keys = [moment.effect.name for moment in found if moment.effect.key]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise LabError(
            f"{twice[0]} is named twice", hint="a charge is in flight once: after or before"
        )
    return found


def listed(which: Which) -> Iterable[Effect]:
    """One effect, several or none, as a list; a bare string is told how to name an effect."""
    if which is None:
        return ()
    several = which if isinstance(which, list | tuple) else (which,)
    for effect in several:
        if not isinstance(effect, Effect):
            raise LabError(f"{effect!r} is no effect", hint=f"write charge_of({str(effect)!r})")
    return several


def needed(found: tuple[Moment, ...], what: str) -> tuple[Moment, ...]:
    """The moments.  Raises LabError where there are none."""
    if not found:
        raise LabError(f"{what} needs a moment", hint='name one: after=charge_of("order-3")')
    return found


def kill_child(
    *, after: Which = None, before: Which = None, every_time: bool = False, give_up_after: int = 10
) -> Fault:
    """SIGKILL the pool process that is charging, after or before the charge is recorded."""
    found = needed(moments(after, before), "kill_child")
    if len(found) != 1 or found[0].effect.count != 1:
        raise LabError("kill_child strikes one charge", hint="name exactly one, after or before")
    if give_up_after < 1:
        raise LabError("give_up_after counts attempts, from 1")
    return Fault(Action.KILL_CHILD, found, every_time=every_time, give_up_after=give_up_after)


def freeze_child(*, after: Which = None, before: Which = None) -> Fault:
    """SIGSTOP the pool process that is charging: it hangs where no Python code is asked any more.

    No answer reaches it, no timeout of its own, no signal but SIGKILL; nobody wakes it up.  The
    request stays open until the process has been killed, or the run ends.
    """
    found = needed(moments(after, before), "freeze_child")
    if len(found) != 1 or found[0].effect.count != 1:
        raise LabError("freeze_child strikes one charge", hint="name exactly one, after or before")
    return Fault(Action.FREEZE_CHILD, found)


def kill_worker(
    *, after: Which = None, before: Which = None, while_fetching: bool = False
) -> Fault:
    """SIGKILL the whole worker while the named charges are in flight.

    Name as many charges as the worker has processes, so that who is in flight is no race; name
    none, and it strikes as soon as the worker is ready.

    Args:
        after: charges in flight whose effect is recorded.
        before: charges in flight whose effect is not recorded.
        while_fetching: strike instead when the first message has left the queue and is not yet
            noted as unacknowledged.
    """
    found = moments(after, before)
    if while_fetching and found:
        raise LabError("a worker that fetches has no charge in flight", hint="name no charge")
    return Fault(Action.KILL_FETCHING if while_fetching else Action.KILL_WORKER, found)


def pause(*, after: Which = None, before: Which = None) -> Fault:
    """SIGSTOP the whole worker; time passes, another worker takes over, the first one wakes up."""
    return Fault(Action.PAUSE, needed(moments(after, before), "pause"))


def stop(
    signal: str,
    *,
    after: Which = None,
    before: Which = None,
    then_kill: bool = False,
    while_fetching: bool = False,
) -> Fault:
    """Ask the worker to stop, with ``TERM`` (warm) or ``QUIT`` (cold), while charges are in flight.

    Args:
        signal: ``"TERM"`` or ``"QUIT"``.
        after: charges in flight whose effect is recorded.
        before: charges in flight whose effect is not recorded.
        then_kill: after TERM, SIGKILL before the running tasks have finished.
        while_fetching: TERM comes instead when the first message has left the queue and is not yet
            noted as unacknowledged.
    """
    if signal not in ("TERM", "QUIT") or (then_kill and signal != "TERM"):
        raise LabError(
            f"stop({signal!r}) is not known",
            hint='use "TERM", "QUIT" or "TERM" with then_kill=True',
        )
    found = moments(after, before)
    if while_fetching and (found or then_kill or signal != "TERM"):
        raise LabError(
            "a worker that fetches has no charge in flight, and gets a plain TERM",
            hint='stop("TERM", while_fetching=True)',
        )
    if while_fetching:
        return Fault(Action.TERM_FETCHING)
    return Fault(Action.TERM_KILL if then_kill else Action(signal), found)


def quit_unheard(*, before: Effect, signals: int = 1) -> Fault:
    """SIGQUIT when a task has begun and main has not heard of it yet; then nobody waits for long.

    It is the moment at which main is busy with something else, made as long as it takes: the pool's
    process is stopped, and given its task; main is stopped, and the process goes on.  A worker that
    does not end, but waits for its pool, is killed, as an orchestrator does.

    Args:
        before: the charge in flight, not recorded.
        signals: how many SIGQUITs are sent; each but the first when main waits for its pool.
    """
    found = needed(moments(None, before), "quit_unheard")
    if len(found) != 1 or not found[0].effect.key:
        raise LabError("quit_unheard strikes one charge", hint='before=charge_of("order-1")')
    if signals not in (1, 2):
        raise LabError("a worker ends at once at the third SIGQUIT", hint="signals=1 or signals=2")
    return Fault(Action.QUIT_UNHEARD, found, signals=signals)


def duplicate(
    kind: str, *, after: Which = None, before: Which = None, together: bool = False
) -> Fault:
    """Make a second copy of a message while its task is at work, which goes on.

    Args:
        kind: ``"published"``: its task is published again with the same task id, as a client does
            that retries; ``"redelivered"``: its visibility timeout passes, and the broker hands the
            same message out again (needs late acknowledgement); ``"sent"``: when the task has
            ended, it is sent once more under another task id, as a customer does who clicks twice.
        after: the charge in flight, recorded.
        before: the charge in flight, not recorded.
        together: hold the charge until its copy has come as far as it can, the partner at the
            most; so it is no race whether the copy begins before the first one has ended.
    """
    kinds = {
        "published": Action.PUBLISH_TWICE,
        "redelivered": Action.REDELIVER,
        "sent": Action.SEND_TWICE,
    }
    if kind not in kinds:
        raise LabError(f"duplicate({kind!r}) is not known", hint=f"use one of {sorted(kinds)}")
    found = needed(moments(after, before), "duplicate")
    if len(found) != 1 or found[0].effect.count != 1:
        raise LabError("duplicate copies one message", hint="name exactly one, after or before")
    if together and kind == "sent":
        raise LabError(
            "an order that is sent again when it has ended is not there together with itself",
            hint='duplicate("published", …, together=True)',
        )
    return Fault(kinds[kind], found, together=together)


def slow_partner(*, minutes: float, after: Which = None, before: Which = None) -> Fault:
    """The partner takes so many minutes over each of these charges, and then answers.

    Nobody waits for them: time travels while the charges are open.  Name as many as the worker
    runs at a time, or a multiple of that: time passes for each lot, in the order named.

    Args:
        minutes: how long one charge takes.
        after: charges that are recorded when the time begins to pass.
        before: charges that are recorded when it has passed.
    """
    if not 0 < minutes <= MOST_MINUTES:
        raise LabError(
            f"a charge cannot take {minutes:g} minutes",
            hint=f"slow_partner(minutes=90, …); at most {MOST_MINUTES} (a week)",
        )
    found = needed(moments(after, before), "slow_partner")
    if not all(moment.effect.key for moment in found):
        raise LabError("slow_partner needs charges by name", hint='before=charge_of("order-3")')
    return Fault(Action.SLOW_PARTNER, found, passes=minutes * 60.0)


def together(*, after: Which = None, before: Which = None) -> Fault:
    """A rendezvous: each of these charges is held until all of them are at the partner; then they
    happen, and nothing else does.

    With it two tasks are at work at the same time because they must be, not because they happen to
    be.  Name as many as the worker runs at a time: ``before=open_charges(4)``.

    Args:
        after: charges that are recorded when they are held.
        before: charges that are not.
    """
    return Fault(Action.TOGETHER, needed(moments(after, before), "together"))


def crash_broker(
    *, after: Which = None, before: Which = None, aof: bool = True, kill_worker: bool = True
) -> Fault:
    """SIGKILL the broker while the named charges are in flight, and start it again.

    The run gets a broker of its own.  Its worker is killed, too, whatever became of it: one that
    loses its broker ends by itself or does not, by what it was doing.  To see what becomes of it,
    leave it alone; the charges are then answered when the broker is back.

    Args:
        after: charges in flight whose effect is recorded.
        before: charges in flight whose effect is not recorded.
        aof: whether the broker keeps an append-only file; without it, it comes back empty.
        kill_worker: whether the worker is killed, too.
    """
    action = Action.CRASH_BROKER if kill_worker else Action.LOSE_BROKER
    return Fault(action, needed(moments(after, before), "crash_broker"), aof=aof)


def cut_off(*, after: Which = None, before: Which = None, stall: bool = False) -> Fault:
    """Cut the worker off the broker; time passes, another one takes over, the first comes back.

    Args:
        after: charges in flight whose effect is recorded.
        before: charges in flight whose effect is not recorded.
        stall: leave the connections open, but let nothing pass.
    """
    action = Action.STALL if stall else Action.CUT_OFF
    return Fault(action, needed(moments(after, before), "cut_off"))


def slow_link(seconds: float) -> Fault:
    """Everything between worker and broker comes ``seconds`` later, in each direction."""
    if not 0 < seconds <= 1:
        raise LabError("a slow link is slow by up to one second", hint="slow_link(0.05)")
    return Fault(Action.SLOW_LINK, delay=seconds)


def drop_reply(*, after: Which = None, before: Which = None) -> Fault:
    """Close the connection without an answer; after: the charge has happened all the same."""
    return Fault(Action.DROP_REPLY, needed(moments(after, before), "drop_reply"))


def answer(
    status: int, *, after: Which = None, before: Which = None, retry_after: int = 0, times: int = 1
) -> Fault:
    """Answer with an error status (500, 503, 429 with ``retry_after`` seconds), ``times`` times.

    With ``times=0`` every time.  A mail server answers with SMTP's own codes: 451 (try later), 550
    (never), …"""
    an_error(status)
    whole_number(times)
    found = needed(moments(after, before), "answer")
    if any(moment.effect.kind is Kind.MAIL for moment in found):
        for_mail(status, retry_after)
    return Fault(Action.ANSWER, found, status=status, retry_after=retry_after, times=times)


def an_error(status: int) -> None:
    """Raises LabError where HTTP knows no such error."""
    if not 400 <= status <= 599:
        raise LabError(f"{status} is no error status", hint="use one from 400 to 599")


def whole_number(times: int) -> None:
    """Raises LabError where a thing cannot be done so many times."""
    if not isinstance(times, int) or times < 0:
        raise LabError(
            f"nothing is done {times!r} times", hint="times=2, or times=0 for every time"
        )


def for_mail(status: int, retry_after: int) -> None:
    """Raises LabError for what no mail server answers to a message (RFC 5321, 4.3.2, DATA)."""
    if status not in MAIL_REPLIES:
        raise LabError(
            f"{status} is no answer to a mail",
            hint="use 451 (try later) or 550 (never); known: " + ", ".join(map(str, MAIL_REPLIES)),
        )
    if retry_after:
        raise LabError("a mail server sends no Retry-After", hint="leave retry_after out")


def late(seconds: float, *, after: Which = None, before: Which = None, times: int = 1) -> Fault:
    """Answer as usual, but ``seconds`` late."""
    if not seconds > 0:
        raise LabError("a late answer is late by more than 0 seconds", hint="late(2, after=…)")
    found = needed(moments(after, before), "late")
    return Fault(Action.ANSWER, found, delay=seconds, times=times)


def never_answer(*, after: Which = None, before: Which = None, times: int = 1) -> Fault:
    """Leave the request open until the caller gives up, ``times`` times; with 0 every time."""
    whole_number(times)
    found = needed(moments(after, before), "never_answer")
    return Fault(Action.NEVER_ANSWER, found, times=times)


def outage(*, seconds: float = 5.0, status: int = 503) -> Fault:
    """The partner is away: it refuses every charge for some time, from the first one on.

    Args:
        seconds: how long.
        status: HTTP status of its answers.
    """
    an_error(status)
    if not 0 < seconds <= LONGEST_OUTAGE:
        raise LabError(
            f"an outage cannot last {seconds:g} seconds",
            hint=f"outage(seconds=5); at most {LONGEST_OUTAGE}, since it is waited for",
        )
    return Fault(Action.OUTAGE, status=status, lasts=float(seconds))
