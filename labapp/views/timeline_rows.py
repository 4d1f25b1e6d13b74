"""Which rows a timeline has: each task is in exactly one.

Alone where there is room, else with others of the same story; what went well folds into one row,
and so does what is too much for the page.  Pure; depends on the tale, its words and its marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labapp.views.keys import fold, one_line
from labapp.views.timeline_marks import moments, over
from labapp.views.timeline_tasks import Delivery, Tale, Task
from labapp.views.timeline_text import outcome, stories

MOST_ALONE = 12
"""Tasks: with more of them, those that went well fold into one row."""
MOST_LANES = 18
"""Lanes of all rows together beside two workers; what is more is folded."""
MOST_LIVES = 6
"""Workers that have a row of their own."""
ROW_LANES = 3
MOST_DELIVERIES = 24
"""Deliveries that one row draws; the middle of a longer row is left out."""
LONGEST_NAME = 21


@dataclass(slots=True)
class Group:
    """Tasks that share a row: the first of them is drawn, or with `folded` only their effects."""

    tasks: list[Task]
    name: str
    fate: str = ""
    folded: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The business keys of its tasks."""
        return tuple(task.key for task in self.tasks)

    def lanes(self) -> int:
        """How many lanes its row needs."""
        return 1 if self.folded else lanes_of(shown(self.tasks[0]))


def groups(tale: Tale) -> list[Group]:
    """The rows of a tale, top to bottom; the first way of folding that fits the page."""
    lanes = MOST_LANES - max(0, min(len(tale.lives), MOST_LIVES) - 2)
    alone = [_alone(task, tale) for task in tale.tasks]
    if len(alone) <= MOST_ALONE and _fits(alone, lanes):
        return alone
    well = _folded([task for task in tale.tasks if task.went_well], "went well")
    eventful = [group for group in alone if not group.tasks[0].went_well]
    if _fits([*eventful, *well], lanes):
        return [*eventful, *well]
    told = [_told(tasks, fate) for (fate, _), tasks in stories(tale).items()]
    return [*_cut(told, lanes - 2), *well]


def _alone(task: Task, tale: Tale) -> Group:
    fate = "" if task.went_well else outcome(task, tale)
    return Group([task], clipped(one_line(task.key)), fate)


def _told(tasks: list[Task], fate: str) -> Group:
    """A row for all tasks of one story; the first of them is drawn."""
    name = fold(task.key for task in tasks)
    if len(name) > LONGEST_NAME:
        more = f" + {len(tasks) - 1} alike"
        name = clipped(one_line(tasks[0].key), LONGEST_NAME - len(more)) + more
    return Group(tasks, name, fate)


def _folded(tasks: list[Task], words: str) -> list[Group]:
    return [Group(tasks, f"{len(tasks)} {words}", folded=True)] if tasks else []


def _fits(found: Sequence[Group], lanes: int) -> bool:
    return sum(group.lanes() for group in found) <= lanes


def _cut(found: Sequence[Group], lanes: int) -> list[Group]:
    """As many as fit; the rest in one row."""
    kept: list[Group] = []
    for group in found:
        lanes -= group.lanes()
        if lanes < 0:
            break
        kept.append(group)
    rest = [task for group in found[len(kept) :] for task in group.tasks]
    return [*kept, *_folded(rest, "more")]


def shown(task: Task) -> list[Delivery]:
    """The deliveries of a task that are drawn: all, or without the middle."""
    found = task.deliveries
    half = MOST_DELIVERIES // 2
    return found if len(found) <= MOST_DELIVERIES else [*found[:half], *found[-half:]]


def lanes_of(deliveries: Sequence[Delivery]) -> int:
    """How many lanes they need so as not to cover each other."""
    return max(assigned(deliveries), default=0) + 1


def assigned(deliveries: Sequence[Delivery]) -> list[int]:
    """The lane of each delivery, in order: the first one that is free by then."""
    free: list[float] = []
    lanes: list[int] = []
    for delivery in deliveries:
        end = max(moments(delivery)) if over(delivery) else float("inf")
        fitting = (n for n, until in enumerate(free) if until <= delivery.fetched)
        lane = min(next(fitting, len(free)), ROW_LANES - 1)
        free[lane : lane + 1] = [end]
        lanes.append(lane)
    return lanes


def clipped(name: str, longest: int = LONGEST_NAME) -> str:
    """A name that fits its column."""
    return name if len(name) <= longest else name[: max(longest - 1, 1)] + "…"
