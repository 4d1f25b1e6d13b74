"""``lab.broker.peek()``: Redis laid open, as a table that reads the same on every run.

Rows carry business keys and counts, never ids or times.  Used by ``labapp.lab.surface``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from labapp.lab.broker import Broker, Message
from labapp.views.keys import fold
from labapp.views.tables import NONE, Table


def peek(broker: Broker) -> Table:
    """The keys of kombu's Redis transport and of the result backend, and what is in them."""
    contents = broker.contents()
    held = tuple(contents.unacked.values())
    states = Counter(broker.result_states())
    rows = [
        ("celery", "list", len(contents.queued), keys(contents.queued)),
        ("unacked", "hash", len(held), keys(held)),
        ("unacked_index", "sorted set", broker.index_size(), keys(held)),
        ("celery-task-meta-*", "strings", sum(states.values()), counted(states)),
    ]
    return Table(("Redis key", "type", "entries", "of"), rows, "What Redis holds")


def keys(messages: Iterable[Message]) -> str:
    """The business keys of these messages."""
    return fold(message.first or message.task for message in messages) or NONE


def counted(states: Counter[str]) -> str:
    """Result states with their number, e.g. ``9 SUCCESS``."""
    return ", ".join(f"{states[state]} {state}" for state in sorted(states)) or NONE
