"""Stages, their names and their notebooks: data, code and files agree.

Invariants of ``labapp.course.verify``; static.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from labapp.course.course import FILE
from labapp.course.notebooks import CASES
from labapp.course.verify.context import Context, Problem

CODE = "labapp/course/stages.py"


def numbers_have_no_gaps(context: Context) -> Iterator[Problem]:
    """Stages are numbered 00, 01, 02 and so on, in the order of the file."""
    for position, lesson in enumerate(context.course.stage):
        if lesson.number != f"{position:02}":
            yield Problem(
                f"{FILE}, stage {lesson.number}",
                f"it stands where stage {position:02} is due",
                "order the stages by number, without gaps and from 00 on",
            )
            return  # all that follow are wrong for the same reason


def names_are_unique(context: Context) -> Iterator[Problem]:
    """No two stages share a name or a title, and no two list one notebook."""
    stages = context.course.stage
    told = {
        "name": [lesson.name for lesson in stages],
        "title": [lesson.title for lesson in stages],
        "notebook": [name for lesson in stages for name in lesson.notebooks],
    }
    for what, names in told.items():
        for name in (name for name, count in Counter(names).items() if count > 1):
            yield Problem(FILE, f"two stages have the {what} {name!r}", "rename one of them")


def questions_are_questions(context: Context) -> Iterator[Problem]:
    """What a stage asks ends with a question mark."""
    for lesson in context.course.stage:
        if not lesson.question.endswith("?"):
            yield Problem(
                f"{FILE}, stage {lesson.number}",
                f"{lesson.question!r} is no question",
                "end it with a question mark",
            )


def stages_are_those_of_the_code(context: Context) -> Iterator[Problem]:
    """The file and the code know the same stages, and the same ones have exercises."""
    told = {lesson.number: lesson for lesson in context.course.stage}
    for number in context.stages.keys() - told.keys():
        yield Problem(FILE, f"it lacks stage {number}", "add its [[stage]]")
    for number, lesson in told.items():
        where = f"{FILE}, stage {number}"
        stage = context.stages.get(number)
        if stage is None:
            yield Problem(where, "the code does not know it", f"add it to STAGES in {CODE}")
            continue
        if (stage.number, stage.name) != (number, lesson.name):
            yield Problem(
                where, f"it is {stage.folder} in the code", f"write one name here and in {CODE}"
            )
        if bool(stage.trials) != bool(lesson.exercise):
            has, lacks = ("trials", FILE) if stage.trials else ("an exercise", "the code")
            yield Problem(
                where,
                f"it has {has}, and {lacks} knows nothing of an exercise",
                "give it a [stage.exercise] and trials in its module, or neither",
            )


def notebooks_are_listed(context: Context) -> Iterator[Problem]:
    """Each notebook that the file lists is there and can be read; each that is there is listed."""
    there = context.notebooks.keys() | context.unreadable.keys()
    for path in sorted(context.listed.keys() - there):
        yield Problem(path, f"{FILE} lists it, and it is not there", "write it, or rename it there")
    for path in sorted(there - context.listed.keys()):
        table = "[cases]" if path.startswith(f"notebooks/{CASES}/") else "notebooks of its stage"
        yield Problem(
            path, f"{FILE} does not list it", f"add it with its seconds to the {table} in {FILE}"
        )
    for path, error in context.unreadable.items():
        yield Problem(path, error.message, error.hint)


def notebooks_are_named_as_their_stage(context: Context) -> Iterator[Problem]:
    """The lesson is called as its stage, an appendix begins with the stage's number."""
    for lesson in context.course.stage:
        where = f"{FILE}, stage {lesson.number}"
        first, *others = lesson.notebooks
        if first != lesson.folder:
            yield Problem(
                where, f"its lesson is called {first}", f"list {lesson.folder} first: the lesson"
            )
        for name in others:
            if not name.startswith(lesson.number):
                yield Problem(
                    where,
                    f"its appendix is called {name}",
                    f"call it {lesson.number}a_..., so that `--stage {lesson.number}` finds it",
                )


INVARIANTS = (
    numbers_have_no_gaps,
    names_are_unique,
    questions_are_questions,
    stages_are_those_of_the_code,
    notebooks_are_listed,
    notebooks_are_named_as_their_stage,
)
