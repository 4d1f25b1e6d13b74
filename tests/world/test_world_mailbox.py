"""The mailbox: mails are effects, faults strike at them, and no client can harm it."""

from __future__ import annotations

import base64
import json
import resource
import signal
import smtplib
import time
from collections.abc import Callable
from email.header import Header
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_bench import RECIPIENT, SENDER, Rude, logged_in, message, send

from labapp.errors import LabError
from labapp.stack.state import Stack
from labapp.stack.testing import wait_until
from labapp.world.client import StoredMail
from labapp.world.kinds import Kind
from labapp.world.mailbox import MAX_CLIENTS, MAX_MAIL, MAX_TALK, key_of, text
from labapp.world.rules import Do, Point, Rule
from labapp.world.server import main

if TYPE_CHECKING:
    from world_bench import MakeScope, Scope, WorldProcess

    MakeWorld = Callable[[str], WorldProcess]

HASTY = "import labapp.world.mailbox as box; box.IDLE = 0.4"
STORED = ["mail of order-1"]


@pytest.fixture
def sending(stack: Stack, scope: Scope) -> Callable[..., None]:
    """Sends one mail to the stack's world."""

    def now(subject: str = "", ref: str = "", body: str = "Thank you.") -> None:
        send(stack.mail_url, scope.control.scope, message(subject, ref, body))

    return now


def test_a_mail_is_recorded_once_and_kept(scope: Scope, sending: Callable[..., None]) -> None:
    sending("Thank you", ref="order-1")

    reading = scope.control.read()
    assert [record[:2] for record in reading.records] == [
        ("attempt", "mail of order-1"),
        ("effect", "mail of order-1"),
        ("answered", "mail of order-1"),
    ]
    assert reading.open == 0
    assert scope.control.mails() == [StoredMail("order-1", SENDER, RECIPIENT, "Thank you", "")]


def test_a_mail_to_many_is_one_effect(stack: Stack, scope: Scope) -> None:
    with logged_in(stack.mail_url, scope.control.scope) as client:
        many = [f"customer-{number}@customers.example" for number in range(50)]
        client.sendmail(SENDER, many, b"Subject: order-1\r\n\r\nThank you.\r\n")
        client.sendmail(SENDER, many, b"Subject: order-2\r\n\r\nThank you.\r\n")
    assert scope.effects() == ["mail of order-1", "mail of order-2"]


def test_without_a_reference_the_subject_is_the_key(
    scope: Scope, sending: Callable[..., None]
) -> None:
    sending("Bestellung „7“ ist  da 🧾")
    assert scope.effects() == ["mail of Bestellung „7“ ist da 🧾"]


def test_charges_and_mails_of_one_order_are_counted_apart(
    scope: Scope, sending: Callable[..., None]
) -> None:
    second_charge = Rule(Point.AFTER, Do.DROP, nth=2)
    second_mail = Rule(Point.AFTER, Do.DROP, nth=2, kind=Kind.MAIL)
    scope.control.arm([second_charge, second_mail])
    scope.charge("order-1")
    sending("order-1")
    assert scope.control.read().fired == (0, 0)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        sending("order-1")
    assert scope.control.read().fired == (0, 1)
    assert scope.effects() == ["order-1", *STORED, *STORED]


@pytest.mark.parametrize("point", [Point.BEFORE, Point.AFTER])
def test_a_mail_is_held_until_the_conductor_answers(
    stack: Stack, scope: Scope, sending: Callable[..., None], point: Point
) -> None:
    scope.control.arm([Rule(point, Do.HOLD, key="order-1", kind=Kind.MAIL)])
    sent = scope.background(sending, "order-1")
    (held,) = scope.held(1).held

    assert (held.kind, held.key, held.name) == ("mail", "order-1", "mail of order-1")
    assert held.recorded is (point is Point.AFTER)
    assert f":{held.server_port}" in stack.mail_url
    ours = psutil.Process().net_connections("tcp")
    assert held.port in {end.laddr.port for end in ours if end.raddr}
    assert scope.effects() == (STORED if held.recorded else [])

    scope.control.answer()
    sent.result()
    assert scope.effects() == STORED


@pytest.mark.parametrize("point", [Point.BEFORE, Point.AFTER])
def test_a_connection_is_dropped_without_an_answer(
    scope: Scope, sending: Callable[..., None], point: Point
) -> None:
    scope.control.arm([Rule(point, Do.DROP, kind=Kind.MAIL)])
    with pytest.raises(smtplib.SMTPServerDisconnected):
        sending("order-1")
    reading = scope.quiet()
    assert reading.keys("effect") == (STORED if point is Point.AFTER else [])
    assert reading.keys("answered") == []
    sending("order-1")  # once only


