"""The partner's side: charges, Idempotency-Key, refusals of bad requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from labapp.stack.state import Stack
from labapp.world.rules import Do, Point, Rule

if TYPE_CHECKING:
    from world_bench import MakeScope, Scope, WorldProcess


def lines_of(journal: Path, scope: str) -> list[tuple[str, str]]:
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    return [(r["kind"], r["key"]) for r in records if r["scope"] == scope]


def test_a_charge_is_recorded_once_and_in_the_journal(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    answer = scope.charge("order-1")

    assert answer.status_code == 201
    assert answer.json() == {"charge": 1, "order": "order-1", "status": "charged"}
    expected = [("attempt", "order-1"), ("effect", "order-1"), ("answered", "order-1")]
    assert [record[:2] for record in scope.control.read().records] == expected
    assert lines_of(own_world.journal, scope.control.scope) == expected


def test_without_an_idempotency_key_the_same_order_is_charged_again(scope: Scope) -> None:
    assert [scope.charge("order-1").json()["charge"] for _ in range(2)] == [1, 2]
    assert scope.effects() == ["order-1", "order-1"]


def test_an_idempotency_key_replays_the_first_answer(scope: Scope) -> None:
    first = scope.charge("order-1", Idempotency_Key="k1")
    again = scope.charge("order-1", Idempotency_Key="k1")
    other = scope.charge("order-1", Idempotency_Key="k2")

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "1"
    reading = scope.control.read()
    assert reading.keys("effect") == ["order-1", "order-1"]
    assert reading.keys("replayed") == ["order-1"]
    assert reading.keys("attempt") == ["order-1"] * 3


def test_an_idempotency_key_replays_after_a_restart_of_the_world(
    own_world: WorldProcess, scope_of: MakeScope
) -> None:
    scope = scope_of(own_world.url)
    scope.charge("order-1")
    first = scope.charge("order-2", Idempotency_Key="k")

    own_world.kill()
    own_world.start()

    assert scope.charge("order-2", Idempotency_Key="k").json() == first.json()
    assert scope.effects() == ["order-1", "order-2"]


def test_an_idempotency_key_belongs_to_its_scope(stack: Stack, scope_of: MakeScope) -> None:
    one, two = (
        scope_of(stack.world_url, stack.control_token, "keys-one"),
        scope_of(stack.world_url, stack.control_token, "keys-two"),
    )

    assert one.charge("order-1", Idempotency_Key="k").status_code == 201
    assert two.charge("order-1", Idempotency_Key="k").status_code == 201


def test_of_two_requests_with_one_key_open_together_one_is_charged(scope: Scope) -> None:
    scope.control.arm([Rule(Point.BEFORE, Do.HOLD, times=2)])
    both = [scope.charging("order-1", Idempotency_Key="k") for _ in range(2)]
    scope.held(2)
    scope.control.answer()

    assert sorted(future.result().status_code for future in both) == [200, 201]
    assert scope.effects() == ["order-1"]


BAD_BODIES: dict[str, dict[str, Any]] = {
    "no body": {},
    "no JSON": {"content": b"order-1"},
    "no UTF-8": {"content": b'{"order": "\xff"}'},
    "unknown charset": {
        "content": b"{}",
        "headers": {"Content-Type": "application/json; charset=nonsense"},
    },
    "nested without end": {"content": b"[" * 60_000},
    "a list": {"json": ["order-1"]},
    "no order": {"json": {"amount": 1}},
    "an empty order": {"json": {"order": ""}},
    "a number for an order": {"json": {"order": 3}},
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=list(BAD_BODIES))
def test_a_bad_body_is_refused_in_one_clear_line(scope: Scope, body: dict[str, Any]) -> None:
    answer = scope.post(**body)

    assert answer.status_code == 422
    assert "order" in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    reading = scope.control.read()
    assert (reading.records, reading.open) == ((), 0)


def test_a_body_beyond_all_measure_is_refused(scope: Scope) -> None:
    assert scope.charge("x" * 100_000).status_code == 413
    assert scope.effects() == []


def test_an_order_may_be_any_text(own_world: WorldProcess, scope_of: MakeScope) -> None:
    scope = scope_of(own_world.url)
    odd = "Bestellung „7“\n\u2028\x00 🧾"

    assert scope.charge(odd).json()["order"] == odd
    assert scope.effects() == [odd]
    assert ("effect", odd) in lines_of(own_world.journal, scope.control.scope)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/control/scopes/live"),
        ("PUT", "/control/scopes/live/rules"),
        ("POST", "/control/scopes/live/wait"),
        ("POST", "/control/scopes/live/release"),
    ],
)
@pytest.mark.parametrize(
    "token", ["", "Bearer wrong", "Bearer", "the-token-of-this-test", "Bearer é"]
)
def test_the_control_side_refuses_without_the_token(
    stack: Stack, method: str, path: str, token: str
) -> None:
    headers = {"Authorization": token.encode()}
    answer = httpx.request(method, stack.world_url + path, headers=headers, trust_env=False)

    assert answer.status_code == 401
    assert answer.json() == {"error": "the control token is missing"}


def test_health_and_charges_need_no_token(stack: Stack, scope: Scope) -> None:
    assert httpx.get(f"{stack.world_url}/health", trust_env=False).status_code == 200
    assert scope.charge("order-1").status_code == 201


def test_two_scopes_do_not_see_each_other(stack: Stack, scope_of: MakeScope) -> None:
    one, two = (
        scope_of(stack.world_url, stack.control_token, "one"),
        scope_of(stack.world_url, stack.control_token, "two"),
    )
    one.control.arm([Rule(Point.BEFORE, Do.HOLD, key="order-1")])
    open_there = one.charging("order-1")
    one.held(1)

    assert two.charge("order-1").json()["charge"] == 1
    reading = two.control.read()
    assert (reading.held, reading.open, reading.fired) == ((), 0, ())
    two.control.answer()  # releases its own requests only
    assert one.control.read().keys("effect") == []
    one.control.answer()
    assert open_there.result().status_code == 201
