"""What a check tries and says: faults as the data names them, diagnoses that a learner can use.

Invariants of ``labapp.course.verify``; static.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

from labapp.course.stage import Diagnosis
from labapp.course.verify.context import Context, Exercised, Problem

LONGEST_TEXT = 340
"""Characters of a diagnosis: it is read by somebody in trouble."""


def faults_are_the_trials(context: Context) -> Iterator[Problem]:
    """The faults that the file lists are the trials of the code, in their order."""
    for one in context.exercised:
        tried = [trial.name for trial in one.stage.trials]
        if list(one.exercise.faults) != tried:
            yield Problem(
                one.entry,
                "its faults are not what the check tries",
                f"faults = {json.dumps(tried, ensure_ascii=False)}",
            )


def trials_begin_without_a_fault(context: Context) -> Iterator[Problem]:
    """The first trial has no fault and demands exactly once; every other one has a fault."""
    for one in context.exercised:
        where = module_of(one)
        first, *others = one.stage.trials
        if first.fault is not None:
            yield Problem(where, f"{first.name!r} comes first", "put a trial without a fault first")
        elif not first.exactly_once:
            yield Problem(
                where, f"{first.name!r} allows duplicates", "without a fault, demand exactly once"
            )
        for trial in others:
            if trial.fault is None:
                yield Problem(where, f"{trial.name!r} has no fault", "give every other trial one")


def trials_and_codes_are_unique(context: Context) -> Iterator[Problem]:
    """No two trials of a stage share a name, and no two of its diagnoses a code."""
    for one in context.exercised:
        told = {
            "trials": [trial.name for trial in one.stage.trials],
            "diagnoses": [diagnosis.code for diagnosis in one.stage.diagnoses],
        }
        for what, names in told.items():
            for name in (name for name, count in Counter(names).items() if count > 1):
                yield Problem(
                    module_of(one), f"two {what} are called {name!r}", "rename one of them"
                )


def diagnoses_are_short_sentences(context: Context) -> Iterator[Problem]:
    """A diagnosis is short, and it and its hint end as the report needs it."""
    for diagnosis, where in diagnoses(context):
        if len(diagnosis.says) > LONGEST_TEXT:
            yield Problem(
                where,
                f"it has {len(diagnosis.says)} characters",
                f"shorten it to {LONGEST_TEXT}: its reader is in trouble",
            )
        if not diagnosis.says.endswith("."):
            yield Problem(where, "what it says is no sentence", "end it with a full stop")
        if diagnosis.look.endswith("."):
            yield Problem(
                where, "`look` ends with a full stop", "the report adds the stop: drop it"
            )


def diagnoses_send_to_places_that_exist(context: Context) -> Iterator[Problem]:
    """The files that a diagnosis names are there, and so are the sections of a notebook."""
    for diagnosis, where in diagnoses(context):
        for file in re.findall(r"[\w/]+\.(?:ipynb|md)", f"{diagnosis.says} {diagnosis.look}"):
            if not (context.root / file).is_file():
                yield Problem(where, f"it names {file}, which is not there", "name one that is")
        yield from _missing_sections(context, diagnosis, where)


def _missing_sections(context: Context, diagnosis: Diagnosis, where: str) -> Iterator[Problem]:
    lesson = re.search(r"[\w/]+\.ipynb", diagnosis.look)
    if not lesson or lesson[0] not in context.cells:
        return
    known = {heading for cell in context.cells[lesson[0]] for heading in cell.headings}
    for section in re.findall(r"'([A-Z][^']*)'", diagnosis.look):
        if section not in known:
            yield Problem(
                where, f"{lesson[0]} has no section {section!r}", "name one of its headings"
            )


def diagnoses(context: Context) -> Iterator[tuple[Diagnosis, str]]:
    """Each diagnosis of each stage, and where it stands."""
    for one in context.exercised:
        for diagnosis in one.stage.diagnoses:
            yield diagnosis, f"{module_of(one)}, {diagnosis.code}"


def module_of(one: Exercised) -> str:
    """Path of the stage's module."""
    return f"labapp/course/stage_{one.lesson.number}.py"


INVARIANTS = (
    faults_are_the_trials,
    trials_begin_without_a_fault,
    trials_and_codes_are_unique,
    diagnoses_are_short_sentences,
    diagnoses_send_to_places_that_exist,
)
