"""Files in the world: streamed to disk, torn where their sender dies, and never without end."""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from mail_bench import Rude

from labapp.stack.testing import wait_until
from labapp.world.files import MAX_FILE
from labapp.world.kinds import Kind
from labapp.world.rules import Do, Point, Rule
from labapp.world.store import StoredFile

if TYPE_CHECKING:
    from world_bench import MakeScope, Scope, WorldProcess

    MakeWorld = Callable[[str], WorldProcess]

INVOICE = bytes(range(256)) * 800
"""200 kB: more than one chunk, and more than a socket holds unread."""
HASTY = "import labapp.world.files as files; files.IDLE = 0.4"
STORED = ["file of order-1"]


def on_disk(world: WorldProcess, scope: Scope, name: str = "order-1.pdf") -> Path:
    return world.folder / "files" / scope.control.scope / name


def torn(content: bytes, key: str = "order-1") -> StoredFile:
    digest = hashlib.sha256(content).hexdigest()
    return StoredFile(f"{key}.pdf", key, len(content), digest, complete=False)


def kinds(scope: Scope) -> list[str]:
    return [kind for kind, _, _ in scope.control.read().records]


def during(after_bytes: int, do: Do = Do.HOLD, status: int = 0) -> Rule:
    return Rule(Point.DURING, do, kind=Kind.FILE, after_bytes=after_bytes, status=status)


def test_a_file_is_stored_and_can_be_read(scope: Scope) -> None:
    answer = scope.put("order-1.pdf", INVOICE)
    digest = hashlib.sha256(INVOICE).hexdigest()

    assert answer.status_code == 201
    assert answer.json() == {"file": "order-1.pdf", "size": len(INVOICE), "sha256": digest}
    read = scope.get("order-1.pdf")
    assert (read.content, read.headers["ETag"]) == (INVOICE, f'"{digest}"')
    head = httpx.head(f"{scope.control.partner_url}/files/order-1.pdf", trust_env=False)
    assert (head.status_code, head.headers["ETag"]) == (200, f'"{digest}"')
    assert scope.control.files() == [
        StoredFile("order-1.pdf", "order-1", len(INVOICE), digest, complete=True)
    ]
    assert (kinds(scope), scope.effects()) == (["attempt", "effect", "answered"], STORED)


def test_a_second_put_overwrites_and_is_a_second_effect(scope: Scope) -> None:
    scope.put("order-1.pdf", INVOICE)
    assert scope.put("order-1.pdf", b"short").status_code == 200
    assert scope.get("order-1.pdf").content == b"short"
    assert scope.effects() == STORED * 2
    assert [file.complete for file in scope.control.files()] == [True]


def test_an_empty_file_is_a_file(scope: Scope) -> None:
    assert scope.put("order-1.pdf", b"").status_code == 201
    assert [(file.size, file.complete) for file in scope.control.files()] == [(0, True)]


def test_two_scopes_have_each_their_own_files(own_world: WorldProcess, scope_of: MakeScope) -> None:
    one, two = scope_of(own_world.url, name="one"), scope_of(own_world.url, name="two")
    one.put("order-1.pdf", b"one")
    assert two.get("order-1.pdf").status_code == 404
    assert two.control.files() == []


@pytest.mark.parametrize("after_bytes", [1, 4096, 65_536, 65_537, len(INVOICE)])
def test_a_stream_is_held_with_exactly_these_bytes_on_disk(
    own_world: WorldProcess, scope_of: MakeScope, after_bytes: int
) -> None:
    scope = scope_of(own_world.url)
    scope.control.arm([during(after_bytes)])
    sent = scope.background(scope.put, "order-1.pdf", INVOICE)
    (held,) = scope.held(1).held

    assert (held.name, held.recorded) == ("file of order-1", False)
    assert on_disk(own_world, scope).read_bytes() == INVOICE[:after_bytes]
    assert scope.get("order-1.pdf").content == INVOICE[:after_bytes]
    assert scope.control.files() == [torn(INVOICE[:after_bytes])]
    assert kinds(scope) == ["attempt"]

    scope.control.answer()
    assert sent.result().status_code == 201
    assert scope.get("order-1.pdf").content == INVOICE
    assert scope.control.files()[0].complete


