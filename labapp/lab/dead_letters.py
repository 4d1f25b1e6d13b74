"""Dead letters: what failed for good, put aside to be looked at, sent again or thrown away.

Celery keeps none.  A shop that does writes them to the key ``dead_letters`` of its own Redis
database: a hash (field → letter, by task id) or a list; each letter is one JSON object with id,
task, args, kwargs and error.  Here they are read, and moved back into their queue in one step, so
that a letter is in exactly one of the two places, whoever is killed meanwhile.  What a notebook and
the command line do with letters is the same for another `Store`: ``labapp.lab.rabbitmq``.

May depend on ``labapp.lab.broker`` and below; used by ``labapp.lab`` and ``labapp.cli``.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from dataclasses import replace as changed
from functools import cache
from typing import Any, Protocol

from redis.client import NEVER_DECODE

from labapp.errors import LabError
from labapp.lab.broker import DEAD_LETTERS, Broker, answering
from labapp.lab.opened import MASK
from labapp.views.keys import one_line, printable
from labapp.views.tables import NONE, Table

KEY = DEAD_LETTERS
QUEUE = "celery"
"""Where a message goes whose letter names no queue: Celery's default."""
FIELDS = {"id": str, "task": str, "args": list, "kwargs": dict, "error": str}
"""What a letter has to have, and of which type (JSON's own)."""
TYPES = {str: "a text", list: "a list", dict: "an object"}
ADDRESS = re.compile(r"\bhttps?://[^\s'\")]+")
"""In an error's text: ports and scopes differ from run to run."""
SHORTEST_ID = 4
"""Characters of a task id that are enough to name it."""
# The message is pushed before the letter goes: a script is not undone where a command in it fails
# (the queue's key is no list, say), but then nothing has happened yet.
MOVE = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'hash' then
  if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
elseif kind == 'list' then
  if not redis.call('LPOS', KEYS[1], ARGV[2]) then return 0 end
else
  return 0
end
if ARGV[3] ~= '' then redis.call('LPUSH', KEYS[2], ARGV[3]) end
if kind == 'hash' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('LREM', KEYS[1], 1, ARGV[2])
end
return 1
"""
"""KEYS: the letters, the queue.  ARGV: field, entry as it was read, message ('' for none).
Gives 1; or 0 where the entry is not there as it was read: somebody else has moved it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One entry of the key.

    Args:
        name: field of the hash, or the letter's id; of an unreadable entry of a list its place.
        raw: the entry as it lies there.
        id: of the task.
        task: its name.
        args: its positional arguments.
        kwargs: its keyword arguments.
        error: why it failed.
        queue: where it came from.
        problem: why the entry cannot be read; "" where it can.
    """

    name: str
    raw: str
    id: str = ""
    task: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None
    error: str = ""
    queue: str = QUEUE
    problem: str = ""

    @property
    def key(self) -> str:
        """The business key of the lab's tasks: the first argument; else the name."""
        return str(self.args[0]) if self.args else self.name

    @property
    def call(self) -> str:
        """The call, as one would write it."""
        named = [f"{name}={value!r}" for name, value in (self.kwargs or {}).items()]
        return printable(f"{self.task}({', '.join([*map(repr, self.args), *named])})")

    @property
    def label(self) -> str:
        """The name as it can be printed."""
        return printable(self.name)

    @property
    def trouble(self) -> str:
        """Why it is here, in one line: its error, or why it cannot be read."""
        return f"cannot be read: {self.problem}" if self.problem else one_line(self.error)

    def to_json(self) -> dict[str, Any]:
        """The letter for programs."""
        if self.problem:
            return {"name": self.name, "problem": self.problem, "entry": self.raw}
        about = {"id": self.id, "task": self.task, "args": list(self.args)}
        return {**about, "kwargs": self.kwargs or {}, "error": self.error, "queue": self.queue}


