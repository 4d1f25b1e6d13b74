"""`lab dead-letters` as one types it: exit statuses, and one clear line for each bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from labapp.cli import main
from labapp.lab.broker import Broker
from labapp.lab.dead_letters import KEY, put_aside
from labapp.stack.state import Stack

QUEUE = "after-hours"
"""A queue from which the live worker, where there is one, does not fetch."""
PATIENT = {"id": "id-of-patient", "task": "shop.charge", "args": ["order-7"], "kwargs": {}}


@pytest.fixture(name="live")
def _live(stack: Stack, here: dict[str, str]) -> Iterator[Broker]:
    """The live database, with no letters in it."""
    broker = Broker(stack.broker_url(0))
    broker.redis.delete(KEY, QUEUE)
    yield broker
    broker.redis.delete(KEY, QUEUE)
    broker.close()


def lab(*arguments: str) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(main, ["dead-letters", *arguments])


def told(done: Result) -> list[str]:
    """What was said of an error; it came without a traceback."""
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    return done.stderr.splitlines()


def write(broker: Broker, name: str, **letter: object) -> None:
    """A letter of a queue that nobody serves."""
    broker.redis.hset(KEY, name, json.dumps({"error": "Refused: 402", "queue": QUEUE, **letter}))


def test_an_empty_store_is_said_to_be_empty(live: Broker) -> None:
    assert lab("list").output == "lab: no dead letters\n"
    assert json.loads(lab("list", "--json").output) == []
    assert lab("replay", "--all").output == ""
    assert told(lab("show", "order-1"))[0] == "lab: there are no dead letters"


def test_letters_are_listed_shown_replayed_and_discarded(live: Broker) -> None:
    write(live, "id-of-patient", **PATIENT)
    write(live, "id-of-other", **{**PATIENT, "id": "id-of-other", "args": ["order-8"]})
    live.redis.hset(KEY, "broken", "{")

    listed = lab("list").output
    assert "id-of-patient  shop.charge('order-7')  Refused: 402" in listed
    assert "cannot be read: it is no JSON" in listed
    assert json.loads(lab("show", "order-7", "--json").output)["id"] == "id-of-patient"

    assert lab("replay", "order-7", "id-of-pat").output == (
        "replayed id-of-patient shop.charge('order-7')\n"
    )
    assert live.redis.llen(QUEUE) == 1
    assert lab("discard", "broken").output == "discarded broken\n"
    assert lab("discard", "--all").output == "discarded id-of-other shop.charge('order-8')\n"
    assert live.redis.exists(KEY) == 0


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_it_has_to_be_said_which_letters_are_meant(live: Broker, verb: str) -> None:
    for arguments in ((), ("order-1", "--all")):
        assert told(lab(verb, *arguments)) == [
            f"lab: {verb} which dead letters?",
            f"     `lab dead-letters {verb} ID`, or `lab dead-letters {verb} --all`",
        ]


def test_an_unknown_letter_is_told_with_the_nearest(live: Broker) -> None:
    put_aside(live, "shop.charge", [("order-7",)])
    for verb in ("show", "replay", "discard"):
        assert told(lab(verb, "ordre-7")) == [
            "lab: there is no dead letter 'ordre-7'",
            "     did you mean order-7?",
        ]


def test_a_broken_letter_cannot_be_replayed(live: Broker) -> None:
    live.redis.hset(KEY, "broken", json.dumps({"id": "broken"}))
    message, hint = told(lab("replay", "broken"))
    assert message == "lab: the dead letter broken cannot be read: it has no 'task'"
    assert "discard it, or mend it" in hint
    assert live.redis.hlen(KEY) == 1


def test_a_key_of_another_type_is_told_in_one_line(live: Broker) -> None:
    live.redis.set(KEY, "order-7")
    for verb in (["list"], ["show", "x"], ["replay", "--all"], ["discard", "--all"]):
        message, _ = told(lab(*verb))
        assert message == (
            "lab: the key 'dead_letters' is a string, and dead letters are in a hash or a list"
        )
