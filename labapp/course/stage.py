"""What a stage is in code: its faults, its diagnoses.  The rest is data (``labapp.course.course``).

Plain values; a stage is one module beside this one that makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from labapp.checker.verdict import Verdict
from labapp.faults import Fault
from labapp.lab.publisher import Module
from labapp.lab.run import HORIZON
from labapp.lab.session import Session
from labapp.views.keys import fold
from labapp.views.timeline import Timeline
from labapp.world.kinds import Kind

Progress = Callable[[str], object]
"""Takes one line for each trial that has run."""
KINDS = ("lost", "duplicated", "stuck", "failed")
"""Fields of a verdict that a report shows, where a stage names no other columns."""


class Tried(Protocol):
    """One row of a check: a fault, or another thing to be tried, with a name and a demand."""

    @property
    def name(self) -> str:
        """How it is shown, and how a diagnosis names it."""

    @property
    def fault(self) -> object:
        """What strikes; None for nothing: an answer that fails here is not tried further."""

    @property
    def exactly_once(self) -> bool:
        """Whether every effect must happen once and no more."""

    def passed(self, outcome: Outcome) -> bool:
        """Whether this outcome is good enough."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault of a check.

    Args:
        name: how it is shown, and how a diagnosis names it.
        fault: what strikes; None for nothing.
        exactly_once: whether every effect must happen once and no more; otherwise at least once
            is enough, and a failure that the fault makes unavoidable is allowed.
        work: arguments of each task to send.
        deadline: seconds that the queue may take to drain.
        countdown: seconds before which no order may be charged, as its sender says.
        time_passes: whether time travels after a fault until all is overdue; or how many seconds.
        expect: kinds of effect that each order owes.
        refused: orders that cannot be done as they were sent; their results must say FAILURE.
        succeed: whether the result of every other order must say SUCCESS, copies included; whoever
            waits for one (a chord, say) would wait for ever otherwise.
        dead_letters: orders that must be put aside, each once and with no effect, and no others.
        then_replay: whether what was put aside is replayed, with the fault off; then each of them
            must have its effect as well.
        waits: whether it is noted for how long each retry is to wait.
        horizon: seconds: where all that is left is to begin only later than that, it is not waited
            for.
        unmet: says what else must hold and does not, in a sentence; "" where all is well.
    """

    name: str
    fault: Fault | None
    exactly_once: bool = False
    work: Sequence[tuple[Any, ...]] = tuple((f"order-{number}",) for number in range(1, 11))
    deadline: float = 10.0
    countdown: float = 0.0
    time_passes: bool | float = True
    expect: tuple[Kind, ...] = (Kind.CHARGE,)
    refused: tuple[str, ...] = ()
    succeed: bool = False

    dead_letters: tuple[str, ...] = ()
    then_replay: bool = False
    waits: bool = False
    horizon: float = HORIZON
    unmet: Callable[[Outcome], str] | None = None

    def passed(self, outcome: Outcome) -> bool:
        """Whether this outcome's verdict is good enough, its results say what they must, and all
        else holds."""
        verdict = outcome.verdict
        if self.dead_letters and not self.then_replay:
            verdict = without_dead_letters(verdict, self.dead_letters)
        good = verdict.exactly_once if self.exactly_once else verdict.at_least_once
        said = all(outcome.states.get(key) == state for key, state in self.must_say().items())
        put_aside = sorted(outcome.letters) == sorted(self.dead_letters)
        return bool(good) and said and put_aside and not (self.unmet and self.unmet(outcome))

    def must_say(self) -> dict[str, str]:
        """By order, what its result must say; of an order that may say anything, nothing."""
        keys = [str(call[0]) for call in self.work]
        wanted = dict.fromkeys(keys, SUCCESS) if self.succeed else {}
        failed = () if self.then_replay else self.dead_letters
        return wanted | dict.fromkeys((*self.refused, *failed), FAILURE)


def without_dead_letters(verdict: Verdict, orders: Collection[str]) -> Verdict:
    """The verdict, where these orders are meant to be put aside: only what is put aside beside
    them counts, and what of them is not."""
    found = {name.rpartition(" of ")[2] for name in verdict.dead_lettered}
    others = tuple(n for n in verdict.dead_lettered if n.rpartition(" of ")[2] not in orders)
    missing = tuple(order for order in orders if order not in found)
    return replace(verdict, dead_lettered=others, lost=(*verdict.lost, *missing))


SUCCESS, FAILURE = "SUCCESS", "FAILURE"
API = "the API"
"""Whose error it is that is no order's."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What an answer said of itself, beside what was true.

    Args:
        truth: what the lab knew; "202 or 503" where either is true.
        said: what the answer said.
    """

    truth: str
    said: str

    @property
    def right(self) -> bool:
        """Whether it said what was true."""
        return self.said in self.truth.split(" or ")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one trial showed: all that a diagnosis may know.

    Args:
        verdict: the checker's answer.
        given_back: business keys whose messages the broker gave back after the fault.
        heard: what the answer said when it was asked, in order.
        copies: messages in the broker that one request had left there.
        raised: business key → the learner's own line where its task's error came from; `API` for
            the API's.
        states: business key → state of its result; of several tasks for one key each state once,
            by name ("PENDING, SUCCESS").
        letters: business keys of the dead letters, one for each; of an entry that cannot be read
            what it goes by.
        tries: business key → when its requests reached the world, in seconds.
        waits: business key → for how many seconds each of its retries was to wait, where noted.
        timeline: of the trial, where it was drawn.
    """

    verdict: Verdict
    given_back: frozenset[str] = frozenset()
    heard: tuple[Heard, ...] = ()
    copies: int = 0
    raised: Mapping[str, str] = field(default_factory=dict, hash=False)
    states: Mapping[str, str] = field(default_factory=dict, hash=False)
    letters: tuple[str, ...] = ()
    tries: Mapping[str, tuple[float, ...]] = field(default_factory=dict, compare=False)
    waits: Mapping[str, tuple[float, ...]] = field(default_factory=dict, compare=False)
    timeline: Timeline | None = field(default=None, compare=False, repr=False)

    @property
    def said(self) -> tuple[str, ...]:
        """What the answer said, in order."""
        return tuple(one.said for one in self.heard)

    def shown(self, column: str) -> str:
        """The text of one column of a report: ``truth``, ``said``, or a field of the verdict."""
        if column == "letters":
            return fold(sorted(self.letters))
        if column in ("truth", "said"):
            told: list[str] = [getattr(one, column) for one in self.heard]
            return ", then ".join(dict.fromkeys(told) if len(set(told)) == 1 else told)
        return fold(getattr(self.verdict, column))

    @property
    def own_lines(self) -> dict[str, list[str]]:
        """The learner's own lines behind what was lost or failed, each with its keys."""
        found: dict[str, list[str]] = {}
        for key in (API, *self.verdict.lost, *self.verdict.failed, *self.verdict.stuck):
            if line := self.raised.get(key):
                found.setdefault(line, []).append(key)
        return found

    def tried(self, key: str) -> int:
        """How many requests for this business key reached the world."""
        return len(self.tries.get(key, ()))

    def lost(self, state: str = "") -> frozenset[str]:
        """Keys that were lost (and whose result says so: ``PENDING``, ``FAILURE: KeyError``)."""
        return self._having(self.verdict.lost, state)

    def stuck(self, where: str = "") -> frozenset[str]:
        """Keys that are still in the broker or running (at this place)."""
        return self._having(self.verdict.stuck, where)

    def _having(self, keys: Sequence[str], reason: str) -> frozenset[str]:
        reasons = self.verdict.reasons
        return frozenset(key for key in keys if reasons.get(key, "").startswith(reason))


