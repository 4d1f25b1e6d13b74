"""The broker laid open: which messages it holds, where, and since when.

Reads and ages the keys of kombu's Redis transport (kombu/transport/redis.py): the lists of a queue
(one per priority step), the hash ``unacked`` and its index ``unacked_index``.  May depend on
``labapp.stack`` and ``labapp.errors``; used by ``labapp.lab``.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import redis

from labapp.errors import LabError
from labapp.stack.control import Gone

POLL = 0.005
"""Seconds between two looks at the broker."""
REPLIES = ".reply.celery.pidbox"
"""Ending of the lists in which answers to ``inspect`` wait; they hold no tasks."""
DEAD_LETTERS = "dead_letters"
"""Where a shop puts aside what has failed (``labapp.lab.dead_letters``): a list there is no
queue."""
RESULT = "celery-task-meta-"
"""Prefix of a result's key (celery/backends/base.py)."""
AGE = """
local aged = 0
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and string.sub(key, -#ARGV[2]) ~= ARGV[2] then
    redis.call('PEXPIRE', key, left - ARGV[1])
    aged = aged + 1
  end
end
return aged
"""
"""Brings every key that has a time to live so many milliseconds nearer to its end, in one step; one
whose time is over is deleted (redis.io/commands/pexpire).  Answers to ``inspect`` are the lab's."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the broker.

    Args:
        task_id: Celery's id of the task.
        task: name of the task.
        first: its first positional argument, as text: the business key of the lab's tasks.
        eta: seconds since the epoch before which it must not run; 0 for at once.
    """

    task_id: str
    task: str
    first: str
    eta: float


@dataclass(frozen=True, slots=True)
class Contents:
    """What lay in the broker at one moment (read in one transaction).

    Args:
        queued: messages in the queues, next to be fetched first.
        unacked: messages fetched and not acknowledged, by delivery tag, oldest first.
    """

    queued: tuple[Message, ...]
    unacked: dict[str, Message]

    @property
    def empty(self) -> bool:
        """Whether no message is left."""
        return not self.queued and not self.unacked

    def messages(self) -> list[Message]:
        """All of them."""
        return [*self.queued, *self.unacked.values()]

    def ids(self) -> set[str]:
        """Task ids of all of them."""
        return {message.task_id for message in self.messages()}


def answering(method: Callable[P, T]) -> Callable[P, T]:
    """The method, with a broker that does not answer told as ``Gone``."""

    @wraps(method)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except redis.RedisError as error:
            raise unreachable(error) from error

    return told


