"""The learner's loop on the command line: what is next, a hint, the way to the solution, progress.

Each function gives the text of one command; ``labapp.cli`` prints it.  It speaks of the course as
data and of files, and imports nothing that runs an experiment, so that it answers at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import Any

from labapp.course import progress
from labapp.course.course import Exercise, Lesson, course
from labapp.course.files import BRIEF, files_in, require_files
from labapp.course.naming import no_exercise, pick
from labapp.course.places import project_root
from labapp.course.progress import StageProgress
from labapp.errors import LabError
from labapp.views.tables import NONE, Cell, Table

WIDEST = 88
"""Columns of a text, where the terminal has as many."""
FENCED = re.compile(r"^(```.*?^```[ \t]*)$", re.MULTILINE | re.DOTALL)
AS_IT_IS = re.compile(r" {4}|\t|[|>#]| *[-*+] | *\d+[.)] ")
"""How a Markdown block begins whose lines mean something."""
CODE = re.compile(r"`[^`]+`")
UNBROKEN = "\u00a0"

Done = Mapping[str, StageProgress]


# --- which stage


def next_exercise(done: Done) -> Lesson | None:
    """The first stage whose exercise was never passed; None where all were."""
    open_ones = (lesson for lesson in course().exercises if not at(done, lesson).passed)
    return next(open_ones, None)


def at(done: Done, lesson: Lesson) -> StageProgress:
    """What was done in a stage."""
    return done.get(lesson.folder, StageProgress())


def chosen(name: str) -> tuple[Lesson, Exercise]:
    """A stage and its exercise, by the stage's number or name; "" for the one that is next.

    Raises:
        LabError: there is no such stage, it has no exercise, or none is next.
    """
    lesson = pick(course().stage, name) if name else next_exercise(progress.read())
    if lesson is None:
        first = course().exercises[0].number if course().exercises else "02"
        raise LabError("no stage is next: all are passed", hint=f"name one, {first} for example")
    if lesson.exercise is None:
        raise no_exercise(lesson, course().exercises)
    return lesson, lesson.exercise


# --- lab next


def next_text() -> str:
    """What to do next: stage, question, minutes, files, and how to check.

    Raises:
        LabError: the course or the progress cannot be read.
    """
    done = progress.read()
    first, lesson = course().stage[0], next_exercise(done)
    if lesson is None:
        return all_passed(done)
    if first.exercise is None and not any(stage.begun for stage in done.values()):
        return "\n".join([*heading(first), *first_steps(first, lesson)])
    return "\n".join([*heading(lesson), *steps(lesson, at(done, lesson))])


def heading(lesson: Lesson) -> list[str]:
    """A stage and its question."""
    return [f"Next: stage {lesson.number}, {lesson.title}", f"      {lesson.question}", ""]


def first_steps(lesson: Lesson, after: Lesson) -> list[str]:
    """What to do in a stage without an exercise, and which one follows."""
    rows = [*to_read(lesson), ("then", f"stage {after.number}, {after.title}: {after.notebook}")]
    return aligned(rows)


def steps(lesson: Lesson, done: StageProgress) -> list[str]:
    """What to do in a stage, in this order."""
    exercise, number = lesson.exercise, lesson.number
    if exercise is None:
        return aligned(to_read(lesson))
    gone = not (project_root() / lesson.file).is_file()
    rows = [
        *to_read(lesson),
        ("exercise", f"exercises/{lesson.folder}/{BRIEF} ({exercise.minutes} min)"),
        ("edit", lesson.file + (f" (missing: `lab reset {number}`)" if gone else "")),
        ("check", f"`lab check {number}`, or `lab watch {number}` for a check at each save"),
        ("stuck?", f"`lab hint {number}` ({seen_of(done, exercise)} hints seen)"),
    ]
    if done.checks:
        last = f", the last one: {done.diagnosis}" if done.diagnosis else ""
        rows.append(("so far", f"{counted(done.checks, 'check')}{last}"))
    return aligned(rows)


def to_read(lesson: Lesson) -> list[tuple[str, str]]:
    """The lesson's notebook, and its appendices."""
    more = [f"notebooks/{name}.ipynb" for name in list(lesson.notebooks)[1:]]
    rows = [("read", f"{lesson.notebook} ({lesson.minutes} min)")]
    return [*rows, *(("", f"{path} (if you want more)") for path in more)]


