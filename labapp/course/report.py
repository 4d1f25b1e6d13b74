"""The outcome of a check as people and programs read it: text, HTML, JSON.

The same on every run: names, counts and business keys, no times and no ids.  Used by
``labapp.course.check``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from labapp.checker.verdict import Verdict
from labapp.course.stage import Diagnosis, Outcome, Stage, Trial
from labapp.views import markup
from labapp.views.answer import Answer
from labapp.views.keys import fold
from labapp.views.tables import NONE, Cell, Table
from labapp.views.timeline import Timeline

WIDTH = 88
"""Columns of the text; the table is as wide as its keys."""
SKIPPED = "not run"
HEADINGS = {"truth": "what is true", "said": "what is said", "letters": "dead letters"}
"""Headings of columns whose names are not words enough."""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """The outcome of a check.

    Args:
        stage: what was checked.
        outcomes: by trial, in order; what did not run is missing.
        diagnosis: what is wrong; None where all is well.
    """

    stage: Stage
    outcomes: Mapping[str, Outcome]
    diagnosis: Diagnosis | None

    @property
    def passed(self) -> bool:
        """Whether every fault was survived."""
        return self.diagnosis is None

    @property
    def table(self) -> Table:
        """One row per fault."""
        rows = [self._row(trial.name) for trial in self.stage.trials]
        headings = [HEADINGS.get(column, column) for column in self.stage.columns]
        return Table((*self.stage.headings, *headings), rows)

    @property
    def timeline(self) -> tuple[str, Timeline] | None:
        """What to look at first: the first trial that was not passed, or else the last one, with
        its timeline; None where it was not drawn."""
        name = next(iter([*self.stage.failed(self.outcomes), *reversed(list(self.outcomes))]), "")
        drawn = self.outcomes[name].timeline if name else None
        return (name, drawn) if drawn else None

    def _row(self, name: str) -> list[Cell]:
        if name not in self.outcomes:
            return [name, SKIPPED, *(NONE for _ in self.stage.columns)]
        cells = (self.outcomes[name].shown(column) or NONE for column in self.stage.columns)
        return [name, Answer.of(name not in self.stage.failed(self.outcomes)), *cells]

    def notes(self) -> Iterator[str]:
        """What explains the table, one sentence each."""
        failed = self.stage.failed(self.outcomes)
        for name in failed:
            yield from (f"{name}: {found}" for found in missing(self.outcomes[name].verdict))
            yield from (f"{name}: {found}" for found in self._unsaid(name))
            yield from (f"{name}: {found}" for found in self._unmet(name))
            yield from (f"{name}: {found}" for found in own_lines(self.outcomes[name]))
        if len(self.outcomes) < len(self.stage.trials):
            yield "The other faults were not run: first it has to work when nothing strikes."
        allowed = [self.outcomes[name].verdict for name in self.outcomes if name not in failed]
        if any(verdict.duplicated for verdict in allowed):
            yield "A charge that happens twice after a fault is allowed in this stage."
        if any(verdict.failed for verdict in allowed):
            yield "A failure on record is the best end for an order that cannot be charged."

    def _unsaid(self, name: str) -> Iterator[str]:
        """Results that say something else than they must, of orders that are not lost."""
        outcome = self.outcomes[name]
        known = set(outcome.verdict.reasons)
        by_state: dict[tuple[str, str], list[str]] = {}
        for trial in self.stage.trials:
            wanted = trial.must_say() if trial.name == name and isinstance(trial, Trial) else {}
            for key, state in wanted.items():
                if key not in known and (said := outcome.states.get(key, "")) != state:
                    by_state.setdefault((said, state), []).append(key)
        for (said, state), keys in by_state.items():
            yield f"the result of {fold(keys)} says {said or 'nothing'}, and must say {state}."

    def _unmet(self, name: str) -> Iterator[str]:
        """What else the trial demands."""
        for trial in self.stage.trials:
            if trial.name == name and isinstance(trial, Trial) and trial.unmet:
                reason = trial.unmet(self.outcomes[name])
                yield from [reason] if reason else []

    def conclusion(self) -> list[str]:
        """The answer, the diagnosis and where to look next; a paragraph each."""
        title = f"Stage {self.stage.number}, {self.stage.name.replace('_', ' ')}"
        if self.diagnosis is None:
            return [f"{title}: passed."]
        found = self.diagnosis
        look = found.look if found.look.endswith("?") else f"{found.look}."
        return [f"{title}: not yet ({found.code}).", found.says, f"Look next: {look}"]

    def __repr__(self) -> str:
        parts = [repr(self.table), paragraphs(self.notes()), paragraphs(self.conclusion())]
        return "\n\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        title, *rest = self.conclusion()
        said = "".join(f"<p>{markup.prose(text)}</p>" for text in rest)
        notes = "".join(map(markup.quiet, self.notes()))
        table = self.table._repr_html_()
        return f"{table}{notes}<p><strong>{markup.text(title)}</strong></p>{said}"

    def to_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "stage": self.stage.number,
            "passed": self.passed,
            "diagnosis": self.diagnosis.code if self.diagnosis else None,
            "faults": [self._fault(trial.name) for trial in self.stage.trials],
        }

    def _fault(self, name: str) -> dict[str, Any]:
        """One fault of it; one that was not run is judged null."""
        ran = self.outcomes.get(name)
        verdict = ran.verdict if ran else Verdict(sent=0, happened=0, effects=0)
        heard = [{"truth": one.truth, "said": one.said} for one in ran.heard] if ran else []
        return {
            "name": name,
            "at_least_once": verdict.at_least_once if ran else None,
            "exactly_once": verdict.exactly_once if ran else None,
            "lost": list(verdict.lost),
            "duplicated": list(verdict.duplicated),
            "stuck": list(verdict.stuck),
            **({"heard": heard} if heard else {}),
            **({"dead_letters": sorted(ran.letters)} if ran and ran.letters else {}),
        }


def missing(verdict: Verdict) -> Iterator[str]:
    """What was lost, grouped by what the results say, and what nobody had asked for."""
    by_state: dict[str, list[str]] = {}
    for key in verdict.lost:
        by_state.setdefault(verdict.reasons.get(key, ""), []).append(key)
    for state, keys in by_state.items():
        yield f"{fold(keys)} lost, result {state or 'unknown'}."
    if verdict.unexpected:
        yield f"{fold(verdict.unexpected)} charged, but never sent."


def own_lines(outcome: Outcome) -> Iterator[str]:
    """Which of the learner's lines an error came from."""
    for line, keys in outcome.own_lines.items():
        yield f"the error of {fold(keys)} comes from {line}"


def paragraphs(texts: Iterator[str] | list[str]) -> str:
    """Each text on lines of its own, none longer than WIDTH."""
    return "\n".join("\n".join(wrap(text, WIDTH, break_long_words=False)) for text in texts)