def test_a_dropped_stream_leaves_a_torn_file_and_no_effect(scope: Scope) -> None:
    scope.control.arm([during(5000, Do.DROP)])
    with pytest.raises(httpx.TransportError):
        scope.put("order-1.pdf", INVOICE)
    scope.quiet()
    assert kinds(scope) == ["attempt", "torn"]
    assert scope.control.files() == [torn(INVOICE[:5000])]

    assert scope.put("order-1.pdf", INVOICE).status_code == 200  # once only; it is mended
    assert scope.control.files()[0].complete


def test_a_stream_may_be_refused_in_its_midst(scope: Scope) -> None:
    scope.control.arm([during(5000, Do.ANSWER, status=503)])
    assert scope.put("order-1.pdf", INVOICE[:9000]).status_code == 503
    assert scope.control.files() == [torn(INVOICE[:5000])]
    assert scope.effects() == []


@pytest.mark.parametrize("point", [Point.BEFORE, Point.AFTER])
def test_a_file_is_held_before_its_first_byte_or_after_all_is_stored(
    own_world: WorldProcess, scope_of: MakeScope, point: Point
) -> None:
    scope = scope_of(own_world.url)
    scope.control.arm([Rule(point, Do.HOLD, key="order-1", kind=Kind.FILE)])
    sent = scope.background(scope.put, "order-1.pdf", INVOICE)
    (held,) = scope.held(1).held

    assert held.recorded is (point is Point.AFTER)
    assert scope.effects() == (STORED if held.recorded else [])
    path = on_disk(own_world, scope)
    assert (path.read_bytes() if path.exists() else b"") == (INVOICE if held.recorded else b"")
    scope.control.drop()
    with pytest.raises(httpx.TransportError):
        sent.result()
    scope.quiet()
    assert scope.effects() == (STORED if held.recorded else [])


def test_nth_counts_files_only(scope: Scope) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.ANSWER, nth=2, status=503, kind=Kind.FILE)])
    scope.charge("order-1")
    assert scope.charge("order-1").status_code == 201
    assert scope.put("order-1.pdf", b"1").status_code == 201
    assert scope.put("order-2.pdf", b"2").status_code == 503


def test_a_late_writer_writes_into_the_file_of_the_one_after_it(scope: Scope) -> None:
    scope.control.arm([during(5000)])
    first = scope.background(scope.put, "order-1.pdf", b"a" * 9000)
    scope.held(1)
    scope.put("order-1.pdf", b"b" * 9000)
    scope.control.answer()
    assert first.result().status_code == 201
    assert scope.get("order-1.pdf").content == b"b" * 5000 + b"a" * 4000
    assert [file.complete for file in scope.control.files()] == [False]
    assert scope.effects() == STORED * 2


# Drafts


def moving(scope: Scope, **headers: str) -> httpx.Response:
    """Give the draft of order-1 its final name."""
    target = f"/{scope.control.scope}/files/order-1.pdf"
    return scope.move("order-1.pdf.part", **{"Destination": target, **headers})


def test_a_draft_is_an_effect_when_it_has_its_final_name(scope: Scope) -> None:
    digest = scope.put("order-1.pdf.part", INVOICE).json()["sha256"]
    assert (kinds(scope), scope.get("order-1.pdf").status_code) == (["attempt"], 404)
    assert [(file.key, file.complete) for file in scope.control.files()] == [("order-1", False)]

    assert moving(scope, **{"If-Match": f'"{digest}"'}).status_code == 201
    assert (kinds(scope), scope.effects()) == (["attempt", "effect", "answered"], STORED)
    assert scope.get("order-1.pdf.part").status_code == 404
    assert scope.control.files() == [
        StoredFile("order-1.pdf", "order-1", len(INVOICE), digest, complete=True)
    ]


def test_a_draft_takes_the_place_of_the_file_before_it(scope: Scope) -> None:
    scope.put("order-1.pdf", b"old")
    scope.put("order-1.pdf.part", b"new")
    assert scope.get("order-1.pdf").content == b"old"
    assert moving(scope).status_code == 204
    assert scope.get("order-1.pdf").content == b"new"
    assert scope.effects() == STORED * 2


