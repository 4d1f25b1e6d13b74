"""``lab dead-letters``: the letters of the live database, from the command line.

Used by ``labapp.cli`` only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from labapp.errors import LabError
from labapp.lab.broker import Broker
from labapp.lab.dead_letters import (
    Letter,
    discard,
    opened,
    pick,
    read_letters,
    replay,
    replay_all,
    require_replayable,
)
from labapp.lab.inspector import Inspector
from labapp.stack.state import find_stack
from labapp.views.tables import NONE, Table

LIVE_DATABASE = 0
"""Where the live worker works, and what is sent by hand goes."""


@contextmanager
def live() -> Iterator[Broker]:
    """The live database.  Raises LabError where no lab runs."""
    broker = Broker(find_stack().broker_url(LIVE_DATABASE))
    try:
        yield broker
    finally:
        broker.close()


def known_tasks(broker: Broker) -> Collection[str] | None:
    """The tasks that live workers know; None where none of them answers."""
    inspector = Inspector(broker.url)
    try:
        return inspector.registered()
    finally:
        inspector.close()


def listing(as_json: bool) -> str:
    """Every letter, as a table or as JSON."""
    with live() as broker:
        found = read_letters(broker)
    if as_json:
        return json.dumps([one.to_json() for one in found], indent=2)
    if not found:
        return "lab: no dead letters"
    rows = [(one.label, NONE if one.problem else one.call, one.trouble) for one in found]
    return repr(Table(("id", "call", "why"), rows))


def one(name: str, as_json: bool) -> str:
    """One letter, field by field."""
    with live() as broker:
        found = pick(read_letters(broker), name)
    return json.dumps(found.to_json(), indent=2) if as_json else repr(opened(found))


def replayed(names: Sequence[str], every: bool) -> Iterator[str]:
    """Replay these, or all; a line for each that was moved, when it is."""
    require_choice(names, every, "replay")
    with live() as broker:
        known = known_tasks(broker)
        if every:
            yield from (f"replayed {told(letter)}" for letter in replay_all(broker, known))
            return
        found = picked(broker, names)
        for letter in found:
            require_replayable(letter, known)
        for letter in found:
            if replay(broker, letter, known):
                yield f"replayed {told(letter)}"


def discarded(names: Sequence[str], every: bool) -> Iterator[str]:
    """Discard these, or all; a line for each that is gone, when it is."""
    require_choice(names, every, "discard")
    with live() as broker:
        for letter in read_letters(broker) if every else picked(broker, names):
            if discard(broker, letter):
                yield f"discarded {told(letter)}"


def picked(broker: Broker, names: Sequence[str]) -> list[Letter]:
    """The letters of these names, each once.  Raises LabError where there is none of a name."""
    there = read_letters(broker)
    return list({found.name: found for found in (pick(there, name) for name in names)}.values())


def told(letter: Letter) -> str:
    """A letter in a line: its id and its call."""
    return letter.label if letter.problem else f"{letter.label} {letter.call}"


def require_choice(names: Sequence[str], every: bool, verb: str) -> None:
    """Raises LabError where it is not said which letters are meant, or said twice."""
    if bool(names) == every:
        raise LabError(
            f"{verb} which dead letters?",
            hint=f"`lab dead-letters {verb} ID`, or `lab dead-letters {verb} --all`",
        )
