"""A message and a result of Celery's, opened: as tables that read the same on every run.

What is made anew for each message (ids, tags, process names) is shown as three dots.  Used by
``labapp.lab.surface`` and ``labapp.lab.front``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from labapp.lab.broker import RESULT, Broker
from labapp.views.tables import NONE, Table

GENERATED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""An id made by ``uuid4``."""
VARYING = ("origin", "date_done")
"""Fields that differ between machines or runs without an id in them."""
MASK = "…"


def masked(text: str) -> str:
    """The text with every generated id as three dots."""
    return GENERATED.sub(MASK, text)


def message_opened(broker: Broker) -> Table:
    """The message that is next in the queue ``celery``, field by field; its body decoded."""
    raw = broker.redis.lindex("celery", -1)
    message = json.loads(str(raw)) if raw else {}
    if "body" in message:
        message["body"] = json.loads(base64.b64decode(message["body"]))
    return Table(("where", "field", "value"), list(rows(message)), "One message")


def rows(message: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The fields in the order in which they stand; empty ones are left out."""
    for name, value in message.items():
        inner = value if isinstance(value, dict) else {"": value}
        where = name if isinstance(value, dict) else NONE
        for field, held in inner.items():
            if held not in (None, {}, [], [None, None]):
                yield where, field or name, shown(field or name, held)


def shown(name: str, value: Any) -> str:
    """A value as JSON, without what differs from run to run."""
    return MASK if name in VARYING else masked(json.dumps(value))


def keys_opened(broker: Broker, pattern: str = "*") -> Table:
    """Every key that matches: its type, how many entries it has, whether it expires."""
    found = sorted(str(key) for key in broker.redis.scan_iter(match=pattern, count=1000))
    lines = [(masked(key), *described(broker, key)) for key in found]
    return Table(("key", "type", "entries", "expires after"), lines, f"Keys: {pattern}")


def described(broker: Broker, key: str) -> tuple[str, int, str]:
    """Type, number of entries, and the time that it has left, in whole hours."""
    kind = str(broker.redis.type(key))
    count = {
        "list": broker.redis.llen,
        "hash": broker.redis.hlen,
        "set": broker.redis.scard,
        "zset": broker.redis.zcard,
    }.get(kind, lambda _: 1)
    left = int(str(broker.redis.ttl(key)))
    return kind, int(str(count(key))), f"{round(left / 3600)} h" if left >= 0 else "never"


def result_opened(broker: Broker) -> Table:
    """The first stored result, field by field."""
    found = sorted(broker.redis.scan_iter(match=RESULT + "*", count=1000))
    stored = broker.redis.get(found[0]) if found else None
    lines = [(name, shown(name, value)) for name, value in json.loads(str(stored or "{}")).items()]
    return Table(("field", "value"), lines, "One result")
