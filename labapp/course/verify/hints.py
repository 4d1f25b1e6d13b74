"""What a learner is told before and during an exercise: the brief and the hints.

Invariants of ``labapp.course.verify``; static.
"""

from __future__ import annotations

from collections.abc import Iterator

from labapp.course.verify.context import Context, Problem

FEWEST = 3
LONGEST = 900
"""Characters of a hint: one screen, beside the file."""


def there_are_enough_hints(context: Context) -> Iterator[Problem]:
    """From a nudge to nearly the answer: three at least."""
    for one in context.exercised:
        count = len(one.exercise.hints)
        if count < FEWEST:
            yield Problem(
                one.entry,
                f"it has {count} hint{'s' * (count != 1)}",
                f"write {FEWEST} at least: a nudge, a way, nearly the answer",
            )


def hints_are_short(context: Context) -> Iterator[Problem]:
    """Each can be read at a glance.  (That none is empty, course.toml's own rules see to.)"""
    for one in context.exercised:
        for number, hint in enumerate(one.exercise.hints, start=1):
            where = f"{one.entry}, hint {number}"
            if len(hint.strip()) > LONGEST:
                yield Problem(
                    where,
                    f"it has {len(hint.strip())} characters",
                    f"cut it to {LONGEST}, or make two of it",
                )


def hints_are_not_in_the_brief(context: Context) -> Iterator[Problem]:
    """A hint says what its reader has not read yet."""
    for one in context.exercised:
        brief = " ".join(context.text(one.brief).split())
        for number, hint in enumerate(one.exercise.hints, start=1):
            if any(" ".join(part.split()) in brief for part in hint.strip().split("\n\n")):
                yield Problem(
                    f"{one.entry}, hint {number}",
                    f"it stands in {one.brief}",
                    "take it out of one of them",
                )


def briefs_name_every_fault(context: Context) -> Iterator[Problem]:
    """The brief has a row for each trial."""
    for one in context.exercised:
        brief = context.text(one.brief)
        for trial in one.stage.trials:
            if f"| {trial.name} |" not in brief:
                yield Problem(
                    one.brief,
                    f"it does not name {trial.name!r}",
                    f"add a row `| {trial.name} | what happens | what is asked |`",
                )


def briefs_say_how_to_check(context: Context) -> Iterator[Problem]:
    """The brief has the command."""
    for one in context.exercised:
        command = f"lab check {one.lesson.number}"
        if command not in context.text(one.brief):
            yield Problem(one.brief, "it does not say how to check", f"name `{command}`")


INVARIANTS = (
    there_are_enough_hints,
    hints_are_short,
    hints_are_not_in_the_brief,
    briefs_name_every_fault,
    briefs_say_how_to_check,
)