def test_a_torn_draft_is_refused_by_its_checksum_and_the_old_file_stays(scope: Scope) -> None:
    digest = scope.put("order-1.pdf", INVOICE).json()["sha256"]
    scope.control.arm([during(5000, Do.DROP)])
    with pytest.raises(httpx.TransportError):
        scope.put("order-1.pdf.part", INVOICE)
    scope.quiet()
    assert moving(scope, **{"If-Match": f'"{digest}"'}).status_code == 412
    assert scope.get("order-1.pdf").content == INVOICE
    assert scope.effects() == STORED


@pytest.mark.parametrize("point", [Point.BEFORE, Point.AFTER])
def test_a_draft_is_held_around_its_move_and_not_around_its_upload(
    scope: Scope, point: Point
) -> None:
    scope.control.arm([Rule(point, Do.HOLD, key="order-1", kind=Kind.FILE)])
    assert scope.put("order-1.pdf.part-5f3a", INVOICE).status_code == 201
    target = f"/{scope.control.scope}/files/order-1.pdf"
    moved = scope.background(lambda: scope.move("order-1.pdf.part-5f3a", Destination=target))
    (held,) = scope.held(1).held
    assert (held.name, held.recorded) == ("file of order-1", point is Point.AFTER)
    assert scope.get("order-1.pdf").status_code == (200 if held.recorded else 404)
    scope.control.answer()
    assert moved.result().status_code == 201


def test_a_move_of_nothing_is_404(scope: Scope) -> None:
    assert moving(scope).status_code == 404
    assert (kinds(scope), scope.quiet().open) == ([], 0)


@pytest.mark.parametrize(
    "target",
    ["", "order-1.pdf", "/another/files/order-1.pdf", "/SCOPE/files/..", "/SCOPE/files/x.part"],
)
def test_a_draft_stays_in_its_folder(scope: Scope, target: str) -> None:
    scope.put("order-1.pdf.part", INVOICE)
    target = target.replace("SCOPE", scope.control.scope)
    assert scope.move("order-1.pdf.part", Destination=target).status_code == 422
    assert scope.get("order-1.pdf.part").content == INVOICE
    assert scope.effects() == []


def test_a_file_that_is_final_is_not_moved(scope: Scope) -> None:
    scope.put("order-1.pdf", INVOICE)
    target = f"/{scope.control.scope}/files/order-2.pdf"
    assert scope.move("order-1.pdf", Destination=target).status_code == 422
    assert scope.effects() == STORED


# Clients that do not play fair


def put_head(scope: Scope, length: str = "", name: str = "order-1.pdf") -> bytes:
    """A request's head; chunked where no length is given."""
    size = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
    path = f"/{scope.control.scope}/files/{name}"
    return f"PUT {path} HTTP/1.1\r\nHost: world\r\n{size}\r\n\r\n".encode()


def test_a_sender_that_dies_leaves_what_it_sent(scope: Scope) -> None:
    with Rude(scope.control.partner_url) as client:
        client.say(put_head(scope, "200000") + INVOICE[:70_000])
        wait_until(lambda: sizes(scope) == [70_000], "all that was sent to be on disk", 30)
    scope.quiet()
    assert kinds(scope) == ["attempt", "torn"]
    assert scope.control.files() == [torn(INVOICE[:70_000])]


def sizes(scope: Scope) -> list[int]:
    return [file.size for file in scope.control.files()]


def test_a_length_too_small_stores_what_it_says_and_refuses_the_rest(scope: Scope) -> None:
    with Rude(scope.control.partner_url) as client:
        client.say(put_head(scope, "5") + b"12345")
        assert client.line().split()[1] == b"201"
        client.say(b"and more\r\n\r\n")
        assert b" 400 Bad Request" in client.rest()
    assert scope.get("order-1.pdf").content == b"12345"
    assert scope.effects() == STORED