NOTHING = Outcome(Verdict(sent=0, happened=0, effects=0))
"""The outcome of a trial that did not run."""


class Outcomes(dict[str, Outcome]):
    """Outcome by name of the trial, in order; a trial that did not run has none."""

    def of(self, trial: str) -> Outcome:
        """What this trial showed; nothing where it did not run."""
        return self.get(trial, NOTHING)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with an answer, read off the outcomes alone.

    Args:
        code: short name, by which tests and JSON know it.
        applies: whether these outcomes show it; asked in the order of the stage's list.
        says: what happened and why, in a few short sentences.
        look: where to look next.
    """

    code: str
    applies: Callable[[Outcomes], bool]
    says: str
    look: str


class Examine(Protocol):
    """Tries an answer; for a stage that does it otherwise than by one run for each trial.

    It reports progress trial by trial, and stops after one without a fault that is not passed."""

    def __call__(
        self, session: Session, stage: Stage, module: Module, progress: Progress
    ) -> dict[str, Outcome]:
        """The outcome of each trial that ran, by its name."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the course.

    Args:
        number: two digits, as in file names.
        name: as in file names.
        trials: what its check tries; empty where the stage has no exercise.
        diagnoses: from the most to the least particular.
        module: module of the exercise that the learner edits.
        task: task that is sent, without the module's name.
        contract: names in the learner's modules that the check, or another module, knows them by.
        headings: of the report's first two columns: the trial, and whether it was passed.
        columns: what a report shows of each trial beside that.
        examine: how an answer is tried, where it is not one run under each fault.
        at_once: how many trials run at a time; more than one where most of their time they wait.
    """

    number: str
    name: str
    trials: Sequence[Tried] = ()
    diagnoses: Sequence[Diagnosis] = field(default=())
    module: str = "shop"
    task: str = "charge"
    contract: frozenset[str] = frozenset({"charge"})
    headings: tuple[str, str] = ("fault", "survived")
    columns: Sequence[str] = KINDS
    examine: Examine | None = None
    at_once: int = 1

    @property
    def folder(self) -> str:
        """Its folder in ``exercises/`` and ``solutions/``."""
        return f"{self.number}_{self.name}"

    def failed(self, outcomes: Mapping[str, Outcome]) -> list[str]:
        """Names of the trials that ran and were not passed."""
        return [
            trial.name
            for trial in self.trials
            if trial.name in outcomes and not trial.passed(outcomes[trial.name])
        ]

    def diagnose(self, outcomes: Mapping[str, Outcome]) -> Diagnosis | None:
        """The first diagnosis that applies; None where every trial was run and passed."""
        failed = self.failed(outcomes)
        if not failed and len(outcomes) == len(self.trials):
            return None
        seen = Outcomes(outcomes)
        bad = Outcomes({name: seen[name] for name in failed})
        particular = (found for found in self.diagnoses if found.applies(seen))
        return next(particular, None) or next(found for found in FALLBACKS if found.applies(bad))


T = TypeVar("T", bound=Tried)


def try_in_turn(
    trials: Sequence[T], outcome_of: Callable[[T], Outcome], progress: Progress
) -> dict[str, Outcome]:
    """The outcome of each trial; an answer that fails without any fault gets no others.

    Args:
        trials: in their order.
        outcome_of: carries one out.
        progress: takes one line for each.
    """
    outcomes: dict[str, Outcome] = {}
    for number, trial in enumerate(trials, start=1):
        outcomes[trial.name] = outcome_of(trial)
        passed = trial.passed(outcomes[trial.name])
        progress(f"{number}/{len(trials)} {trial.name}: {'passed' if passed else 'not yet'}")
        if trial.fault is None and not passed:
            break
    return outcomes


def any_of(outcomes: Outcomes, field_name: str) -> bool:
    """Whether any trial has keys in this field of its verdict."""
    return any(getattr(outcome.verdict, field_name) for outcome in outcomes.values())


FALLBACKS = (
    Diagnosis(
        "lost",
        lambda seen: any_of(seen, "lost"),
        "A charge was lost. Its message is gone from the broker, and the charge never happened.",
        "the row with the lost order: which fault was it, and what does the result say?",
    ),
    Diagnosis(
        "stuck",
        lambda seen: any_of(seen, "stuck"),
        "A charge neither happened nor failed in time. Its message is still in the broker, "
        "or its task is still running.",
        "does the task wait for something that never comes, or for longer than the check does?",
    ),
    Diagnosis(
        "duplicated",
        lambda seen: any_of(seen, "duplicated") or any_of(seen, "unexpected"),
        "A charge happened more often than it was asked for.",
        "count the ways in which one order can lead to two requests",
    ),
    Diagnosis(
        "not-passed",
        lambda _: True,
        "A fault was not survived.",
        "read the table from the top: the first NO is the one to mend",
    ),
)
"""What is said of an answer that no stage foresaw; asked of the trials that were not passed."""
