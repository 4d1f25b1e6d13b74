"""``lab.exercise("02")``: an exercise in one cell of a notebook.

The brief with a link that opens the file beside the notebook, a check, hints, progress, and the
last verdict with the timeline of the fault to look at first.  Everything that it does is also a
method, so that it works without a browser, and a command (`lab check 02`, `lab hint 02`).

Depends on ipywidgets, and on the rest of ``labapp.course``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labapp.course.check import check
from labapp.course.course import Exercise, Lesson, course
from labapp.course.files import BRIEF
from labapp.course.loop import one_more_hint
from labapp.course.naming import no_exercise
from labapp.course.places import project_root
from labapp.course.progress import of
from labapp.course.report import Report
from labapp.course.stages import stage_named
from labapp.errors import LabError
from labapp.views import markup
from labapp.views.keys import fold

SEEN_ELSEWHERE = ("How to check", "Hints")
"""Sections of a brief that the buttons stand for."""


class ExerciseView:
    """The exercise of one stage, as a notebook shows it.

    Args:
        stage: number or name.

    Raises:
        LabError: there is no such stage, or it has no exercise, or its brief is gone.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage_named(stage)
        self._lesson = course().lesson(self._stage.number)
        if self._lesson.exercise is None:
            raise no_exercise(self._lesson, course().exercises)
        self._exercise: Exercise = self._lesson.exercise
        self._brief = brief_of(self._lesson)

    def check(self, progress: Callable[[str], object] = print) -> Report:
        """Check the answer; the report has the timelines of its faults.

        Args:
            progress: takes one line for each fault that was tried.

        Raises:
            LabError: it could not be run; with the reason.
        """
        return check(self._stage, progress=progress, drawing=True)

    def hint(self) -> str:
        """One more hint, as Markdown; the last one again where all are given."""
        given = one_more_hint(self._stage.number)
        return f"**Hint {given.number} of {given.total}.** {given.text}"

    @property
    def standing(self) -> str:
        """How far this learner has come with it, in one line."""
        done = of(self._stage.folder)
        if not done.checks:
            return "not checked yet"
        last = f"not yet ({done.diagnosis})" if done.diagnosis else "passed"
        often = "once" if done.checks == 1 else f"{done.checks} times"
        before = "; it has passed before" if done.diagnosis and done.passed else ""
        return f"checked {often}, last time: {last}{before}; hints taken: {done.hints}"

    def __repr__(self) -> str:
        lesson, exercise = self._lesson, self._exercise
        return "\n".join(
            [
                f"Exercise {lesson.number} · {lesson.title}",
                f"file    {lesson.file}",
                f"faults  {fold(exercise.faults, None)}",
                f"check   the button, or: lab check {lesson.number}",
                f"hints   {len(exercise.hints)}: the button, or: lab hint {lesson.number}",
            ]
        )

    def _ipython_display_(self) -> None:
        """The brief, whose links JupyterLab opens beside the notebook, and below it the buttons."""
        from IPython.display import display

        brief = {"text/markdown": self._brief, "text/plain": repr(self)}
        display(brief, raw=True)  # type: ignore[no-untyped-call]
        display(Desk(self))  # type: ignore[no-untyped-call]


class Desk:
    """The buttons of an exercise, and what they show."""

    def __init__(self, view: ExerciseView) -> None:
        from ipywidgets import HTML, Button, HBox, Output, VBox

        self._view = view
        self._check = Button(description="Check", button_style="primary", tooltip="Try my file")
        self._hint = Button(description="Hint", tooltip="One more hint")
        self._standing = HTML()
        self._doing = HTML()
        self._hints, self._verdict = Output(), Output()
        self._said: set[str] = set()
        self._check.on_click(lambda _: self.check())
        self._hint.on_click(lambda _: self.hint())
        buttons = HBox([self._check, self._hint, self._standing])
        self._box = VBox([buttons, self._doing, self._hints, self._verdict])
        self._show_standing()

    def _show_standing(self) -> None:
        try:
            said = self._view.standing
        except LabError as error:
            said = str(error)
        self._standing.value = markup.text(said)

    def check(self) -> None:
        """Run the check; what it says stands below the buttons, and stays there."""
        self._check.disabled = True
        self._say("starting")
        try:
            self._show(self._view.check(self._say))
        except LabError as error:
            self._show(Trouble(error))
        finally:
            self._doing.value = ""
            self._check.disabled = False
            self._show_standing()

    def _say(self, line: str) -> None:
        self._doing.value = f'<span role="status">checking: {markup.text(line)}</span>'

    def _show(self, found: object) -> None:
        self._verdict.outputs = ()
        self._verdict.append_display_data(found)
        drawn = found.timeline if isinstance(found, Report) else None
        if drawn is not None:
            name, timeline = drawn
            self._verdict.append_display_data(Heading(f"What happened: {name}"))
            self._verdict.append_display_data(timeline)

    def hint(self) -> None:
        """Show one more hint below those that were shown."""
        try:
            said: Advice | Trouble = Advice(self._view.hint())
        except LabError as error:
            said = Trouble(error)
        if repr(said) not in self._said:
            self._hints.append_display_data(said)
            self._said.add(repr(said))
        self._show_standing()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        text = "Check and Hint are buttons here: run the cell."
        return {**self._box._repr_mimebundle_(), "text/plain": text}


class Advice:
    """A text in Markdown."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def _repr_markdown_(self) -> str:
        return self._text


class Heading:
    """A line above a picture."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return f"<p><strong>{markup.text(self._text)}</strong></p>"


class Trouble:
    """Why something could not be done: what is wrong, and how to mend it."""

    def __init__(self, error: LabError) -> None:
        self._error = error

    def __repr__(self) -> str:
        return "\n".join(self._error.lines)

    def _repr_html_(self) -> str:
        return f"<pre>{markup.text(repr(self))}</pre>"


def brief_of(lesson: Lesson) -> str:
    """The brief as Markdown, beneath a line with the file's link.

    Links are as a notebook in ``notebooks/`` needs them: JupyterLab opens what they lead to.

    Raises:
        LabError: the brief is gone.
    """
    path = f"exercises/{lesson.folder}/{BRIEF}"
    try:
        text = (project_root() / path).read_text()
    except OSError:
        raise LabError(f"there is no {path}", hint=f"`git checkout {path}`") from None
    file = Path(lesson.file).name
    opens = f"Your file: **[{file}](../{lesson.file})** (it opens beside this notebook)."
    title, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    kept = [part for part in sections if part.partition("\n")[0].strip() not in SEEN_ELSEWHERE]
    head = title.replace("# ", "### ", 1).rstrip()
    body = "".join(f"\n\n#### {part.rstrip()}" for part in kept)
    return f"{head}\n\n{opens}{body}\n"