@pytest.mark.parametrize("length", ["-1", "five", "1e3", "99999999999999999999999999"])
def test_a_length_that_is_none_stores_nothing(scope: Scope, length: str) -> None:
    with Rude(scope.control.partner_url) as client:
        client.say(put_head(scope, length) + b"12345")
        assert client.line().split()[1][:1] == b"4"
    assert (scope.control.files(), scope.effects(), scope.quiet().open) == ([], [], 0)


def test_a_length_beyond_the_limit_is_refused_before_a_byte_is_sent(scope: Scope) -> None:
    with Rude(scope.control.partner_url) as client:
        client.say(put_head(scope, str(MAX_FILE + 1)))
        assert client.rest().startswith(b"HTTP/1.1 413")
    assert (scope.control.files(), kinds(scope)) == ([], [])


def endless(counted: list[int]) -> Iterator[bytes]:
    while counted[0] < 20 * MAX_FILE:
        counted[0] += 65_536
        yield b"x" * 65_536


def test_a_put_without_end_is_cut_off_and_leaves_nothing(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    counted = [0]
    began = time.monotonic()
    answer = scope.put("order-1.pdf", endless(counted))

    assert answer.status_code == 413
    assert str(MAX_FILE) in answer.json()["error"]
    assert counted[0] < 2 * MAX_FILE, "the world went on listening"
    assert time.monotonic() - began < 10
    assert not on_disk(own_world, scope).exists()
    assert (kinds(scope), scope.quiet().open) == (["attempt", "torn"], 0)
    assert scope.put("order-1.pdf", INVOICE).status_code == 201
    assert "Traceback" not in own_world.log.read_text()


def test_a_file_of_the_largest_size_is_stored(scope: Scope) -> None:
    assert scope.put("order-1.pdf", b"x" * MAX_FILE).status_code == 201
    assert sizes(scope) == [MAX_FILE]


def test_a_stream_that_stands_still_is_cut_off(world_with: MakeWorld, scope_of: MakeScope) -> None:
    world = world_with(HASTY)
    scope = scope_of(world.url)
    with Rude(scope.control.partner_url) as client:
        client.say(put_head(scope, "200000") + INVOICE[:100])
        assert client.line().startswith(b"HTTP/1.1 408")
    assert kinds(scope) == ["attempt", "torn"]
    assert scope.control.files() == [torn(INVOICE[:100])]


def test_being_held_is_no_standstill(world_with: MakeWorld, scope_of: MakeScope) -> None:
    scope = scope_of(world_with(HASTY).url)
    late = Rule(Point.DURING, Do.ANSWER, delay=1.0, kind=Kind.FILE, after_bytes=10)
    scope.control.arm([late])
    assert scope.put("order-1.pdf", INVOICE).status_code == 201


BAD_NAMES = {
    "none": "",
    "a parent": "..%2F..%2Foutside",
    "a folder": "a/b.pdf",
    "an encoded folder": "a%2Fb.pdf",
    "a backslash": "a%5Cb.pdf",
    "hidden": ".hidden",
    "two dots": "%2E%2E",
    "a zero byte": "a%00.pdf",
    "a line break": "a%0Ab.pdf",
    "too long": "x" * 201,
    "too long in bytes": "%F0%9F%A7%BE" * 51,
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=list(BAD_NAMES))
def test_a_name_that_leads_elsewhere_is_refused(
    own_world: WorldProcess, scope_of: MakeScope, name: str
) -> None:
    scope = scope_of(own_world.url)
    before = {path for path in own_world.folder.rglob("*") if path.is_file()}
    for method in ("PUT", "GET"):
        with Rude(own_world.url) as client:
            head = put_head(scope, "2", name).replace(b"PUT", method.encode(), 1)
            client.say(head + b"hi")
            assert client.line().split()[1] in (b"400", b"404", b"422")
    assert {path for path in own_world.folder.rglob("*") if path.is_file()} == before
    assert scope.effects() == []


def test_a_path_that_climbs_stays_within_the_world(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    before = {path for path in own_world.folder.rglob("*") if path.is_file()}
    for path in ("/s/files/../../effects.jsonl", "/../files/x.pdf", "/%2E%2E/files/x.pdf"):
        with Rude(own_world.url) as client:
            client.say(f"PUT {path} HTTP/1.1\r\nHost: w\r\nContent-Length: 2\r\n\r\nhi".encode())
            assert client.line().split()[1][:1] == b"4"
    assert {path for path in own_world.folder.rglob("*") if path.is_file()} == before


def test_an_odd_name_is_a_name(scope: Scope) -> None:
    assert scope.put("Rechnung „7“ 🧾.v2.pdf", b"x").status_code == 201
    assert scope.effects() == ["file of Rechnung „7“ 🧾.v2"]
    assert scope.get("Rechnung „7“ 🧾.v2.pdf").content == b"x"


def test_a_file_that_is_not_there_is_404(scope: Scope) -> None:
    answer = scope.get("order-1.pdf")
    assert (answer.status_code, "order-1.pdf" in answer.json()["error"]) == (404, True)


def test_a_full_disk_tears_the_file_and_is_no_effect(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    scope.charge("order-0")
    pid, infinity = own_world.process.pid, resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (50_000, infinity))
    answer = scope.put("order-1.pdf", INVOICE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (infinity, infinity))

    assert (answer.status_code, "not done" in answer.json()["error"]) == (507, True)
    assert scope.control.files() == [torn(INVOICE[:50_000])]
    assert kinds(scope)[-2:] == ["attempt", "torn"]
    assert scope.put("order-1.pdf", INVOICE).status_code == 200


def test_a_file_that_cannot_be_recorded_is_not_confirmed(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    scope.put("order-0.pdf", b"small")
    line = len(own_world.journal.read_bytes().splitlines(keepends=True)[0])
    pid, infinity = own_world.process.pid, resource.RLIM_INFINITY
    room = own_world.journal.stat().st_size + line + 20  # for the attempt, not for the effect
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, infinity))
    answer = scope.put("order-1.pdf", b"small")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (infinity, infinity))

    assert answer.status_code == 507
    assert scope.effects() == ["file of order-0"]
    assert [(file.key, file.complete) for file in scope.control.files()] == [
        ("order-0", True),
        ("order-1", False),
    ]