def letter(name: str, raw: str) -> Letter:
    """An entry as a letter; one that is none says what it lacks.

    Args:
        name: field of the hash, or its place in the list.
        raw: the entry; bytes that are no UTF-8 as surrogates (`text`).
    """
    if not is_utf8(name + raw):
        return Letter(name, raw, problem="it is no UTF-8")
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return Letter(name, raw, problem="it is no JSON")
    if problem := problem_of(told):
        return Letter(name, raw, problem=problem)
    return Letter(
        name,
        raw,
        id=told["id"],
        task=told["task"],
        args=tuple(told["args"]),
        kwargs=told["kwargs"],
        error=told["error"],
        queue=told.get("queue", QUEUE),
    )


def text(found: bytes) -> str:
    """Bytes as text, from which `data` makes the same bytes again, UTF-8 or not."""
    return found.decode("utf-8", "surrogateescape")


def data(shown: str) -> bytes:
    """The bytes of `text`."""
    return shown.encode("utf-8", "surrogateescape")


def is_utf8(shown: str) -> bool:
    """Whether the bytes were text."""
    try:
        shown.encode()
    except UnicodeEncodeError:
        return False
    return True


def problem_of(told: Any) -> str:
    """Why this is no letter; "" where it is one."""
    if not isinstance(told, dict):
        return "it is no JSON object"
    if missing := [field for field in FIELDS if field not in told]:
        return f"it has no {missing[0]!r}"
    whole = {"queue": QUEUE, **told}
    for field, kind in {**FIELDS, "queue": str}.items():
        if not isinstance(whole[field], kind):
            return f"its {field!r} is not {TYPES[kind]}"
    empty = [field for field in ("id", "task", "queue") if not whole[field]]
    return f"its {empty[0]!r} is empty" if empty else ""


@answering
def read_letters(broker: Broker) -> list[Letter]:
    """Every entry, in the order of a list, or by call where a hash holds them.

    Raises:
        LabError: the key is neither a hash nor a list.
        Gone: the broker does not answer.
    """
    kind = str(broker.redis.type(KEY))
    if kind == "hash":
        entries: dict[bytes, bytes] = undecoded(broker, "HGETALL", KEY)
        found = [letter(text(name), text(raw)) for name, raw in entries.items()]
        return sorted(found, key=lambda one: (natural(one.key), one.name))
    if kind == "list":
        listed = enumerate(undecoded(broker, "LRANGE", KEY, 0, -1), start=1)
        return [named_by_id(letter(f"#{place}", text(raw))) for place, raw in listed]
    if kind == "none":
        return []
    raise LabError(
        f"the key {KEY!r} is a {kind}, and dead letters are in a hash or a list",
        hint=f"HSET {KEY} ID LETTER, or RPUSH {KEY} LETTER; DEL {KEY} removes what is there",
    )


def undecoded(broker: Broker, *command: Any) -> Any:
    """A reply in bytes: whatever lies there must not break the reading of the rest."""
    whole = {NEVER_DECODE: True}
    return broker.redis.execute_command(*command, **whole)  # type: ignore[no-untyped-call]


def natural(key: str) -> tuple[str, int]:
    """For sorting: order-2 before order-10."""
    stem = key.rstrip("0123456789")
    digits = key[len(stem) :]
    return (stem, int(digits)) if digits.isascii() and 0 < len(digits) < 16 else (key, -1)


def named_by_id(found: Letter) -> Letter:
    """A letter of a list goes by its id, and by its place where it has none."""
    return changed(found, name=found.id) if found.id else found


# What is done with them


