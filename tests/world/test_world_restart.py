"""The world ends, by kill -9 or by SIGTERM, and starts again on the same journal."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from labapp.errors import LabError
from labapp.stack.control import Gone
from labapp.world.journal import Journal
from labapp.world.rules import Do, Point, Rule
from labapp.world.server import main

if TYPE_CHECKING:
    from world_bench import MakeScope, WorldProcess


def test_the_history_survives_kill_9(own_world: WorldProcess, scope_of: MakeScope) -> None:
    scope = scope_of(own_world.url)
    scope.control.arm([Rule(Point.AFTER, Do.HOLD, key="order-3")])
    for number in (1, 2):
        scope.charge(f"order-{number}")
    open_request = scope.charging("order-3")
    before = scope.held(1)

    own_world.kill()
    with pytest.raises(httpx.TransportError):
        open_request.result()
    own_world.start()

    after = scope.control.read()
    assert after.records == before.records
    assert after.keys("effect") == ["order-1", "order-2", "order-3"]
    assert after.boot != before.boot
    assert (after.held, after.open, after.fired) == ((), 0, ())
    assert scope.charge("order-4").json()["charge"] == 4


@pytest.mark.parametrize("torn", ['{"scope": "sco', '{"scope": "caf\\u00', '{"sc\xc3', "[]", "{}"])
def test_a_torn_last_line_of_the_journal_is_passed_over(
    own_world: WorldProcess, scope_of: MakeScope, torn: str
) -> None:
    scope = scope_of(own_world.url)
    scope.charge("order-1")
    own_world.kill()
    with own_world.journal.open("ab") as journal:
        journal.write(torn.encode("latin-1"))

    own_world.start()
    assert scope.effects() == ["order-1"]
    scope.charge("order-2")
    own_world.kill()
    own_world.start()
    assert scope.effects() == ["order-1", "order-2"]


def test_sigterm_ends_it_at_once_even_with_requests_open(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    scope.control.arm([Rule(Point.BEFORE, Do.HOLD, times=3)])
    requests = [scope.charging(f"order-{number}") for number in range(3)]
    scope.held(3)

    began = time.monotonic()
    own_world.process.send_signal(signal.SIGTERM)
    assert own_world.process.wait(30) == 0
    assert time.monotonic() - began < 3.0  # 0.3 s on an idle machine

    for request in requests:
        with pytest.raises(httpx.TransportError):
            request.result()
    own_world.start()
    assert scope.effects() == []


def test_a_world_that_is_gone_is_one_clear_line(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    own_world.kill()

    with pytest.raises(Gone, match="the world does not answer") as gone:
        scope.control.read()
    assert "lab status" in gone.value.hint
    own_world.start()


def test_a_port_that_is_taken_is_one_clear_line(own_world: WorldProcess, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=f"cannot listen on 127.0.0.1:{own_world.port.number}"):
        main("127.0.0.1", own_world.port.number, tmp_path / "other.jsonl", "token")


def test_a_journal_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="cannot write its journal") as refused:
        Journal(tmp_path / "file" / "effects.jsonl")
    assert refused.value.hint


FULL_DISK = """
import resource, sys
from pathlib import Path
from labapp.world.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.append("s", "effect", "order-1")
size = Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
try:
    journal.append("s", "effect", "order-2")
except OSError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    journal.append("s", "effect", "order-3")
    journal.close()
"""


def test_what_a_full_disk_cut_off_is_no_record_and_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "effects.jsonl"
    subprocess.run([sys.executable, "-c", FULL_DISK, str(file)], check=True)

    journal = Journal(file)
    assert [record.key for record in journal.read()] == ["order-1", "order-3"]
    journal.close()


def test_a_charge_that_cannot_be_recorded_is_not_confirmed(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    scope.charge("order-1")
    limit = own_world.journal.stat().st_size + 20
    pid, infinity = own_world.process.pid, resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, infinity))

    answer = scope.charge("order-2")
    assert (answer.status_code, answer.json()["error"]) == (
        507,
        "not done: No space left on device",
    )

    resource.prlimit(pid, resource.RLIMIT_FSIZE, (infinity, infinity))
    scope.charge("order-3")
    own_world.kill()
    own_world.start()
    assert scope.effects() == ["order-1", "order-3"]
    assert all(json.loads(line) for line in own_world.journal.read_text().splitlines()[:3])


def test_an_old_journal_of_many_runs_is_read_quickly(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    own_world.kill()
    line = {"scope": "old", "kind": "effect", "key": "order-1", "at": 1.0, "idempotency_key": ""}
    own_world.journal.write_text((json.dumps(line) + "\n") * 50_000)

    own_world.start()
    assert len(scope_of(own_world.url, name="old").effects()) == 50_000
