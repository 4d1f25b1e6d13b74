"""A starting world forgets old runs, so that its journal does not grow for ever."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from labapp.world.journal import Record, records
from labapp.world.store import Store
from labapp.world.tidy import KEPT_SCOPES, LIVE, choose, tidy

if TYPE_CHECKING:
    from world_bench import MakeScope, WorldProcess

NAMES = [LIVE, *(f"run-{number}" for number in range(8))]
HAVE = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 20))


@given(HAVE, st.permutations(NAMES), st.integers(1, 9), st.integers(2, 80))
def test_what_is_kept_is_bounded_and_newest_and_whole(
    have: dict[str, int], ages: list[str], scopes: int, most: int
) -> None:
    last = {name: float(ages.index(name)) for name in have}
    keep = choose(have, last, scopes, most)

    assert sum(keep.values()) <= most
    assert len(keep) <= scopes
    runs = set(have) - {LIVE}
    assert all(keep[name] == have[name] for name in runs & set(keep)), "half a run is kept"
    forgotten = runs - set(keep)
    assert all(last[old] < last[new] for old in forgotten for new in runs & set(keep))
    if LIVE in have:
        assert keep[LIVE] == min(have[LIVE], most // 2)
    if len(have) <= scopes and sum(have.values()) <= most // 2:
        assert keep == have


def write(journal: Path, scopes: Iterable[str], since: int = 0) -> None:
    with journal.open("ab") as file:
        for at, scope in enumerate(scopes, start=since):
            for number in range(3):
                file.write(Record(scope, "effect", f"order-{number}", float(at)).line())


def scopes_in(journal: Path) -> list[str]:
    return list(dict.fromkeys(record.scope for record in records(journal)))


def runs(count: int) -> list[str]:
    return [f"run-{number:03}" for number in range(count)]


def test_the_newest_runs_and_the_live_scope_are_kept(tmp_path: Path) -> None:
    journal, store = tmp_path / "effects.jsonl", Store(tmp_path)
    write(journal, [LIVE, *runs(KEPT_SCOPES + 50)])
    before = list(records(journal))
    for scope in scopes_in(journal):
        for folder in (store.files, store.mails):
            (folder / scope).mkdir(parents=True)
            (folder / scope / "order-1").touch()

    tidy(journal, store)

    kept = [LIVE, *runs(KEPT_SCOPES + 50)[51:]]
    assert scopes_in(journal) == kept
    assert list(records(journal)) == [record for record in before if record.scope in kept]
    assert journal.stat().st_mode & 0o777 == 0o600
    for folder in (store.files, store.mails):
        assert {path.name for path in folder.iterdir()} == set(kept)


def test_a_small_journal_stays_as_it_is_to_the_byte(tmp_path: Path) -> None:
    journal = tmp_path / "effects.jsonl"
    write(journal, [LIVE, *runs(5)])
    with journal.open("ab") as file:
        file.write(b'{"scope": "torn')
    before, inode = journal.read_bytes(), journal.stat().st_ino
    tidy(journal, Store(tmp_path))
    assert (journal.read_bytes(), journal.stat().st_ino) == (before, inode)


def test_starting_over_and_over_keeps_it_bounded(tmp_path: Path) -> None:
    journal, store = tmp_path / "effects.jsonl", Store(tmp_path)
    largest = 0
    for turn in range(5):
        names = [f"run-{turn}-{number}" for number in range(KEPT_SCOPES)]
        write(journal, names, since=turn * KEPT_SCOPES)
        tidy(journal, store)
        largest = max(largest, len(list(records(journal))))
        assert scopes_in(journal) == names
    assert largest == KEPT_SCOPES * 3


def test_without_a_journal_there_is_nothing_to_do(tmp_path: Path) -> None:
    tidy(tmp_path / "effects.jsonl", Store(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_where_it_cannot_be_rewritten_it_stays(tmp_path: Path) -> None:
    journal = tmp_path / "effects.jsonl"
    write(journal, runs(KEPT_SCOPES + 5))
    before = journal.read_bytes()
    (tmp_path / ".effects.jsonl.draft").mkdir()  # no room for the new one
    tidy(journal, Store(tmp_path))
    assert journal.read_bytes() == before


def test_a_world_that_was_killed_over_it_starts_all_the_same(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    own_world.kill()
    write(own_world.journal, runs(KEPT_SCOPES + 5))
    draft = own_world.folder / ".effects.jsonl.draft"
    draft.write_bytes(own_world.journal.read_bytes()[:1000])

    own_world.start()

    assert not draft.exists()
    newest = scope_of(own_world.url, name=runs(KEPT_SCOPES + 5)[-1])
    assert newest.effects() == ["order-0", "order-1", "order-2"]
    oldest = scope_of(own_world.url, name="run-000")
    assert oldest.effects() == []
    newest.charge("order-3")
    own_world.kill()
    own_world.start()
    assert newest.effects()[-1] == "order-3"


FULL_DISK = """
import resource, sys
from pathlib import Path
from labapp.world.store import Store
from labapp.world.tidy import tidy
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
tidy(folder / "effects.jsonl", Store(folder))
"""


def test_a_full_disk_during_a_rewrite_loses_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "effects.jsonl"
    write(journal, runs(KEPT_SCOPES + 5))
    before = journal.read_bytes()
    subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], check=True)
    assert journal.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["effects.jsonl"]
