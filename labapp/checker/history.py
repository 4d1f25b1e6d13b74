"""The history of a run: everything that was seen, as plain values.

Pure and at the bottom of the checker: it may use `labapp.errors` and nothing else of the lab.
`at` is always seconds since the run began, and is what orders the events; the order in which
observers hand them in does not matter, since the world and the broker are read after the fact.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args, get_type_hints

from labapp.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Step: TypeAlias = Literal["queued", "fetched", "acknowledged", "redelivered", "rejected"]
Where: TypeAlias = Literal["queue", "unacked", "running", "waiting"]


@dataclass(frozen=True, slots=True)
class Sent:
    """One effect of business key `key` is expected; several of one key expect several."""

    at: float
    key: str
    task_id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request for `key` reached the world, whether or not an effect followed."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class Effect:
    """The world recorded an effect of `key`."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class FaultFired:
    """The fault `name` struck while the requests of `keys` were held."""

    at: float
    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """The messages of `keys` were unacked when time travelled, or went back to the queue."""

    at: float
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """The result state of one task, read after the run.

    `state` is Celery's name (PENDING, SUCCESS, FAILURE, RETRY, …); `error` the exception's class;
    `raised` where it came out of the task's own module ("shop.py, line 27: charge()"), if it did.
    """

    at: float
    key: str
    state: str
    error: str = ""
    raised: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """The fault makes the effect of `key` impossible: the only good end is a declared failure."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class Remaining:
    """When the run was read, the message of `key` was still there.

    `where`: in the queue, unacked, running in a worker, or waiting for an ETA in the future.
    """

    at: float
    key: str
    where: Where


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The message of `key` was put aside for a human to look at."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """An observer failed or a fault did not fire: nothing may be judged."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class BrokerState:
    """The keys whose messages lay in the broker at one moment; for views, not for the verdict."""

    at: float
    label: str
    queue: tuple[str, ...]
    unacked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """The broker did this with the message of `key` (from Redis MONITOR); for drawings.

    `worker`: whose connection asked for it (`w1`, …); empty where that is not known.
    `task_id`: of its task. Of a message that went into a queue also: `tag`, its delivery tag;
    `again`, whether it says of itself that it was delivered before; `wait`, for how many seconds it
    says that it must not run yet.
    """

    at: float
    key: str
    step: Step
    worker: str = ""
    task_id: str = ""
    tag: str = ""
    again: bool = False
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """A worker's event about the task of `key` (`task-received`, …); for drawings.

    No witness: events are asynchronous and die with the worker.
    """

    at: float
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The world's answer to a request for `key` left; for drawings."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A worker was started; `worker` is w1, w2, … in order of start.  For drawings.

    `early`: whether it acknowledges a message before the task runs. `room`: how many messages it
    keeps unacknowledged at most; 0 where that is not known.
    """

    at: float
    worker: str
    early: bool = False
    room: int = 0


@dataclass(frozen=True, slots=True)
class WorkerStruck:
    """This was done to `worker`, or it ended; with no worker's name, to the broker.  For drawings.

    `step`: "killed", "child killed", "paused", "woken", "TERM", "ended", …
    `keys`: whose tasks it struck; empty for all that the worker had in hand.
    """

    at: float
    worker: str
    step: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeTravel:
    """So many seconds were made to pass for everything unacknowledged; for drawings."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Note:
    """A remark for the reader of the history; not for the verdict."""

    at: float
    text: str


Event: TypeAlias = (
    Sent
    | Attempt
    | Effect
    | FaultFired
    | Restored
    | Result
    | Declared
    | Remaining
    | DeadLettered
    | Doubt
    | BrokerState
    | Mark
    | TaskEvent
    | Answered
    | WorkerStarted
    | WorkerStruck
    | TimeTravel
    | Note
)
E = TypeVar("E", bound=Event)


class History:
    """The events of one run, in the order in which they were handed in."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: list[Event] = list(events)

    def append(self, event: Event) -> None:
        """Add one event."""
        self._events.append(event)

    def extend(self, events: Iterable[Event]) -> None:
        """Add several events, for example what the world recorded."""
        self._events.extend(events)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in the order of the history."""
        return [event for event in self._events if isinstance(event, kind)]

    def to_lines(self) -> Iterator[str]:
        """One JSON object per event, for replay and bug reports.

        Raises ValueError for an `at` that JSON cannot carry (nan, inf).
        """
        return map(_encode, self._events)

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> History:
        """Read what `to_lines` wrote; blank lines are skipped.

        Raises LabError naming the first line that is no event.
        """
        numbered = enumerate(lines, start=1)
        return cls(_decode(number, line) for number, line in numbered if line.strip())

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self._events == other._events

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"History({len(self)} events)"


_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}
_HINTS = {kind: get_type_hints(kind) for kind in _KINDS.values()}


def _encode(event: Event) -> str:
    named = {"event": type(event).__name__, **asdict(event)}
    # ASCII only: a key with a line separator or a lone surrogate must not break the file.
    return json.dumps(named, allow_nan=False)


def _decode(number: int, line: str) -> Event:
    try:
        fields: dict[str, Any] = json.loads(line)
        kind = _KINDS[fields.pop("event")]
        return kind(**{name: _field(_HINTS[kind][name], value) for name, value in fields.items()})
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise LabError(
            f"line {number} of the history is no event: {line.strip()[:80]!r}",
            hint="a history is one JSON object per line, as written by History.to_lines()",
        ) from error


def _field(hint: Any, value: Any) -> Any:
    """`value` as the field's type; raises ValueError where it is of another."""
    read = _READERS.get(hint)
    known = read(value) if read else value if value in get_args(hint) else None
    if known is None:
        raise ValueError(f"{value!r} is no {hint}")
    return known


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _keys(value: Any) -> tuple[str, ...] | None:
    is_keys = isinstance(value, list) and all(isinstance(key, str) for key in value)
    return tuple(value) if is_keys else None


_READERS: dict[Any, Callable[[Any], Any]] = {
    float: _number,
    int: _count,
    str: _text,
    bool: _truth,
    tuple[str, ...]: _keys,
}
