"""A check that asks: what an API says of each order, beside what is true of it.

For stages whose answer is a web API.  The lab brings an order into a state that it knows from the
broker and the world, then asks the API.  One open shop for the whole check, question after
question, each leaving it as the next one needs it.  Used by the stages; depends on ``labapp.lab``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from labapp.checker.history import Declared, Effect, Event, Result, Sent
from labapp.checker.verdict import Verdict, judge
from labapp.course.stage import API, NOTHING, Heard, Outcome, Progress, Stage, try_in_turn
from labapp.lab.front import Front
from labapp.lab.publisher import Module
from labapp.lab.reading import own_line
from labapp.lab.reply import Reply
from labapp.lab.session import Session


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that an API is asked.

    Args:
        name: how it is shown, and how a diagnosis names it.
        ask: brings an order into a known state and asks; all that was heard and seen.
        fault: what is the matter, in words; empty for nothing.
    """

    name: str
    ask: Callable[[Front], Outcome]
    what: str = ""

    @property
    def fault(self) -> str | None:
        """What is the matter; None for nothing."""
        return self.what or None

    @property
    def exactly_once(self) -> bool:
        """An order that an API has taken is charged once, whatever happened to its answer."""
        return True

    def passed(self, outcome: Outcome) -> bool:
        """Whether the API said what was true, and no order was charged twice or not at all."""
        return all(one.right for one in outcome.heard) and bool(outcome.verdict.exactly_once)


def interview(
    session: Session, stage: Stage, module: Module, progress: Progress
) -> dict[str, Outcome]:
    """Ask an API every question of its stage; its outcomes, by the questions' names.

    Raises:
        LabError: API or worker do not start, or a service of the stack is gone.
    """
    questions = [trial for trial in stage.trials if isinstance(trial, Question)]
    with Front(session, module.path, app=module.name) as front:
        return try_in_turn(questions, lambda question: answered(front, question), progress)


def answered(front: Front, question: Question) -> Outcome:
    """What came of a question, with the API's own line where it broke at one."""
    outcome = question.ask(front)
    line = own_line(front.api.news(), front.api.module.path) if front.api else ""
    return (
        replace(outcome, raised={API: line}) if line and not question.passed(outcome) else outcome
    )


def heard(*pairs: tuple[str, str | Reply]) -> tuple[Heard, ...]:
    """What was true and what was said, pair by pair."""
    return tuple(
        Heard(truth, said.word if isinstance(said, Reply) else said) for truth, said in pairs
    )


def only(*pairs: tuple[str, str | Reply]) -> Outcome:
    """The outcome of a question that is about no charge."""
    return Outcome(NOTHING.verdict, heard=heard(*pairs))


def charged_once(front: Front, order: str, given_up: bool = False) -> Verdict:
    """What became of one order that a client wanted: the world's word, not the API's.

    Args:
        front: the open shop.
        order: its business key.
        given_up: whether it cannot be charged any more, and the API says so.
    """
    events: list[Event] = [Sent(0.0, order, order)]
    events += [Effect(1.0, order) for _ in range(front.charges(order))]
    if given_up:
        events += [Declared(0.0, order), Result(2.0, order, "FAILURE", "")]
    else:
        events += [Result(2.0, order, "PENDING", "")]
    return judge(events)
