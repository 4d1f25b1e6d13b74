"""Dead letters on RabbitMQ, as far as that needs none: messages as letters, addresses, logs."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from labapp.cli import main
from labapp.errors import LabError
from labapp.lab.rabbitmq import LETTERS, copy_of, letter, named, place
from labapp.lab.rabbitmq_shop import NOTHING, RabbitMQ, last_words, only_queue, read_log
from labapp.stack.ports import Port
from labapp.stack.state import RABBITMQ

TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
DEATH = {"queue": "orders", "reason": "rejected", "count": 1}
HEADERS = {"id": "id-1", "task": "shop.charge", "retries": 2, "x-death": [DEATH]}
GOOD = {"content_type": "application/json", "application_headers": HEADERS}
BODY = json.dumps([["order-1"], {}, {"callbacks": None}]).encode()
LOG = f"""\
[2026-01-01 00:00:00,000: INFO/MainProcess] Task shop.charge[id-1] received
[2026-01-01 00:00:00,000: INFO/ForkPoolWorker-1] Task shop.charge[id-1] retry: Retry in 0s
[2026-01-01 00:00:00,000: INFO/MainProcess] Task shop.charge[id-1] received
[2026-01-01 00:00:00,000: ERROR/MainProcess] Task handler raised error: TimeLimitExceeded(1)
[2026-01-01 00:00:00,000: ERROR/MainProcess] Hard time limit (1s) exceeded for shop.charge[id-1]
[2026-01-01 00:00:00,000: INFO/MainProcess] Task shop.charge[id-2] received
[2026-01-01 00:00:00,000: ERROR/MainProcess] Task handler raised error: WorkerLostError('no')
[2026-01-01 00:00:00,000: INFO/MainProcess] Task shop.charge[id-2] received
[2026-01-01 00:00:00,000: WARNING/ForkPoolWorker-2] Task shop.charge[id-2] reject requeue=False: no
[2026-01-01 00:00:00,000: INFO/MainProcess] Task {NOTHING}[id-3] received
[2026-01-01 00:00:00,000: INFO/ForkPoolWorker-2] Task {NOTHING}[id-3] succeeded in 0.1s: ('done',)
[2026-01-01 00:00:00,000: INFO/MainProcess] Task shop.charge[id-4] received
"""


# Messages as letters


def test_a_message_that_a_queue_has_passed_on_is_a_letter() -> None:
    found = letter("#1", GOOD, BODY)
    assert found.to_json() == {
        "id": "id-1",
        "task": "shop.charge",
        "args": ["order-1"],
        "kwargs": {},
        "error": "rejected after 2 retries",
        "queue": "orders",
    }
    assert (found.name, found.key) == ("id-1", "order-1")


@given(st.binary(max_size=20) | JSON.map(lambda told: json.dumps(told).encode()))
def test_whatever_a_message_holds_is_a_letter_or_says_why_it_is_none(body: bytes) -> None:
    found = letter("#1", {"content_type": "application/json"}, body)
    assert found.problem
    assert found.name == "#1"


@given(st.dictionaries(st.sampled_from([*HEADERS, "eta"]), JSON | st.just([DEATH])), JSON)
def test_whatever_its_headers_say_nothing_breaks(headers: dict[str, Any], reason: Any) -> None:
    whole = {**GOOD, "application_headers": {**headers, "x-death": [{**DEATH, "reason": reason}]}}
    for properties in ({**GOOD, "application_headers": headers}, whole):
        found = letter("#1", properties, BODY)
        assert found.trouble or found.error == ""


@pytest.mark.parametrize(
    ("properties", "body", "problem"),
    [
        ({"content_type": "application/x-python-serialize"}, BODY, "its content is application/x-"),
        ({}, b"\xff", "it is no UTF-8"),
        ({}, b"{", "it is no JSON"),
        ({}, b'{"a": 1}', "it is no message of Celery's"),
        ({}, b'["order-1", {}, {}]', "its 'args' is not a list"),
        ({"application_headers": {"id": "id-1"}}, BODY, "it has no 'x-death'"),
        ({"application_headers": {"x-death": [DEATH]}}, BODY, "its 'id' is empty"),
        ({"application_headers": None}, BODY, "it has no 'x-death'"),
    ],
)
def test_what_is_no_letter_says_what_it_lacks(
    properties: dict[str, Any], body: bytes, problem: str
) -> None:
    assert letter("#1", {**GOOD, **properties}, body).problem.startswith(problem)


@given(st.dictionaries(TEXT, JSON), st.integers(0, 9))
def test_a_copy_is_as_new_and_has_all_else(own: dict[str, Any], retries: int) -> None:
    past = {"x-death": [DEATH], "x-first-death-queue": "orders", "x-delivery-count": 2}
    headers = {**own, **past, "retries": retries, "eta": "2026-01-01", "expires": "2026-01-01"}
    properties = {**GOOD, "application_headers": headers, "expiration": "9", "reply_to": "me"}
    copied = copy_of(properties)
    fresh = {"retries": 0, "eta": None, "expires": None}
    kept = {name: value for name, value in own.items() if not name.startswith("x-")}
    assert copied["application_headers"].items() >= {**kept, **fresh}.items()
    assert not [name for name in copied["application_headers"] if name in past]
    assert "expiration" not in copied
    assert (copied["reply_to"], copied["delivery_mode"]) == ("me", 2)


@given(st.lists(st.sampled_from(["id-1", "id-2"]), max_size=6))
def test_two_letters_of_one_task_have_names_of_their_own(ids: list[str]) -> None:
    letters = [letter("", {**GOOD, "application_headers": {**HEADERS, "id": i}}, BODY) for i in ids]
    names = [one.name for one in named(letters)]
    assert len(set(names)) == len(ids)
    assert [name.partition("#")[0] for name in names] == ids


# The worker's log


def test_a_log_says_what_came_and_what_is_over() -> None:
    heard = read_log(LOG)
    assert (heard.received, heard.ended, heard.done) == (6, 5, {"id-3"})


def test_of_a_worker_that_ended_the_line_that_says_why_is_told() -> None:
    why = "amqp.exceptions.PreconditionFailed: (406) PRECONDITION_FAILED - inequivalent arg"
    assert last_words(f"{LOG}{why}\nsomething after it\n") == why
    assert last_words("") == "it ended without a word"


# Where there is none, or what is named is none


@pytest.fixture(name="told")
def _told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `lab dead-letters --rabbitmq` says of an address, in its lines."""

    def told(url: str, *arguments: str) -> list[str]:
        monkeypatch.setenv(RABBITMQ, url)
        done = CliRunner().invoke(main, ["dead-letters", *(arguments or ("--rabbitmq", "list"))])
        assert done.exit_code == 2, done.output
        assert isinstance(done.exception, SystemExit)
        assert "secret" not in done.output + done.stderr
        return done.stderr.splitlines()

    return told


