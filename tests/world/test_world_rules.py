"""Armed rules: what is done to which request, at which point, and how often."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from labapp.errors import LabError
from labapp.stack.control import ControlClient
from labapp.stack.state import Stack
from labapp.stack.testing import wait_until
from labapp.world.rules import Do, Point, Rule

if TYPE_CHECKING:
    from world_bench import Scope

BOTH = pytest.mark.parametrize("point", [Point.BEFORE, Point.AFTER])
LATE = 0.2
"""Seconds of a late answer."""


def recorded(point: Point) -> list[str]:
    """Effects of order-1 where its request ends badly at this point."""
    return ["order-1"] if point is Point.AFTER else []


@BOTH
def test_drop_closes_the_connection_without_an_answer(scope: Scope, point: Point) -> None:
    scope.control.arm([Rule(point, Do.DROP, key="order-1")])

    with pytest.raises(httpx.TransportError):
        scope.charge("order-1")

    reading = scope.quiet()
    assert (reading.keys("effect"), reading.keys("answered")) == (recorded(point), [])
    assert scope.charge("order-1").status_code == 201  # once only


@BOTH
@pytest.mark.parametrize("status", [429, 500, 503])
def test_answer_refuses(scope: Scope, point: Point, status: int) -> None:
    scope.control.arm([Rule(point, Do.ANSWER, status=status)])

    answer = scope.charge("order-1")

    assert (answer.status_code, "Retry-After" in answer.headers) == (status, False)
    assert scope.effects() == recorded(point)


def test_answer_429_with_retry_after_twice(scope: Scope) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.ANSWER, status=429, retry_after=7, times=2)])

    answers = [scope.charge("order-1") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [429, 429, 201]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["7", "7", None]
    assert scope.effects() == ["order-1"]


@BOTH
def test_answer_late_is_the_usual_answer(scope: Scope, point: Point) -> None:
    scope.control.arm([Rule(point, Do.ANSWER, delay=LATE)])

    began = time.monotonic()
    answer = scope.charge("order-1")

    assert time.monotonic() - began >= LATE
    assert answer.status_code == 201
    assert scope.effects() == ["order-1"]


@BOTH
def test_never_answers_until_the_caller_gives_up(scope: Scope, point: Point) -> None:
    scope.control.arm([Rule(point, Do.NEVER)])

    with pytest.raises(httpx.ReadTimeout):
        scope.charge("order-1", timeout=0.2)

    reading = scope.quiet()
    assert (reading.keys("effect"), reading.held) == (recorded(point), ())


@BOTH
def test_hold_then_answer_goes_on_as_usual(scope: Scope, point: Point) -> None:
    scope.control.arm([Rule(point, Do.HOLD)])
    request = scope.charging("order-1")

    (held,) = scope.held(1).held
    assert (held.key, held.recorded) == ("order-1", point is Point.AFTER)
    assert scope.effects() == recorded(point)
    scope.control.answer([held])

    assert request.result().status_code == 201
    assert scope.quiet().keys("answered") == ["order-1"]


@BOTH
def test_hold_then_drop(scope: Scope, point: Point) -> None:
    scope.control.arm([Rule(point, Do.HOLD)])
    request = scope.charging("order-1")

    scope.control.drop(scope.held(1).held)

    with pytest.raises(httpx.TransportError):
        request.result()
    assert scope.quiet().keys("effect") == recorded(point)


def test_one_of_two_held_requests_is_released(scope: Scope) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.HOLD, times=2)])
    requests = {key: scope.charging(key) for key in ("order-1", "order-2")}
    held = {request.key: request for request in scope.held(2).held}

    scope.control.answer([held["order-2"]])

    assert requests["order-2"].result().status_code == 201
    assert [request.key for request in scope.control.read().held] == ["order-1"]
    scope.control.drop()
    with pytest.raises(httpx.TransportError):
        requests["order-1"].result()


def test_a_held_request_names_the_callers_port(scope: Scope) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.HOLD)])
    with sent_by_hand(scope, "order-1") as client:
        (held,) = scope.held(1).held
        assert held.port == client.getsockname()[1]


@pytest.mark.parametrize("release_too", [False, True])
def test_a_held_request_whose_client_is_gone_is_never_recorded(
    scope: Scope, release_too: bool
) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.HOLD)])
    client = sent_by_hand(scope, "order-1")
    held = scope.held(1).held

    client.close()
    if not release_too:
        assert scope.quiet().keys("effect") == []
        scope.control.answer(held)  # too late: it must not bring the request back
    else:
        scope.quiet()
        scope.control.answer()

    assert scope.control.read().keys("effect") == []
    assert scope.control.read().keys("attempt") == ["order-1"]


def test_a_late_request_whose_client_is_gone_is_never_recorded(scope: Scope) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.ANSWER, delay=60)])
    with sent_by_hand(scope, "order-1"):
        wait_open(scope, 1)

    assert scope.quiet().keys("effect") == []


def test_a_recorded_request_stays_recorded_when_its_client_is_gone(scope: Scope) -> None:
    scope.control.arm([Rule(Point.AFTER, Do.HOLD)])
    with sent_by_hand(scope, "order-1"):
        scope.held(1)

    reading = scope.quiet()
    assert (reading.keys("effect"), reading.keys("answered")) == (["order-1"], [])


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_rendezvous_holds_as_many_as_are_asked_for(scope: Scope, count: int) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.HOLD, times=count)])
    requests = [scope.charging(f"order-{number}") for number in range(count + 2)]

    reading = scope.held(count)
    assert len({request.id for request in reading.held}) == count
    scope.control.answer()

    assert {request.result().status_code for request in requests} == {201}
    assert len(scope.quiet().keys("effect")) == count + 2


def test_a_rule_for_a_key_leaves_others_alone(scope: Scope) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.ANSWER, key="order-2", status=500)])
    statuses = [scope.charge(f"order-{number}").status_code for number in (1, 2, 3)]

    assert statuses == [201, 500, 201]


@BOTH
def test_a_rule_for_the_nth_effect(scope: Scope, point: Point) -> None:
    scope.control.arm([Rule(point, Do.ANSWER, nth=3, status=500)])
    statuses = [scope.charge(f"order-{number}").status_code for number in range(1, 5)]

    assert statuses == [201, 201, 500, 201]
    assert len(scope.effects()) == (4 if point is Point.AFTER else 3)


def test_every_time_is_times_zero(scope: Scope) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.ANSWER, key="order-1", status=500, times=0)])

    assert {scope.charge("order-1").status_code for _ in range(20)} == {500}
    assert scope.control.read().fired == (20,)


def test_arming_replaces_what_was_armed(scope: Scope) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.ANSWER, status=500, times=0)])
    assert scope.charge("order-1").status_code == 500

    assert scope.control.arm([]).fired == ()
    assert scope.charge("order-1").status_code == 201


def test_waiting_for_requests_ends_at_its_timeout(scope: Scope) -> None:
    began = time.monotonic()
    assert scope.control.wait(held=1, timeout=0.1).held == ()
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "rules", {"point": "before", "do": "hold"}),
        ("PUT", "rules", ["hold"]),
        ("PUT", "rules", [{"point": "before"}]),
        ("PUT", "rules", [{"point": "before", "do": "explode"}]),
        ("PUT", "rules", [{"point": "before", "do": "hold", "colour": "red"}]),
        ("PUT", "rules", [{"point": "before", "do": "hold", "times": "two"}]),
        ("POST", "wait", {"held": 1}),
        ("POST", "wait", ["held"]),
        ("POST", "release", {"ids": [], "ending": "explode"}),
    ],
)
def test_a_bad_control_request_is_refused_in_one_line(
    stack: Stack, scope: Scope, method: str, path: str, body: Any
) -> None:
    control = bare_control(stack)
    with pytest.raises(LabError, match="bad request") as refused:
        control.call(method, f"/control/scopes/{scope.control.scope}/{path}", body)
    control.close()
    assert "\n" not in refused.value.message


def test_an_answer_that_is_no_json_becomes_one_clear_line(stack: Stack) -> None:
    control = bare_control(stack)
    with pytest.raises(LabError, match=r"^the world refused \(status 404\)$"):
        control.call("GET", "/no/such/path")
    control.close()


def bare_control(stack: Stack) -> ControlClient:
    return ControlClient("the world", stack.world_url, stack.control_token)


def sent_by_hand(scope: Scope, order: str) -> socket.socket:
    """A charge on a connection that the test can close when it likes."""
    address = urlsplit(scope.control.partner_url)
    client = socket.create_connection((address.hostname, address.port))
    body = json.dumps({"order": order})
    client.sendall(
        f"POST {address.path}/charges HTTP/1.1\r\nHost: world\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return client


def wait_open(scope: Scope, count: int) -> None:
    wait_until(lambda: scope.control.read().open == count, f"{count} open requests", 30)