def aligned(rows: list[tuple[str, str]]) -> list[str]:
    """Lines with the first words under each other."""
    width = max(len(word) for word, _ in rows)
    return [f"  {word:<{width}}  {text}" for word, text in rows]


def all_passed(done: Done) -> str:
    """What is said at the end of the course."""
    count = len(course().exercises)
    return (
        f"Nothing is next: all {count} exercises are passed.\n"
        "`lab diff NN` shows an answer of yours beside the solution, `lab progress` the way there."
    )


def seen_of(done: StageProgress, exercise: Exercise) -> str:
    """How many hints were seen; an older version of the course may have had more of them."""
    total = len(exercise.hints)
    return f"{min(done.hints, total)} of {total}"


def counted(number: int, what: str) -> str:
    """ "1 check", "2 checks"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# --- lab hint


@dataclass(frozen=True)
class Hint:
    """A hint as it is given.

    Args:
        stage: number of the stage.
        number: of the hint, from 1.
        total: how many the stage has.
        text: Markdown.
        again: whether it was seen before.
    """

    stage: str
    number: int
    total: int
    text: str
    again: bool = False

    def __str__(self) -> str:
        last = ": there is no further one" if self.again and self.number == self.total else ""
        width = min(get_terminal_size().columns, WIDEST)
        title = f"Stage {self.stage}, hint {self.number} of {self.total}{last}"
        return f"{title}\n\n{wrapped(self.text, width)}"


def one_more_hint(name: str = "") -> Hint:
    """The next hint of a stage, noted as seen; the last one again when all have been.

    Args:
        name: number or name of the stage; "" for the one that is next.

    Raises:
        LabError: no such stage, or it has no hints; or the progress cannot be read.
    """
    lesson, texts = _hints(name)
    seen = min(progress.of(lesson.folder).hints, len(texts))
    number = min(seen + 1, len(texts))
    progress.note_hint(lesson.folder, number)
    return Hint(lesson.number, number, len(texts), texts[number - 1], again=number == seen)


def hints_seen(name: str = "") -> list[Hint]:
    """The hints of a stage that were given so far, in order.  Raises as ``one_more_hint`` does."""
    lesson, texts = _hints(name)
    seen = min(progress.of(lesson.folder).hints, len(texts))
    return [Hint(lesson.number, n, len(texts), texts[n - 1]) for n in range(1, seen + 1)]


def hint_text(name: str = "", again: bool = False) -> str:
    """One more hint of a stage, or those so far.  Raises as ``one_more_hint`` does."""
    if not again:
        return str(one_more_hint(name))
    seen = hints_seen(name)
    if not seen:
        lesson, _ = chosen(name)
        return (
            f"Stage {lesson.number}: no hint given yet; `lab hint {lesson.number}` gives the first."
        )
    return "\n\n".join(map(str, seen))


def _hints(name: str) -> tuple[Lesson, list[str]]:
    lesson, exercise = chosen(name)
    texts = [text.strip() for text in exercise.hints]
    if not texts:
        raise LabError(f"stage {lesson.folder} has no hints", hint="its notebook has the facts")
    return lesson, texts


def wrapped(markdown: str, width: int) -> str:
    """Markdown with each paragraph in lines that fit; lists, tables and code stay as they are.

    Args:
        markdown: the text.
        width: columns; what has no blank in it, or is code, may be longer.
    """
    parts = FENCED.split(markdown.strip("\n"))
    return "\n\n".join(filter(None, (_part(part, width) for part in parts)))


def _part(part: str, width: int) -> str:
    if FENCED.fullmatch(part):
        return part
    blocks = re.split(r"\n[ \t]*\n", part.strip("\n"))
    return "\n\n".join(_block(block, width) for block in blocks).strip("\n")


def _block(block: str, width: int) -> str:
    if AS_IT_IS.match(block):
        return block
    text = CODE.sub(lambda code: code[0].replace(" ", UNBROKEN), " ".join(block.split()))
    lines = fill(text, max(width, 1), break_long_words=False, break_on_hyphens=False)
    return lines.replace(UNBROKEN, " ")


# --- lab diff


def diff(name: str) -> Iterator[str]:
    """The lines from the learner's answer to the solution, once the stage was passed.

    Args:
        name: number or name of the stage.

    Raises:
        LabError: no such stage, it was never passed, or a file of the exercise is missing.
    """
    lesson, exercise = chosen(name)
    number = lesson.number
    if not progress.of(lesson.folder).passed:
        raise LabError(
            f"the solution of stage {number} is shown when yours has passed",
            hint=f"`lab check {number}` says what is missing, `lab hint {number}` helps",
        )
    root = project_root()
    mine, solution = (root / kind / lesson.folder for kind in ("exercises", "solutions"))
    require_files(number, mine, exercise.files[0])
    return _between(mine, solution)


def _between(mine: Path, solution: Path) -> Iterator[str]:
    """The differences of all Python files that both have, and the names of the others."""
    ours, theirs = _modules(mine), _modules(solution)
    same = True
    for path in sorted(ours & theirs):
        lines = list(_unified(mine / path, solution / path))
        same = same and not lines
        yield from lines
    if same:
        yield f"{', '.join(sorted(map(str, ours & theirs)))}: the same as in the solution"
    yield from (f"only in yours: {path}" for path in sorted(ours - theirs))
    yield from (f"only in the solution: {path}" for path in sorted(theirs - ours))
    if (solution / BRIEF).is_file():
        yield f"why it is done that way: solutions/{solution.name}/{BRIEF}"


def _modules(folder: Path) -> set[Path]:
    found = (path for path in files_in(folder) if path.suffix == ".py")
    return {path for path in found if path.parts[0] != "wrong_answers"}


def _unified(mine: Path, solution: Path) -> Iterator[str]:
    ours, theirs = (path.read_text(errors="replace").splitlines() for path in (mine, solution))
    here, there = (str(path.relative_to(project_root())) for path in (mine, solution))
    return difflib.unified_diff(ours, theirs, here, there, lineterm="")


# --- lab progress


def progress_text() -> str:
    """A row for each stage, the totals, and stages that this version of the course has not.

    Raises:
        LabError: the course or the progress cannot be read.
    """
    done = progress.read()
    rows = [row(lesson, at(done, lesson)) for lesson in course().stage]
    columns = ("stage", "title", "passed", "checks", "hints", "last diagnosis")
    lines = [repr(Table(columns, rows)), "", totals(done)]
    strange = [f"  {folder}: {told(stage)}" for folder, stage in unknown(done).items()]
    if strange:
        lines += ["", "Of another version of the course:", *strange]
    return "\n".join(lines)


def row(lesson: Lesson, done: StageProgress) -> list[Cell]:
    """One stage of the table."""
    if lesson.exercise is None:
        return [lesson.number, lesson.title, "no exercise", NONE, NONE, NONE]
    hints = seen_of(done, lesson.exercise)
    when = day_and_time(done.passed) if done.passed else "not yet"
    return [lesson.number, lesson.title, when, str(done.checks), hints, done.diagnosis or NONE]


def totals(done: Done) -> str:
    """The sums over the stages that have an exercise."""
    seen = [at(done, lesson) for lesson in course().exercises]
    passed = sum(bool(stage.passed) for stage in seen)
    checks, hints = (sum(getattr(stage, what) for stage in seen) for what in ("checks", "hints"))
    told = f"{passed} of {counted(len(seen), 'exercise')} passed"
    return f"{told} · {counted(checks, 'check')} · {counted(hints, 'hint')}"


def told(done: StageProgress) -> str:
    """A stage in a few words."""
    passed = f"passed {day_and_time(done.passed)}" if done.passed else "not passed"
    return f"{passed}, {counted(done.checks, 'check')}, {counted(done.hints, 'hint')}"


def unknown(done: Done) -> dict[str, StageProgress]:
    """What the file knows of stages that the course does not have."""
    known = {lesson.folder for lesson in course().stage}
    return {folder: stage for folder, stage in done.items() if folder not in known}


def day_and_time(moment: str) -> str:
    """A moment as the file has it, in the time of this place; what is no moment, as it is."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return moment


def progress_json() -> dict[str, Any]:
    """The same for programs.  Raises as ``progress_text`` does."""
    done = progress.read()
    seen = [at(done, lesson) for lesson in course().exercises]
    return {
        "stages": [
            {
                "stage": lesson.number,
                "folder": lesson.folder,
                "title": lesson.title,
                "exercise": lesson.exercise is not None,
                "hints_there_are": len(lesson.exercise.hints) if lesson.exercise else 0,
                **asdict(at(done, lesson)),
            }
            for lesson in course().stage
        ],
        "passed": sum(bool(stage.passed) for stage in seen),
        "exercises": len(seen),
        "unknown": {folder: asdict(stage) for folder, stage in unknown(done).items()},
    }
