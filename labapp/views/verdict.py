"""A verdict as a reader sees it: a few lines that are the same on every run, and a rich form.

Counts and business keys only: no times, ids or pids, so that nbval can compare the output
exactly. Depends on the checker and on the smaller views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labapp.views import markup
from labapp.views.answer import Answer
from labapp.views.keys import fold, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labapp.checker.verdict import Verdict

NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the answer: a question, its answer, and what the answer rests on."""

    label: str
    answer: Answer | None
    details: tuple[str, ...]


def verdict_text(verdict: Verdict) -> str:
    """The verdict in a few fixed lines, the two answers first, the counts last."""
    rows = [text for line in verdict_lines(verdict) for text in _aligned(line)]
    return "\n".join([*rows, *_footer(verdict)])


def verdict_html(verdict: Verdict) -> str:
    """The same content as a small table; adds the keys that were recovered."""
    lines = verdict_lines(verdict)
    if verdict.recovered and not verdict.unknown:
        lines.append(Line("recovered", None, (fold(verdict.recovered),)))
    body = (markup.row(_cells(line)) for line in lines)
    return markup.table("", body) + "".join(map(markup.quiet, _footer(verdict)))


def verdict_lines(verdict: Verdict) -> list[Line]:
    """The rows that text and HTML share."""
    if verdict.unknown:
        return _unknown(verdict)
    missing = _missing(verdict)
    lines = [
        Line("at least once", Answer.of(verdict.at_least_once), missing or (_all_well(verdict),)),
        Line("exactly once", Answer.of(verdict.exactly_once), _too_much(verdict, bool(missing))),
    ]
    allowed = _named("failed as declared", verdict.failed, verdict)
    return [*lines, Line("allowed", None, allowed)] if allowed else lines


def counts(verdict: Verdict) -> str:
    """The last line; what is rare is counted only where it occurred."""
    always = ("sent", "happened", "lost", "duplicated", "recovered", "failed", "stuck")
    rare = [name for name in ("dead_lettered", "unexpected") if getattr(verdict, name)]
    return " · ".join(f"{_word(name)} {_size(getattr(verdict, name))}" for name in (*always, *rare))


@dataclass(frozen=True, slots=True, repr=False)
class VerdictView:
    """A verdict that shows itself: as fixed lines in print, as a table in Jupyter.

    Every attribute of the Verdict can be read from it (`view.lost`, `view.at_least_once`).
    """

    verdict: Verdict

    def __getattr__(self, name: str) -> Any:
        return getattr(self.verdict, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(self.verdict)})

    def __repr__(self) -> str:
        return verdict_text(self.verdict)

    def _repr_html_(self) -> str:
        return verdict_html(self.verdict)


def _unknown(verdict: Verdict) -> list[Line]:
    return [
        Line("unknown", None, (one_line(verdict.unknown),)),
        Line("at least once", Answer.UNKNOWN, (NOT_JUDGED,)),
        Line("exactly once", Answer.UNKNOWN, (NOT_JUDGED,)),
    ]


def _missing(verdict: Verdict) -> tuple[str, ...]:
    """What speaks against "at least once"."""
    return (
        *_named("lost", verdict.lost, verdict),
        *_named("stuck", verdict.stuck, verdict),
        *_named("dead-lettered", verdict.dead_lettered, verdict),
    )


def _too_much(verdict: Verdict, missing: bool) -> tuple[str, ...]:
    """What speaks against "exactly once", or why nothing does."""
    surplus = (
        *_named("duplicated", verdict.duplicated, verdict),
        *_named("unexpected", verdict.unexpected, verdict),
    )
    return surplus or ("for the same reason" if missing else "nothing happened twice",)


def _all_well(verdict: Verdict) -> str:
    happened = f"{verdict.happened} of {verdict.sent} happened"
    return f"{happened}, the rest failed as declared" if verdict.failed else happened


def _named(label: str, keys: Iterable[str], verdict: Verdict) -> tuple[str, ...]:
    """One detail: the label and its keys, grouped by their reason; nothing without keys."""
    by_reason: dict[str, list[str]] = {}
    for key in keys:
        by_reason.setdefault(verdict.reasons.get(key, ""), []).append(key)
    groups = [fold(named) + _bracketed(reason) for reason, named in by_reason.items()]
    return (f"{label}: {'; '.join(groups)}",) if groups else ()


def _bracketed(reason: str) -> str:
    return f" ({one_line(reason)})" if reason else ""


def _aligned(line: Line) -> Iterable[str]:
    first = f"{line.label:<13}  {line.answer or '':<7}  "
    for number, detail in enumerate(line.details):
        yield (first if number == 0 else " " * len(first)) + detail


def _cells(line: Line) -> Iterable[str]:
    answer = markup.cell("" if line.answer is None else line.answer)
    return markup.header(line.label), answer, markup.lines(line.details)


def _footer(verdict: Verdict) -> list[str]:
    """Counts would read like a judgement where there is none."""
    return [] if verdict.unknown else [counts(verdict)]


def _word(name: str) -> str:
    return name.replace("_", "-")


def _size(value: int | tuple[str, ...]) -> int:
    return value if isinstance(value, int) else len(value)
