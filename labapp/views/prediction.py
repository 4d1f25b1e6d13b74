"""``predict(…)``: a guess made before the experiment, and told beside what it was.

    guess = predict("Which orders are lost?", ["none", "order-3", "order-4", "all ten"])
    …
    guess.was(early.verdict.lost)

Shown as radio buttons in Jupyter; without a browser nobody chooses, and everything else runs all
the same.  Depends on ipywidgets and on nothing else of the lab but ``labapp.errors``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from labapp.errors import LabError

LEAST = 2
"""Fewer options are no question."""
NONE = "none"
"""The option that no keys at all are."""


class Prediction:
    """A question with its options, and the guess.

    Args:
        question: what is asked.
        options: the possible answers, each once.

    Raises:
        LabError: there are too few options, or one twice.
    """

    def __init__(self, question: str, options: Sequence[str]) -> None:
        if isinstance(options, str) or len(options) < LEAST:
            raise LabError(
                "a prediction needs at least two options",
                hint='predict("Which orders are lost?", ["none", "order-4"])',
            )
        if len(set(options)) < len(options):
            raise LabError("an option is named twice", hint="each answer stands once")
        self.question = question
        self.options = tuple(options)
        self._buttons: Any = None

    @property
    def guess(self) -> str | None:
        """What was chosen so far; None for nothing."""
        return None if self._buttons is None else self._buttons.value

    @guess.setter
    def guess(self, option: str) -> None:
        if option not in self.options:
            raise LabError(
                f"{option!r} is none of the options", hint=f"choose from: {', '.join(self.options)}"
            )
        self._widget().value = option

    def was(self, answer: str | Iterable[str]) -> Outcome:
        """What it was, beside what was guessed.

        Args:
            answer: one of the options; or keys, as a verdict has them: ``("order-3", "order-4")``
                is the option "order-3, order-4", and no keys at all are the option "none".

        Raises:
            LabError: the answer is none of the options: then the question was the wrong one.
        """
        answer = answer if isinstance(answer, str) else ", ".join(answer) or NONE
        if answer not in self.options:
            raise LabError(
                f"it was {answer!r}, which was none of the options",
                hint=f"the options were: {', '.join(self.options)}",
            )
        return Outcome(self.guess, answer)

    def _widget(self) -> Any:
        """The radio buttons; made when they are first needed, since their import takes a while."""
        if self._buttons is None:
            from ipywidgets import Layout, RadioButtons

            self._buttons = RadioButtons(
                options=self.options,
                value=None,
                layout=Layout(width="max-content"),
            )
        return self._buttons

    def __repr__(self) -> str:
        return "\n".join([self.question, *(f"( ) {option}" for option in self.options)])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The buttons, and as text what they ask."""
        from ipywidgets import HTML, VBox

        box = VBox([HTML(f"<b>{escape(self.question)}</b>"), self._widget()])
        return {**box._repr_mimebundle_(), "text/plain": repr(self)}


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """A guess beside the answer; ``said`` is None where nobody guessed."""

    said: str | None
    answer: str

    @property
    def right(self) -> bool:
        """Whether the guess was the answer."""
        return self.said == self.answer

    def __repr__(self) -> str:
        if self.said is None:
            return f"You did not say. It was: {self.answer}."
        mark = "You were right." if self.right else f"It was: {self.answer}."
        return f"You said: {self.said}. {mark}"


_asked: dict[tuple[str, tuple[str, ...]], Prediction] = {}


def predict(question: str, options: Sequence[str]) -> Prediction:
    """Ask for a guess before an experiment.

    Who chooses an option selects its cell, and the next Shift+Enter runs that cell once more.  So
    the same question, asked again in one kernel, is the one that was asked before, with its guess.

    Args:
        question: what is asked.
        options: the possible answers, each once.

    Raises:
        LabError: there are too few options, or one twice.
    """
    asked = Prediction(question, options)
    return _asked.setdefault((question, asked.options), asked)