@pytest.mark.parametrize("point", [Point.BEFORE, Point.AFTER])
@pytest.mark.parametrize("status", [421, 451, 550])
def test_a_mail_is_refused_with_the_code_of_the_fault(
    scope: Scope, sending: Callable[..., None], status: int, point: Point
) -> None:
    scope.control.arm([Rule(point, Do.ANSWER, status=status, kind=Kind.MAIL)])
    with pytest.raises(smtplib.SMTPDataError) as refused:
        sending("order-1")
    assert refused.value.smtp_code == status
    assert scope.effects() == (STORED if point is Point.AFTER else [])


@pytest.mark.parametrize("point", [Point.BEFORE, Point.AFTER])
def test_a_client_that_dies_while_held_changes_nothing(
    stack: Stack, scope: Scope, point: Point
) -> None:
    scope.control.arm([Rule(point, Do.HOLD, kind=Kind.MAIL)])
    client = logged_in(stack.mail_url, scope.control.scope)
    client.mail(SENDER)
    client.rcpt(RECIPIENT)
    client.docmd("DATA")
    client.send("Subject: order-1\r\n\r\n.\r\n")
    scope.held(1)
    client.close()

    reading = scope.quiet()
    assert reading.held == ()
    assert reading.keys("effect") == (STORED if point is Point.AFTER else [])
    assert reading.keys("answered") == []


def test_being_held_is_no_idleness_but_silence_is(
    world_with: MakeWorld, scope_of: MakeScope
) -> None:
    world = world_with(HASTY)
    scope = scope_of(world.url)
    scope.control.arm([Rule(Point.AFTER, Do.ANSWER, delay=1.2, kind=Kind.MAIL)])
    with logged_in(world.mail_url, scope.control.scope) as client:
        client.send_message(message("order-1"))  # three times as long as a client may be silent
        client.send_message(message("order-2"))
        assert client.sock is not None
        assert client.sock.recv(1) == b""  # until the world hangs up
        client.close()
    assert scope.effects() == ["mail of order-1", "mail of order-2"]


def test_mails_survive_kill_9_of_the_world(own_world: WorldProcess, scope_of: MakeScope) -> None:
    scope = scope_of(own_world.url)
    scope.control.arm([Rule(Point.AFTER, Do.HOLD, key="order-2", kind=Kind.MAIL)])
    send(own_world.mail_url, scope.control.scope, message("order-1"))
    last = scope.background(send, own_world.mail_url, scope.control.scope, message("order-2"))
    before = scope.held(1)

    own_world.kill()
    with pytest.raises(smtplib.SMTPServerDisconnected):
        last.result()
    own_world.start()

    assert scope.control.read().records == before.records
    assert [mail.subject for mail in scope.control.mails()] == ["order-1", "order-2"]
    send(own_world.mail_url, scope.control.scope, message("order-3"))
    assert len(scope.effects()) == 3