def message_of(one: Letter) -> str:
    """The message of kombu's Redis transport that calls the letter's task, as new: no retries.

    It has the task's own id, so that whoever waits for the result gets the new one, and a delivery
    tag of its own (kombu/transport/virtual/base.py, ``_inplace_augment_message``)."""
    made = _app().amqp.as_task_v2(one.id, one.task, list(one.args), one.kwargs or {})
    body = base64.b64encode(json.dumps(made.body).encode()).decode()
    delivery = {"exchange": "", "routing_key": one.queue}
    return json.dumps(
        {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": made.headers,
            "properties": {
                **made.properties,
                "delivery_mode": 2,
                "delivery_info": delivery,
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )


@cache
def _app() -> Any:
    """An app that makes messages and sends none."""
    from celery import Celery

    return Celery("lab", set_as_current=False)


@answering
def move(broker: Broker, one: Letter, message: str = "") -> bool:
    """Take a letter away and, in the same step, put this message into its queue.

    Returns:
        Whether it was still there; somebody else may have moved it.
    """
    entry = (data(one.name), data(one.raw))
    moved = broker.redis.eval(MOVE, 2, KEY, one.queue, *entry, message)
    return bool(moved)


class Store(Protocol):
    """Where letters lie, for as long as one looks at them."""

    def read(self) -> list[Letter]:
        """Every entry, whether it is a letter or not."""

    def send_again(self, one: Letter) -> bool:
        """Put the task's message into its queue, and take the letter away; whether it was still
        there."""

    def discard(self, one: Letter) -> bool:
        """Throw a letter away; whether it was still there."""


@dataclass(frozen=True, slots=True)
class OnRedis:
    """The letters of one Redis database: a letter and its message change places in one step."""

    broker: Broker

    def __enter__(self) -> OnRedis:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def read(self) -> list[Letter]:
        """Every entry, in the order of `read_letters`."""
        return read_letters(self.broker)

    def send_again(self, one: Letter) -> bool:
        """Send a letter's task again; the letter goes in the same step."""
        return move(self.broker, one, message_of(one))

    def discard(self, one: Letter) -> bool:
        """Throw a letter away; whether it was still there."""
        return move(self.broker, one)


def replay(store: Store, one: Letter, known: Collection[str] | None = None) -> bool:
    """Send a letter's task again, and take the letter away.

    Args:
        store: where it lies.
        one: as it was read.
        known: names of the tasks that there are; None where nobody can say.

    Returns:
        Whether it was still there.

    Raises:
        LabError: the entry is no letter, or there is no such task any more.
    """
    require_replayable(one, known)
    return store.send_again(one)


def require_replayable(one: Letter, known: Collection[str] | None) -> None:
    """Raises LabError where the letter cannot be sent, or nobody would know its task."""
    if one.problem:
        raise LabError(
            f"the dead letter {one.label} cannot be read: {one.problem}",
            hint=f"a letter is a JSON object with {', '.join(FIELDS)}; discard it, or mend it",
        )
    if known is not None and one.task not in known:
        near = nearest(one.task, known)
        raise LabError(
            f"there is no task {one.task!r} any more, so {printable(one.key)} cannot be replayed",
            hint=f"did you mean {near}?" if near else "bring it back, or discard the letter",
        )


def replay_all(store: Store, known: Collection[str] | None = None) -> Iterator[Letter]:
    """Replay every letter that can be; each that was moved, as soon as it is.

    Raises:
        LabError: at the end, where some could not be replayed: the first of them.
    """
    problem: LabError | None = None
    for one in store.read():
        try:
            if replay(store, one, known):
                yield one
        except LabError as error:
            problem = problem or error
    if problem is not None:
        raise problem


def put_aside(
    broker: Broker, task: str, calls: Iterable[Sequence[Any]], error: str = "put aside by the lab"
) -> list[str]:
    """Write a dead letter for each of these calls, as if they had failed; their new ids."""
    ids = []
    for args in calls:
        ids.append(str(uuid.uuid4()))
        told = {"id": ids[-1], "task": task, "args": list(args), "kwargs": {}, "error": error}
        broker.redis.hset(KEY, ids[-1], json.dumps(told))
    return ids


def pick(letters: Sequence[Letter], wanted: str) -> Letter:
    """The letter of this name, id or business key; of an id its beginning is enough.

    Raises:
        LabError: there is none, or several; with the nearest one that there is.
    """
    if not letters:
        raise LabError("there are no dead letters", hint="nothing was put aside, or it is gone")
    found = [one for one in letters if one.name == wanted]
    found = found or [one for one in letters if one.key == wanted]
    if not found and len(wanted) >= SHORTEST_ID:
        found = [one for one in letters if one.name.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(one.label for one in found)
        raise LabError(f"{len(found)} dead letters go by {wanted!r}", hint=f"name one: {names}")
    near = nearest(wanted, [name for one in letters for name in (one.name, one.key)])
    raise LabError(
        f"there is no dead letter {wanted!r}",
        hint=f"did you mean {near}?" if near else "`lab dead-letters list` shows those there are",
    )


def nearest(name: str, names: Iterable[str]) -> str:
    """The name that looks most like this one; "" where none does."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(names), n=1)), "")


# How they are shown


def letters_table(letters: Sequence[Letter], caption: str = "Dead letters") -> Table:
    """One row for each letter, the same on every run: no ids, no times, no addresses."""
    rows = [
        (NONE, NONE, one.trouble)
        if one.problem
        else (printable(one.key), one.call, ADDRESS.sub(MASK, one.trouble))
        for one in letters
    ]
    return Table(("order", "call", "why"), rows, caption if rows else f"{caption}: none")


def opened(one: Letter) -> Table:
    """One letter, field by field."""
    fields = one.to_json()
    rows = [
        (name, printable(value) if isinstance(value, str) else json.dumps(value))
        for name, value in fields.items()
    ]
    return Table(("field", "value"), rows, f"The dead letter of {printable(one.key)}")


class DeadLetters:
    """The dead letters of one store, as a notebook has them: shown as a table.

    Args:
        store: opens it, each time that it is looked at.
        known: gives the names of the tasks that there are; None where nobody can say.
    """

    def __init__(
        self,
        store: Callable[[], AbstractContextManager[Store]],
        known: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        self._store = store
        self._known = known

    def read(self) -> list[Letter]:
        """The letters that lie there now."""
        with self._store() as store:
            return store.read()

    @property
    def table(self) -> Table:
        """One row for each."""
        return letters_table(self.read())

    def show(self, name: str) -> Table:
        """One letter, opened field by field.

        Args:
            name: its order, or its task's id.
        """
        return opened(pick(self.read(), name))

    def replay(self, *names: str, everything: bool = False) -> Table:
        """Send these letters' tasks again; no letter is lost on the way, whoever is killed.

        Args:
            names: orders, or ids of tasks.
            everything: all that there are.

        Raises:
            LabError: there is no such letter, or no such task any more.
        """
        every, known = chosen(names, everything), self._known()
        with self._store() as store:
            if every:
                return letters_table(list(replay_all(store, known)), "Back in their queue")
            found = [pick(store.read(), name) for name in names]
            for one in found:
                require_replayable(one, known)
            moved = [one for one in found if replay(store, one, known)]
        return letters_table(moved, "Back in their queue")

    def discard(self, *names: str, everything: bool = False) -> Table:
        """Throw these letters away.

        Args:
            names: orders, or ids of tasks.
            everything: all that there are.

        Raises:
            LabError: there is no such letter.
        """
        every = chosen(names, everything)
        with self._store() as store:
            there = store.read()
            found = there if every else [pick(there, name) for name in names]
            gone = [one for one in found if store.discard(one)]
        return letters_table(gone, "Thrown away")

    def __len__(self) -> int:
        return len(self.read())

    def __iter__(self) -> Iterator[Letter]:
        return iter(self.read())

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def chosen(names: Sequence[str], everything: bool) -> bool:
    """Whether all are meant.  Raises LabError where it is not said which, or said twice."""
    if bool(names) == everything:
        raise LabError(
            "which dead letters?", hint='name orders or ids, as in ("order-3"), or everything=True'
        )
    return everything