def test_without_one_it_is_said_how_to_have_one(told: Any) -> None:
    message, hint = told("")
    assert message == "lab: there is no RabbitMQ here"
    assert "docker compose --profile rabbitmq up --detach" in hint
    assert RABBITMQ in hint
    shown = RabbitMQ()
    assert not shown.there
    shown_lines = repr(shown).splitlines()
    assert shown_lines[0] == "there is no RabbitMQ here"
    assert "; ".join(shown_lines[1:]) == hint.strip()
    assert max(map(len, shown_lines)) < 80  # no word is broken beside JupyterLab's panels
    with pytest.raises(LabError, match="there is no RabbitMQ here"):
        shown.dead_letters.read()
    with pytest.raises(LabError, match="measure which tasks"):
        shown.measure()


def test_a_module_without_a_queue_of_its_own_is_told() -> None:
    with pytest.raises(LabError, match=r"^shop\.py has no queues in task_queues"):
        only_queue(Celery(set_as_current=False), "shop.py")


def test_a_host_without_an_address_is_none_here(told: Any) -> None:
    message, _ = told("amqp://lab:secret@no-such-host.invalid//")
    assert message == "lab: there is no RabbitMQ here: no host 'no-such-host.invalid'"


@pytest.mark.parametrize(
    "url",
    [
        "rabbitmq",
        "redis://:secret@localhost:6379/0",
        "amqp://lab:secret@localhost:none//",
        "amqp://lab:secret@[::1//",
        "amqp://",
    ],
)
def test_what_is_no_address_is_told_without_its_password(told: Any, url: str) -> None:
    assert told(url) == [
        f"lab: {RABBITMQ} is no address of a RabbitMQ",
        "     it reads amqp://USER:PASSWORD@HOST:PORT/VIRTUAL-HOST",
    ]
    assert not RabbitMQ().there


def test_a_port_where_nothing_listens_is_told_in_one_line(told: Any) -> None:
    port = Port()
    try:
        message, hint = told(f"amqp://lab:secret@127.0.0.1:{port.number}//")
    finally:
        port.release()
    assert message.startswith(f"lab: RabbitMQ at 127.0.0.1:{port.number} does not answer")
    assert hint


def test_a_server_that_speaks_something_else_is_told_in_one_line(told: Any) -> None:
    from threading import Thread

    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as client:
                client.recv(64)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = Thread(target=answer)
        thread.start()
        message, _ = told(f"amqp://lab:secret@127.0.0.1:{server.getsockname()[1]}//")
        thread.join()
    assert "does not answer" in message


def test_a_queue_of_rabbitmqs_without_rabbitmq_is_told(told: Any) -> None:
    message, _ = told("", "--queue", LETTERS, "list")
    assert message == "lab: --queue is for --rabbitmq only"


def test_it_has_to_be_said_which_letters_are_meant(told: Any) -> None:
    for verb in ("replay", "discard"):
        message, hint = told("", "--rabbitmq", verb)
        assert message == f"lab: {verb} which dead letters?"
        assert f"`lab dead-letters --rabbitmq {verb} --all`" in hint


@given(st.text(max_size=30))
def test_an_address_is_shown_as_host_and_port_or_refused(rest: str) -> None:
    try:
        shown = place(f"amqp://lab:secret@{rest}")
    except LabError as error:
        shown = str(error)
    assert "secret" not in shown or "secret" in rest
