"""``lab dead-letters``: the letters of the live database, or of RabbitMQ, from the command line.

Used by ``labapp.cli`` only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from labapp.errors import LabError
from labapp.lab.broker import Broker
from labapp.lab.dead_letters import (
    Letter,
    OnRedis,
    Store,
    opened,
    pick,
    replay,
    replay_all,
    require_replayable,
)
from labapp.lab.inspector import Inspector
from labapp.stack.state import find_stack
from labapp.views.tables import NONE, Table

LIVE_DATABASE = 0
"""Where the live worker works, and what is sent by hand goes."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which letters are meant.

    Args:
        rabbitmq: those of RabbitMQ, not those of the live database.
        queue: in which queue of RabbitMQ they are; "" for the usual one.
    """

    rabbitmq: bool = False
    queue: str = ""

    @property
    def command(self) -> str:
        """The command that asks for them, without its verb."""
        queue = f" --queue {self.queue}" if self.queue else ""
        return "lab dead-letters" + (f" --rabbitmq{queue}" if self.rabbitmq else "")

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """The store.

        Raises:
            LabError: no lab runs, or there is no RabbitMQ; a queue without RabbitMQ.
        """
        if self.rabbitmq:
            from labapp.lab.rabbitmq import LETTERS, OnRabbitMQ

            with OnRabbitMQ(self.queue or LETTERS) as letters:
                yield letters
            return
        if self.queue:
            raise LabError("--queue is for --rabbitmq only", hint="leave it out, or name both")
        broker = Broker(find_stack().broker_url(LIVE_DATABASE))
        try:
            yield OnRedis(broker)
        finally:
            broker.close()


def known_tasks(store: Store) -> Collection[str] | None:
    """The tasks that live workers know; None where none of them answers, or none is asked."""
    if not isinstance(store, OnRedis):
        return None
    inspector = Inspector(store.broker.url)
    try:
        return inspector.registered()
    finally:
        inspector.close()


def listing(where: Where, as_json: bool) -> str:
    """Every letter, as a table or as JSON."""
    with where.opened() as store:
        found = store.read()
    if as_json:
        return json.dumps([one.to_json() for one in found], indent=2)
    if not found:
        return "lab: no dead letters"
    rows = [(one.label, NONE if one.problem else one.call, one.trouble) for one in found]
    return repr(Table(("id", "call", "why"), rows))


def one(where: Where, name: str, as_json: bool) -> str:
    """One letter, field by field."""
    with where.opened() as store:
        found = pick(store.read(), name)
    return json.dumps(found.to_json(), indent=2) if as_json else repr(opened(found))


def replayed(where: Where, names: Sequence[str], every: bool) -> Iterator[str]:
    """Replay these, or all; a line for each that was moved, when it is."""
    require_choice(where, names, every, "replay")
    with where.opened() as store:
        known = known_tasks(store)
        if every:
            yield from (f"replayed {told(letter)}" for letter in replay_all(store, known))
            return
        found = picked(store, names)
        for letter in found:
            require_replayable(letter, known)
        for letter in found:
            if replay(store, letter, known):
                yield f"replayed {told(letter)}"


def discarded(where: Where, names: Sequence[str], every: bool) -> Iterator[str]:
    """Discard these, or all; a line for each that is gone, when it is."""
    require_choice(where, names, every, "discard")
    with where.opened() as store:
        for letter in store.read() if every else picked(store, names):
            if store.discard(letter):
                yield f"discarded {told(letter)}"


def picked(store: Store, names: Sequence[str]) -> list[Letter]:
    """The letters of these names, each once.  Raises LabError where there is none of a name."""
    there = store.read()
    return list({found.name: found for found in (pick(there, name) for name in names)}.values())


def told(letter: Letter) -> str:
    """A letter in a line: its id and its call."""
    return letter.label if letter.problem else f"{letter.label} {letter.call}"


def require_choice(where: Where, names: Sequence[str], every: bool, verb: str) -> None:
    """Raises LabError where it is not said which letters are meant, or said twice."""
    if bool(names) == every:
        raise LabError(
            f"{verb} which dead letters?",
            hint=f"`{where.command} {verb} ID`, or `{where.command} {verb} --all`",
        )