# The world ends


def test_files_survive_kill_9_and_what_was_under_way_is_torn(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    scope.put("order-1.pdf", INVOICE)
    scope.put("order-2.pdf", INVOICE)
    scope.control.arm([during(5000)])
    sent = scope.background(scope.put, "order-2.pdf", INVOICE)
    scope.held(1)
    own_world.kill()
    with pytest.raises(httpx.TransportError):
        sent.result()
    own_world.start()

    whole, half = scope.control.files()
    assert (whole.name, whole.complete) == ("order-1.pdf", True)
    assert half == torn(INVOICE[:5000], "order-2")
    assert scope.effects() == ["file of order-1", "file of order-2"]
    assert scope.put("order-2.pdf", INVOICE).status_code == 200
    assert all(file.complete for file in scope.control.files())


def test_the_journal_says_what_was_stored(own_world: WorldProcess, scope_of: MakeScope) -> None:
    scope_of(own_world.url).put("order-1.pdf", INVOICE)
    lines = [json.loads(line) for line in own_world.journal.read_text().splitlines()]
    (effect,) = [record for record in lines if record["kind"] == "effect"]
    assert (effect["what"], effect["name"], effect["size"], effect["sha256"]) == (
        "file",
        "order-1.pdf",
        len(INVOICE),
        hashlib.sha256(INVOICE).hexdigest(),
    )


@pytest.mark.parametrize("ending", ["answer", "drop"])
def test_a_sender_that_dies_while_held_leaves_a_torn_file_however_it_is_let_go(
    own_world: WorldProcess, scope_of: MakeScope, ending: str
) -> None:
    scope = scope_of(own_world.url)
    scope.control.arm([during(5000)])
    with Rude(own_world.url) as client:
        client.say(put_head(scope, "2000000") + b"x" * 500_000)  # more than the world has read
        scope.held(1)
    getattr(scope.control, ending)()
    assert scope.quiet().keys("effect") == []
    assert kinds(scope) == ["attempt", "torn"]
    (file,) = scope.control.files()
    assert (file.complete, file.size >= 5000) == (False, True)