class Broker:
    """One Redis database as Celery's broker and result backend.

    Every method raises ``Gone`` where the broker does not answer.

    Args:
        url: address with password and database.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = redis.Redis.from_url(url, decode_responses=True, socket_timeout=10.0)

    @answering
    def clear(self) -> None:
        """Delete every key of this database."""
        self.redis.flushdb()

    @answering
    def contents(self) -> Contents:
        """What lies in the broker now."""
        lists = self._lists()
        with self.redis.pipeline(transaction=True) as pipe:
            for key in lists:
                pipe.lrange(key, 0, -1)
            pipe.hgetall("unacked")
            pipe.zrange("unacked_index", 0, -1)
            *queues, held, index = pipe.execute()
        return Contents(
            tuple(message(raw) for queue in queues for raw in reversed(queue)),
            unacknowledged(held, index),
        )

    @answering
    def depths(self) -> tuple[dict[str, int], tuple[Message, ...]]:
        """How long each list of a queue is, by its key; and what is unacknowledged, oldest first.

        A long queue is not read, only measured: this is for who looks often."""
        lists = self._lists()
        with self.redis.pipeline(transaction=True) as pipe:
            for key in lists:
                pipe.llen(key)
            pipe.hgetall("unacked")
            pipe.zrange("unacked_index", 0, -1)
            *lengths, held, index = pipe.execute()
        unacked = unacknowledged(held, index)
        return dict(zip(lists, lengths, strict=True)), tuple(unacked.values())

    def _lists(self) -> list[str]:
        """The lists that are queues: not those of replies to ``inspect``, nor dead letters."""
        found = self.redis.scan_iter(_type="list", count=1000)
        return sorted(k for k in found if not k.endswith(REPLIES) and k != DEAD_LETTERS)

    @answering
    def results(self, task_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The stored result of each of these tasks that has one."""
        ids = list(task_ids)
        found = self.redis.mget([RESULT + task_id for task_id in ids]) if ids else []
        return {i: json.loads(raw) for i, raw in zip(ids, found, strict=True) if raw}

    @answering
    def result_states(self) -> list[str]:
        """The state of every result stored in this database."""
        found = list(self.redis.scan_iter(match=RESULT + "*", count=1000))
        stored = self.redis.mget(found) if found else []
        return [str(json.loads(raw)["status"]) for raw in stored if raw]

    @answering
    def expire_results(self) -> int:
        """Time travel: every stored result reaches its expiry now; how many there were."""
        found = list(self.redis.scan_iter(match=RESULT + "*", count=1000))
        with self.redis.pipeline(transaction=True) as pipe:
            for key in found:
                pipe.expire(key, 0)
            return sum(pipe.execute())

    @answering
    def index_size(self) -> int:
        """Number of entries in ``unacked_index``."""
        return int(self.redis.zcard("unacked_index"))

    @answering
    def travel(self, seconds: float, tags: Iterable[str] | None = None) -> list[str]:
        """Time travel: age unacknowledged messages by ``seconds``, all of them or these tags.

        Only their place in ``unacked_index`` changes, as if they had been fetched that much
        earlier; whoever sweeps next finds them overdue.  Returns the tags aged."""
        chosen = self._tags() if tags is None else list(tags)
        with self.redis.pipeline(transaction=True) as pipe:
            for tag in chosen:
                pipe.zincrby("unacked_index", -seconds, tag)
            pipe.execute()
        return chosen

    @answering
    def age_keys(self, seconds: float) -> int:
        """Time travel: every key with a time to live has that much less of it, or none any more.

        Locks, leases, results, the sweeper's mutex: they end by the clock, as messages come back by
        it.  Returns how many there were."""
        return int(self.redis.eval(AGE, 0, str(round(seconds * 1000)), REPLIES))

    def overdue(self, tags: Iterable[str], seconds: float) -> bool:
        """Whether one of these messages was fetched longer ago than this many seconds."""
        return bool(self.overdue_among(tags, seconds))

    @answering
    def overdue_among(self, tags: Iterable[str], seconds: float) -> list[str]:
        """Those of these messages that were fetched longer ago than this many seconds."""
        asked = list(tags)
        with self.redis.pipeline(transaction=True) as pipe:
            for tag in asked:
                pipe.zscore("unacked_index", tag)
            scores = zip(asked, pipe.execute(), strict=True)
        latest = time.time() - seconds
        return [tag for tag, score in scores if score is not None and score < latest]

    def _tags(self) -> list[str]:
        """Delivery tags of everything unacknowledged, oldest first."""
        return [str(tag) for tag in self.redis.zrange("unacked_index", 0, -1)]

    @answering
    def wait_gone(self, clients: Iterable[str], seconds: float = 10.0) -> None:
        """Wait until the broker has noticed that these connections (``host:port``) are closed."""
        gone = set(clients)
        wait_for(
            lambda: gone.isdisjoint(client["addr"] for client in self.redis.client_list()),
            "the broker to notice the dead worker's connections",
            seconds,
        )

    @answering
    def wait_unblocked(self, clients: Iterable[str], seconds: float = 10.0) -> None:
        """Wait until none of these connections waits in a blocking command (flag ``b``): from
        then on no message can go to them."""
        ours = set(clients)
        wait_for(lambda: not self.blocked(ours), "the stopped worker's BRPOP to time out", seconds)

    @answering
    def blocked(self, clients: Iterable[str]) -> bool:
        """Whether one of these connections waits in a blocking command now."""
        ours = set(clients)
        return any(
            client["addr"] in ours and "b" in client["flags"] for client in self.redis.client_list()
        )

    @answering
    def forget(self, messages: Iterable[Message]) -> None:
        """Delete every queue, where there are such messages (nobody is consuming them)."""
        if list(messages):
            self.redis.delete(*self._lists())

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()


def unacknowledged(held: Mapping[str, str], index: Sequence[str]) -> dict[str, Message]:
    """The messages of the hash ``unacked`` by delivery tag, in the order of their index."""
    order = {tag: place for place, tag in enumerate(index)}
    tags = sorted(held, key=lambda tag: order.get(tag, -1))
    return {tag: message(json.dumps(json.loads(held[tag])[0])) for tag in tags}


def message(raw: str) -> Message:
    """A message of kombu's Redis transport; one that is no Celery task keeps what is known."""
    data = json.loads(raw)
    headers = data.get("headers") or {}
    return Message(
        str(headers.get("id", "")),
        str(headers.get("task", "")),
        first_argument(data),
        eta_seconds(headers.get("eta")),
    )


def first_argument(data: dict[str, Any]) -> str:
    """The first positional argument in the message's body, as text; empty where there is none."""
    try:
        arguments = json.loads(base64.b64decode(data["body"]))[0]
        return str(arguments[0]) if arguments else ""
    except (ValueError, KeyError, IndexError, TypeError):
        return ""


def eta_seconds(eta: str | None) -> float:
    """An ETA header as seconds since the epoch; 0 where there is none."""
    if not eta:
        return 0.0
    when = datetime.fromisoformat(eta)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def wait_for(reached: Callable[[], object], what: str, seconds: float, hint: str = "") -> None:
    """Wait until ``reached()``.  Raises LabError naming ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:.0f} s in vain for {what}", hint=hint)
        time.sleep(POLL)


def unreachable(error: Exception) -> LabError:
    """What to say where the broker does not answer."""
    return Gone(
        f"the broker does not answer ({type(error).__name__})",
        hint="look at `lab status` and `lab logs broker`; `lab up` starts what is missing",
    )