def test_sigterm_ends_the_world_with_mails_open(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    scope.control.arm([Rule(Point.BEFORE, Do.HOLD, kind=Kind.MAIL)])
    sent = scope.background(send, own_world.mail_url, scope.control.scope, message("order-1"))
    scope.held(1)
    began = time.monotonic()
    own_world.process.send_signal(signal.SIGTERM)
    assert own_world.process.wait(30) == 0
    assert time.monotonic() - began < 3.0
    with pytest.raises(smtplib.SMTPServerDisconnected):
        sent.result()
    own_world.start()
    assert scope.effects() == []


def test_a_smtp_port_that_is_taken_is_one_clear_line(
    own_world: WorldProcess, tmp_path: Path
) -> None:
    taken = own_world.smtp_port.number
    with pytest.raises(LabError, match=f"the mailbox cannot listen on 127.0.0.1:{taken}") as told:
        main("127.0.0.1", own_world.port.number, tmp_path / "other" / "j.jsonl", "token", taken)
    assert "--smtp-port" in told.value.hint


# What it refuses


def test_who_has_not_logged_in_sends_nothing(stack: Stack) -> None:
    with smtplib.SMTP("127.0.0.1", int(stack.mail_url.rpartition(":")[2]), timeout=30) as client:
        with pytest.raises(smtplib.SMTPSenderRefused, match="MAIL_URL") as refused:
            client.send_message(message("order-1"))
        assert refused.value.smtp_code == 530


@pytest.mark.parametrize("scope", ["..", "a/b", "", "a b", "é", "x" * 129, ".hidden"])
def test_a_login_that_names_no_scope_is_refused(stack: Stack, scope: str) -> None:
    with smtplib.SMTP("127.0.0.1", int(stack.mail_url.rpartition(":")[2]), timeout=30) as client:
        client.ehlo()
        login = base64.b64encode(f"\0{scope}\0lab".encode()).decode()
        assert client.docmd("AUTH", f"PLAIN {login}")[0] in (501, 535)


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "no subject": (b"\r\nHello.\r\n", 554, "needs a subject"),
    "an empty subject": (b"Subject:  \r\n\r\nHello.\r\n", 554, "needs a subject"),
    "no header at all": (b"\xff\xfe\x00 nonsense\r\n", 554, "needs a subject"),
    "a subject without end": (b"Subject: " + b"x" * 900 + b"\r\n\r\n", 554, "at most 200"),
    "a line without end": (b"Subject: order-1\r\n\r\n" + b"x" * 9000 + b"\r\n", 500, "too long"),
    "too much": (b"Subject: order-1\r\n\r\n" + b"x\r\n" * (MAX_MAIL // 2), 552, "Too much"),
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=list(REFUSED))
def test_a_bad_message_is_refused_and_the_next_one_taken(
    stack: Stack, scope: Scope, content: tuple[bytes, int, str]
) -> None:
    body, code, words = content
    with logged_in(stack.mail_url, scope.control.scope) as client:
        client.mail(SENDER)
        client.rcpt(RECIPIENT)
        told = client.data(body)
        assert (told[0], words in told[1].decode()) == (code, True)
        assert b"\n" not in told[1]
        client.send_message(message("order-1"))
    reading = scope.control.read()
    assert (reading.keys("effect"), len(reading.keys("attempt")), reading.open) == (STORED, 1, 0)


def test_a_size_beyond_the_limit_is_refused_before_it_is_sent(stack: Stack, scope: Scope) -> None:
    with logged_in(stack.mail_url, scope.control.scope) as client:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.send_message(message("order-1", body="x\n" * MAX_MAIL))
        assert refused.value.smtp_code == 552
    assert scope.effects() == []


def test_a_message_has_a_hundred_recipients_at_most(stack: Stack, scope: Scope) -> None:
    with logged_in(stack.mail_url, scope.control.scope) as client:
        client.mail(SENDER)
        codes = [client.rcpt(RECIPIENT)[0] for _ in range(101)]
    assert codes == [250] * 100 + [452]


NONSENSE: dict[str, bytes] = {
    "words": b"hello, is anybody there?\r\n" * 20,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
    "bytes": bytes(range(256)) * 50 + b"\r\n",
    "a line of a million": b"x" * 1_000_000 + b"\r\n",
    "commands out of order": b"DATA\r\nRCPT TO:<a@b>\r\nMAIL FROM:<a@b>\r\nQUIT\r\n",
    "logins": b"EHLO x\r\n" + b"AUTH PLAIN ====\r\nAUTH X\r\nAUTH LOGIN\r\n*\r\n" * 5,
    "an address that is none": b"HELO x\r\nMAIL FROM:<<<@@>\r\nMAIL FROM:" + b"a" * 400 + b"\r\n",
}


@pytest.mark.parametrize("words", NONSENSE.values(), ids=list(NONSENSE))
def test_nonsense_is_answered_and_then_cut_off(
    world_with: MakeWorld, scope_of: MakeScope, words: bytes
) -> None:
    world = world_with(HASTY)
    with Rude(world.mail_url) as client:
        assert client.line().startswith(b"220 ")
        client.flood(words, 1)
        told = client.rest()  # returns only when the world hangs up
    assert all(line[:1] in b"2345" for line in told.split(b"\r\n") if line)
    still_works(world, scope_of)


def test_a_client_that_says_nothing_is_cut_off(world_with: MakeWorld, scope_of: MakeScope) -> None:
    world = world_with(HASTY)
    with Rude(world.mail_url) as client:
        assert client.rest().startswith(b"220 ")
    still_works(world, scope_of)


def test_a_client_that_stops_within_a_message_is_cut_off(
    world_with: MakeWorld, scope_of: MakeScope
) -> None:
    world = world_with(HASTY)
    client = logged_in(world.mail_url, "slow")
    client.mail(SENDER)
    client.rcpt(RECIPIENT)
    client.docmd("DATA")
    assert client.sock is not None
    client.sock.sendall(b"Subject: order-1\r\n\r\nand then")
    assert client.sock.recv(1) == b""
    client.close()
    still_works(world, scope_of)


def test_a_client_that_does_not_read_is_cut_off(world_with: MakeWorld, scope_of: MakeScope) -> None:
    world = world_with(HASTY)
    with Rude(world.mail_url) as client:
        client.socket.settimeout(2.0)
        client.flood(b"HELP\r\n" * 10_000, 200)
        wait_until(lambda: connections(world) == 0, "the world to hang up", 30, world.log)
    still_works(world, scope_of)


@pytest.mark.parametrize("ending", [b"", b"\r\n"], ids=["no line end", "lines"])
def test_a_message_without_end_is_cut_off_and_costs_no_memory(
    own_world: WorldProcess, scope_of: MakeScope, ending: bytes
) -> None:
    client = logged_in(own_world.mail_url, "flood")
    client.mail(SENDER)
    client.rcpt(RECIPIENT)
    client.docmd("DATA")
    assert client.sock is not None
    before = psutil.Process(own_world.process.pid).memory_info().rss
    piece, sent = b"x" * 900 + ending, 0
    try:
        while sent < 20 * MAX_TALK:
            client.sock.sendall(piece * 100)
            sent += len(piece) * 100
    except OSError:
        pass
    client.close()
    assert sent < 20 * MAX_TALK, "the world went on listening"
    grown = psutil.Process(own_world.process.pid).memory_info().rss - before
    assert grown < 10 * MAX_TALK
    still_works(own_world, scope_of)


def test_too_many_connections_are_refused_until_some_end(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    clients = [Rude(own_world.mail_url) for _ in range(MAX_CLIENTS)]
    assert all(client.line().startswith(b"220 ") for client in clients)
    with Rude(own_world.mail_url) as one_more:
        assert one_more.rest().startswith(b"421 ")
    for client in clients:
        client.close()
    wait_until(lambda: connections(own_world) == 0, "the connections to end", 30)
    still_works(own_world, scope_of)


def test_a_full_disk_refuses_the_mail_and_says_nothing_false(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    with logged_in(own_world.mail_url, scope.control.scope) as client:
        client.send_message(message("order-1"))
        pid, infinity = own_world.process.pid, resource.RLIM_INFINITY
        room = own_world.journal.stat().st_size + 300  # for the attempt, not for the mail
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, infinity))
        with pytest.raises(smtplib.SMTPDataError, match="not stored") as refused:
            client.send_message(message("order-2", body="x\n" * room))
        assert refused.value.smtp_code == 452
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (infinity, infinity))
        client.send_message(message("order-3"))
    assert scope.effects() == ["mail of order-1", "mail of order-3"]
    kept = list((own_world.folder / "mails" / scope.control.scope).iterdir())
    assert len(kept) == 2
    lines = [json.loads(line) for line in own_world.journal.read_text().splitlines()]
    assert {record["key"] for record in lines} == {"order-1", "order-2", "order-3"}


def still_works(world: WorldProcess, scope_of: MakeScope) -> None:
    """The world takes a good mail, has recorded nothing else, and wrote no traceback."""
    scope = scope_of(world.url, name="afterwards")
    send(world.mail_url, "afterwards", message("order-1"))
    reading = scope.control.read()
    assert (reading.keys("effect"), reading.open) == (STORED, 0)
    records = [json.loads(line) for line in world.journal.read_text().splitlines()]
    assert {record["scope"] for record in records} == {"afterwards"}
    assert "Traceback" not in world.log.read_text()


def connections(world: WorldProcess) -> int:
    """How many clients the mailbox has."""
    found = psutil.Process(world.process.pid).net_connections("tcp")
    port = world.smtp_port.number
    return sum(1 for end in found if end.laddr.port == port and end.status == "ESTABLISHED")


@given(st.binary(max_size=300))
def test_any_bytes_have_a_key_or_none(junk: bytes) -> None:
    for content in (junk, b"Subject: " + junk, b"X-Entity-Ref-ID: =?utf-8?" + junk):
        key = key_of(BytesHeaderParser().parsebytes(content))
        assert key == " ".join(key.split())
        json.dumps(key).encode()
        key.encode()


@given(st.text(max_size=60))
def test_a_subject_arrives_as_it_was_written_on_one_line(subject: str) -> None:
    try:
        header = str(Header(subject, "utf-8").encode())
    except UnicodeEncodeError:  # lone surrogates are no text that could be sent
        return
    assert text(header) == " ".join(subject.split())
