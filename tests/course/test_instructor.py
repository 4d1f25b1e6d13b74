"""docs/instructor.md: minutes as in course.toml, times that add up, verdicts as they are stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from labapp.course.course import Lesson, parsed
from labapp.course.notebook_rules import stored_text
from labapp.course.notebooks import code_cells, read

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "instructor.md").read_text()
COURSE = parsed((ROOT / "course.toml").read_text())
DAYS = ("A full day", "A second day")
SCHEDULES = ("Half a day", *DAYS)
WORK = re.compile(r"(\d\d) (lesson|exercise)")
SAID = re.compile(r"- \*\*([\w-]+)\*\* `(.+)`\n  \*“.+”\* \S.*")
LONGEST = 90
"""Minutes that people sit without a break."""


@dataclass(frozen=True)
class Row:
    """A line of a schedule; times in minutes since midnight."""

    start: int
    minutes: int
    what: str

    @property
    def is_pause(self) -> bool:
        """Whether people may leave their seats."""
        return self.what in ("break", "lunch", "end")


def section(title: str, level: str = "##") -> str:
    """What stands below a heading."""
    found = re.search(
        rf"^{level} {re.escape(title)}\n(.*?)(?=^##? |^{level} |\Z)",
        GUIDE,
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"the guide has no section {title!r}"
    return found[1]


def cells(text: str) -> list[list[str]]:
    """The rows of the first table in a text, without its heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[2:]


def schedule(title: str) -> list[Row]:
    """The rows of a schedule."""

    def row(start: str, minutes: str, what: str) -> Row:
        hours, past = start.split(":")
        return Row(int(hours) * 60 + int(past), int(minutes or 0), what)

    return [row(*found) for found in cells(section(title))]


def minutes(lesson: Lesson, part: str) -> int:
    """What course.toml says."""
    if part == "lesson":
        return lesson.minutes
    assert lesson.exercise, f"stage {lesson.number} has no exercise"
    return lesson.exercise.minutes


def test_the_overview_says_of_every_stage_what_course_toml_says() -> None:
    told = cells(GUIDE[: GUIDE.index("## Half a day")])
    assert told == [
        [
            one.number,
            one.question,
            str(one.minutes),
            str(one.exercise.minutes if one.exercise else ""),
        ]
        for one in COURSE.stage
    ]


@pytest.mark.parametrize("title", SCHEDULES)
def test_a_schedule_gives_each_stage_its_minutes(title: str) -> None:
    rows = [(row, WORK.fullmatch(row.what)) for row in schedule(title)]
    planned = [(found[1], found[2], row.minutes) for row, found in rows if found]
    assert planned == [(n, part, minutes(COURSE.lesson(n), part)) for n, part, _ in planned]
    assert [(n, part) for n, part, _ in planned] == sorted(
        {(n, part) for n, part, _ in planned}, key=lambda one: (one[0], one[1] != "lesson")
    ), "stages in order, each lesson before its exercise"


@pytest.mark.parametrize("title", SCHEDULES)
def test_the_times_of_a_schedule_add_up(title: str) -> None:
    rows = schedule(title)
    for row, following in pairwise(rows):
        assert row.start + row.minutes == following.start, row.what
    assert rows[-1] == Row(rows[-1].start, 0, "end")


@pytest.mark.parametrize("title", SCHEDULES)
def test_nobody_sits_for_long_without_a_break(title: str) -> None:
    seated = 0
    for row in schedule(title):
        seated = 0 if row.is_pause else seated + row.minutes
        assert seated <= LONGEST, row.what


def test_the_two_days_have_all_of_the_course() -> None:
    planned = {row.what for day in DAYS for row in schedule(day)}
    for lesson in COURSE.stage:
        assert f"{lesson.number} lesson" in planned
        assert not lesson.exercise or f"{lesson.number} exercise" in planned


@pytest.mark.parametrize("lesson", COURSE.stage, ids=lambda lesson: lesson.number)
def test_every_verdict_is_quoted_as_stored_with_a_question_and_an_answer(lesson: Lesson) -> None:
    notebook = code_cells(read(ROOT / lesson.notebook))
    experiments = [cell.lab["experiment"] for cell in notebook if "flip" in cell.lab]
    told = SAID.findall(section(f"{lesson.number} {lesson.title}", "###"))

    assert [name for name, _ in told] == experiments
    for name, line in told:
        shown = [cell.node.outputs for cell in notebook if cell.lab.get("experiment") == name]
        stored = "\n".join(map(stored_text, shown)).splitlines()
        assert line in [one.rstrip() for one in stored], f"{name}: not in the notebook"


def test_every_file_that_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
