"""Which request a fault waits for, and what the world does with it.

Pure: rules in, decisions out, no I/O.  A rule is what is left of a fault by the time it reaches
the world; who kills whom is not known here.  Used by ``labapp.world.server``; built by
``labapp.faults``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from labapp.world.kinds import Kind


class Point(StrEnum):
    """Where in a request a rule applies: before or after its effect is recorded, or in between,
    when ``after_bytes`` of a file have been written and no more."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


class Do(StrEnum):
    """What the world does with a request that a rule matches."""

    HOLD = "hold"
    """Leave it open until the conductor says how it ends."""
    DROP = "drop"
    """Close the connection without an answer."""
    ANSWER = "answer"
    """Answer with ``status`` (and ``retry_after``) after ``delay`` seconds; no effect follows
    where the point is before."""
    NEVER = "never"
    """Leave it open for ever."""


@dataclass(slots=True)
class Rule:
    """One armed rule.

    Args:
        point: before or after the effect is recorded.
        do: what happens to the request.
        key: business key that the request must carry; empty for any.
        nth: the effect's number among those of its kind in its scope, from 1; 0 for any.
        times: how often the rule applies; 0 for every time.
        status: HTTP status (for a mail: SMTP reply code) of ``Do.ANSWER``; 0 answers what it
            would have answered, late.
        retry_after: seconds in the ``Retry-After`` header; 0 for no header.
        delay: seconds before the answer.
        kind: kind of effect.
        after_bytes: with ``Point.DURING``: bytes of the file that are written when it applies.
        lasts: seconds for which it applies, from the first request on; 0 while it is armed.
        fired: how often the rule has applied.
        since: when it first did, in seconds by the clock of whoever asks.
    """

    point: Point
    do: Do
    key: str = ""
    nth: int = 0
    times: int = 1
    status: int = 0
    retry_after: int = 0
    delay: float = 0.0
    kind: Kind = Kind.CHARGE
    after_bytes: int = 0
    lasts: float = 0.0
    fired: int = field(default=0, compare=False)
    since: float = field(default=0.0, compare=False)

    def matches(
        self,
        point: Point,
        key: str,
        number: int,
        kind: Kind = Kind.CHARGE,
        written: int = 0,
        now: float = 0.0,
    ) -> bool:
        """Whether this rule applies to the request for ``key``, effect number ``number``.

        ``written`` counts with ``Point.DURING`` only: bytes of the file that are on disk.  ``now``
        in seconds, by any clock that only goes forward."""
        return (
            self.point is point
            and self.kind is kind
            and (point is not Point.DURING or self.after_bytes == written)
            and (not self.times or self.fired < self.times)
            and not self.over(now)
            and (not self.key or self.key == key)
            and (not self.nth or self.nth == number)
        )

    def over(self, now: float) -> bool:
        """Whether the time for which it applies has passed."""
        return bool(self.lasts and self.fired and now - self.since >= self.lasts)

    def to_json(self) -> dict[str, Any]:
        """The rule as a plain mapping."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rule:
        """The rule that ``to_json`` described.  Raises TypeError or ValueError if it is none."""
        if not isinstance(data, Mapping):
            raise TypeError("a rule is a JSON object")
        plain = {name: value for name, value in data.items() if name not in ENUMS}
        rule = cls(
            point=Point(data["point"]),
            do=Do(data["do"]),
            kind=Kind(data.get("kind", Kind.CHARGE)),
            **plain,
        )
        if not all(isinstance(getattr(rule, name), int | float) for name in NUMBERS):
            raise TypeError(f"{', '.join(NUMBERS)} are numbers")
        return rule


ENUMS = ("point", "do", "kind")
NUMBERS = ("nth", "times", "status", "retry_after", "delay", "after_bytes", "lasts")


def first_match(
    rules: list[Rule],
    point: Point,
    key: str,
    number: int,
    kind: Kind = Kind.CHARGE,
    written: int = 0,
    now: float = 0.0,
) -> Rule | None:
    """The first rule that applies, counted as fired; ``None`` where none does."""
    for rule in rules:
        if rule.matches(point, key, number, kind, written, now):
            rule.since = rule.since if rule.fired else now
            rule.fired += 1
            return rule
    return None


def stops(rules: list[Rule], kind: Kind, key: str) -> list[int]:
    """At how many bytes a stream for ``key`` has to stop for a look at the rules, ascending."""
    return sorted(
        {
            rule.after_bytes
            for rule in rules
            if rule.point is Point.DURING and rule.kind is kind and rule.key in ("", key)
        }
    )


def pieces(chunk: bytes, written: int, at: list[int]) -> list[bytes]:
    """``chunk``, which begins ``written`` bytes into its stream, cut at each of these offsets."""
    cuts = [0, *(stop - written for stop in at if written < stop < written + len(chunk))]
    return [chunk[begin:end] for begin, end in zip(cuts, [*cuts[1:], len(chunk)], strict=True)]
