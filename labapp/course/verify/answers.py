"""Wrong answers: enough kinds, listed, explained, and told the same in every place.

Invariants of ``labapp.course.verify``; static.  What the check says of them is in ``running``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from labapp.course.course import FILE
from labapp.course.verify.context import Context, Problem

FEWEST_KINDS = 4
_ROW = re.compile(r"^\| `(\w+)` \| (.+) \| (.+) \| `(.+)` \|$", re.MULTILINE)


def starters_are_told_a_diagnosis_of_their_stage(context: Context) -> Iterator[Problem]:
    """What the check is to say of the untouched files is something that it can say."""
    for one in context.exercised:
        codes = [diagnosis.code for diagnosis in one.stage.diagnoses]
        if one.exercise.starter not in codes:
            yield Problem(
                one.entry,
                f"the starter's {one.exercise.starter!r} is no diagnosis of the stage",
                f"one of: {', '.join(codes)}",
            )


def wrong_answers_are_listed(context: Context) -> Iterator[Problem]:
    """The file lists the folders that are there."""
    for one in context.exercised:
        folder = context.root / one.wrong_answers
        there = {path.name for path in folder.glob("[!_.]*/")} if folder.is_dir() else set()
        listed = one.exercise.wrong_answers.keys()
        for name in sorted(there - listed):
            yield Problem(
                f"{one.wrong_answers}/{name}",
                f"{FILE} does not list it",
                f'add `{name} = {{ fault = "...", diagnosis = "..." }}`, or remove the folder',
            )
        for name in sorted(listed - there):
            yield Problem(
                f"{one.wrong_answers}/{name}",
                f"{FILE} lists it, and it is not there",
                "write it, or take it off the list",
            )


def wrong_answers_fail_as_the_stage_can_tell(context: Context) -> Iterator[Problem]:
    """The fault that decides is a trial of the stage, and the diagnosis is one of its own."""
    for one in context.exercised:
        faults = [trial.name for trial in one.stage.trials]
        codes = [diagnosis.code for diagnosis in one.stage.diagnoses]
        for name, told in one.exercise.wrong_answers.items():
            where = f"{one.entry}, {name}"
            if told.fault not in faults:
                yield Problem(where, f"{told.fault!r} is no trial", f"one of: {', '.join(faults)}")
            if told.diagnosis not in codes:
                yield Problem(
                    where,
                    f"{told.diagnosis!r} is no diagnosis of the stage",
                    f"one of: {', '.join(codes)}",
                )


def wrong_answers_are_of_several_kinds(context: Context) -> Iterator[Problem]:
    """They get different diagnoses, four at least."""
    for one in context.exercised:
        kinds = {told.diagnosis for told in one.exercise.wrong_answers.values()}
        if len(kinds) < FEWEST_KINDS:
            yield Problem(
                one.entry,
                f"its wrong answers are of {len(kinds)} kind{'s' * (len(kinds) != 1)}",
                f"add some that differ in mechanism, until there are {FEWEST_KINDS} diagnoses",
            )


def wrong_answers_say_what_they_believe(context: Context) -> Iterator[Problem]:
    """Each has the module that is checked, and its docstring says why one would write that."""
    for one in context.exercised:
        for name in one.exercise.wrong_answers:
            path = f"{one.wrong_answers}/{name}/{one.stage.module}.py"
            if not (context.root / path).is_file():
                yield Problem(path, "it is not there", "an answer needs the module that is checked")
                continue
            try:
                believes = ast.get_docstring(ast.parse(context.text(path)))
            except SyntaxError as error:
                yield Problem(path, f"it is no Python: {error.msg}", f"mend line {error.lineno}")
                continue
            if not believes:
                yield Problem(
                    path, "it has no docstring", "say there what its author believes, and why not"
                )


def tables_of_wrong_answers_agree(context: Context) -> Iterator[Problem]:
    """The solution's README has a row for each wrong answer, with its fault and its diagnosis."""
    for one in context.exercised:
        rows = _ROW.findall(context.text(one.reasons))
        shown = {name: (fault, diagnosis) for name, _, fault, diagnosis in rows}
        told = {n: (w.fault, w.diagnosis) for n, w in one.exercise.wrong_answers.items()}
        for name in sorted(shown.keys() | told.keys()):
            if name not in told:
                yield Problem(
                    one.reasons, f"{FILE} knows no wrong answer {name!r}", "remove its row"
                )
            elif shown.get(name) != told[name]:
                fault, diagnosis = told[name]
                yield Problem(
                    one.reasons,
                    f"its table does not say of {name!r} what {FILE} says",
                    f"| `{name}` | what it believes | {fault} | `{diagnosis}` |",
                )


INVARIANTS = (
    starters_are_told_a_diagnosis_of_their_stage,
    wrong_answers_are_listed,
    wrong_answers_fail_as_the_stage_can_tell,
    wrong_answers_are_of_several_kinds,
    wrong_answers_say_what_they_believe,
    tables_of_wrong_answers_agree,
)
