"""What the world forgets when it starts, so that its journal does not grow for ever.

Kept are the scope of what is sent by hand and the newest runs, which are the ones that anybody
may still look at or work with.  Done before the journal is opened.  Used by
``labapp.world.server`` only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from labapp.stack.state import LIVE
from labapp.world.journal import Record, records
from labapp.world.store import PRIVATE, Store

KEPT_SCOPES = 200
"""Scopes of which a starting world remembers anything."""
KEPT_RECORDS = 200_000
"""Records that it remembers, some 30 MB; half of them at most are those of ``live``."""


def tidy(journal: Path, store: Store) -> None:
    """Drop from the journal, and from the store, what is too old to be kept.

    The journal is replaced by rename, so it is whole at each moment.  Where there is nothing to
    drop, or no room to write, it stays as it is."""
    draft = journal.with_name(f".{journal.name}.draft")
    with suppress(OSError):
        draft.unlink(missing_ok=True)  # of a world that was killed over it
        have, last = survey(journal)
        keep = choose(have, last)
        if keep != have:
            rewrite(journal, draft, {scope: have[scope] - keep.get(scope, 0) for scope in have})
        store.forget_all_but(keep)


def survey(journal: Path) -> tuple[dict[str, int], dict[str, float]]:
    """How many records each scope has, and when its last one was made.  Raises OSError."""
    have: Counter[str] = Counter()
    last: dict[str, float] = {}
    for record in records(journal):
        have[record.scope] += 1
        last[record.scope] = record.at
    return dict(have), last


def choose(
    have: Mapping[str, int],
    last: Mapping[str, float],
    scopes: int = KEPT_SCOPES,
    most: int = KEPT_RECORDS,
) -> dict[str, int]:
    """How many records to keep of each scope.

    A run is kept whole or not at all: half of a history would be a false one.  Of ``live`` the
    newest are kept.

    Args:
        have: number of records by scope.
        last: time of the last record by scope.
        scopes: how many scopes to keep.
        most: how many records to keep.
    """
    keep = {LIVE: min(have[LIVE], most // 2)} if LIVE in have else {}
    left = most - sum(keep.values())
    for scope in sorted(set(have) - {LIVE}, key=lambda name: last[name], reverse=True):
        if len(keep) >= scopes or have[scope] > left:
            break
        keep[scope] = have[scope]
        left -= have[scope]
    return keep


def rewrite(journal: Path, draft: Path, skip: Mapping[str, int]) -> None:
    """Write the journal anew without the oldest ``skip`` records of each scope.  Raises OSError."""
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT, PRIVATE), "wb") as file:
            file.writelines(record.line() for record in remaining(records(journal), skip))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(journal)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def remaining(found: Iterator[Record], skip: Mapping[str, int]) -> Iterator[Record]:
    """The records without the first ``skip`` of each scope."""
    passed: Counter[str] = Counter()
    for record in found:
        passed[record.scope] += 1
        if passed[record.scope] > skip.get(record.scope, 0):
            yield record
