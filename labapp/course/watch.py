"""``lab watch``: a check at once, and one more each time the learner saves.

Used by ``labapp.cli``.  Saves are noticed by watchfiles, from before the first check on: what is
saved while a check runs is checked next.  Where the system tells of no changes (a folder shared
over a network, some mounts of Docker) ``WATCHFILES_FORCE_POLLING=1`` makes it look for itself.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click
from watchfiles import Change
from watchfiles import watch as changes_in

from labapp.course.check import PASSED, check
from labapp.course.course import Lesson
from labapp.course.files import counts, starter_files
from labapp.course.loop import chosen, next_text
from labapp.course.places import project_root
from labapp.errors import LabError
from labapp.lab.publisher import Module
from labapp.stack.state import find_stack

DEBOUNCE = 1600
"""Milliseconds over which changes in quick succession are one save, at the most."""
STEP = 100
"""Milliseconds without a change after which a save is complete."""
BEGUN = 200
"""Milliseconds without a change after which watching says that it has begun, or goes on."""
WAITING = "waiting for a change; Ctrl-C ends it"


def watch(name: str = "") -> int:
    """Check a stage's exercise until it passes; 0, the exit status.

    Args:
        name: number or name of the stage; "" for the one that is next.

    Raises:
        LabError: no such stage, its folder is gone, or no lab is running.
        KeyboardInterrupt: Ctrl-C; a check that was running has been ended.
    """
    lesson, _ = chosen(name)
    folder = (project_root() / "exercises" / lesson.folder).resolve()
    starter_files(folder)  # no folder, no starter: waiting would be in vain
    find_stack()
    with closing(saves(folder)) as saved:
        changed = next(saved)
        while not passes(lesson, folder, changed):
            changed = next(saved)  # while it was checked
            if not changed:
                click.echo(f"\n{WAITING}")
                changed = next(names for names in saved if names)
    click.echo(f"\n{next_text()}")
    return PASSED


def saves(folder: Path) -> Generator[list[str], None, None]:
    """Names of an exercise's Python files that were saved; none, again and again, while none was.

    Where the whole folder was replaced or is gone, its name is among them.

    Nothing that is saved after the first of these answers is missed, also while nobody asks for
    the next one.

    Args:
        folder: absolute, without links.  The one above is watched, since editors, ``git`` and
            learners replace files and folders.
    """
    found = changes_in(
        folder.parent,
        watch_filter=lambda change, path: is_save(folder, change, Path(path)),
        debounce=DEBOUNCE,
        step=STEP,
        rust_timeout=BEGUN,
        yield_on_timeout=True,
    )
    with closing(found):
        for changes in found:
            yield sorted({Path(path).name for _, path in changes})


def is_save(folder: Path, change: Change, path: Path) -> bool:
    """Whether a change is of Python that belongs to the exercise; an editor's own files do not.

    Of a folder that is replaced as a whole (``git checkout``) the files are not always told."""
    if path == folder:
        return change is not Change.modified
    within = path.suffix == ".py" and path.is_relative_to(folder)
    return within and counts(path.relative_to(folder))


def passes(lesson: Lesson, folder: Path, changed: list[str]) -> bool:
    """One round: a header, the report, and whether the answer that is there now has passed.

    Where there can be no report, the reason is shown."""
    saved = f" · saved: {', '.join(changed)}" if changed else ""
    title = f"stage {lesson.number}, {lesson.title} · {datetime.now().astimezone():%H:%M:%S}{saved}"
    click.secho(f"\n── {title} ──", bold=True)
    answer = Module(lesson.name, folder)
    before = answer.version()
    try:
        report = check(lesson.number, "exercises", click.echo)
    except LabError as error:
        click.echo("\n".join(error.lines))
        return False
    click.echo(f"\n{report!r}")
    return report.passed and answer.version() == before
