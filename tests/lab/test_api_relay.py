"""The way to the broker that can break: what passes, what is lost, and for whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from labapp.lab.relay import Relay, Way, commands
from labapp.lab.session import Session
from labapp.stack.testing import wait_until

words = st.lists(st.binary(max_size=40), min_size=1, max_size=5)
cuts = st.lists(st.integers(0, 400), max_size=8)


def encoded(command: list[bytes]) -> bytes:
    """A command as a Redis client sends it."""
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in command)
    return b"*%d\r\n%s" % (len(command), parts)


@given(st.lists(words, max_size=6), cuts)
def test_commands_are_found_wherever_the_network_cuts_them(
    sent: list[list[bytes]], cuts: list[int]
) -> None:
    whole = b"".join(map(encoded, sent))
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)})
    buffer, found, begin = bytearray(), [], 0
    for end in ends:
        buffer += whole[begin:end]
        found += list(commands(buffer))
        begin = end

    assert [name for _, name in found] == [command[0].upper() for command in sent]
    assert b"".join(raw for raw, _ in found) == whole
    assert not buffer


@given(st.binary(min_size=1, max_size=60))
def test_whatever_comes_is_passed_on_or_waited_for(data: bytes) -> None:
    buffer = bytearray(data)
    assert b"".join(raw for raw, _ in commands(buffer)) + bytes(buffer) == data


@pytest.fixture
def relay(session: Session) -> Iterator[Relay]:
    """A relay to the session's broker."""
    made = Relay(session.broker.url)
    yield made
    made.close()
    assert not [t for t in threading.enumerate() if t.name == "lab-relay"]


@pytest.fixture
def client(relay: Relay) -> Iterator[redis.Redis]:
    """A client behind the relay that tries nothing twice."""
    made = redis.Redis.from_url(relay.url, socket_timeout=1, retry=Retry(NoBackoff(), 0))
    yield made
    made.close()


def test_an_open_way_passes_everything(relay: Relay, client: redis.Redis) -> None:
    client.lpush("queue", b"x" * 300_000)
    assert client.lrange("queue", 0, -1) == [b"x" * 300_000]
    assert relay.swallowed == 0


def test_on_a_lossy_way_a_publish_arrives_and_its_answer_does_not(
    relay: Relay, client: redis.Redis, session: Session
) -> None:
    with relay.being(Way.LOSSY):
        assert client.set("key", "value"), "only a publish loses its answer"
        with pytest.raises(redis.TimeoutError):
            client.lpush("queue", "message")
        assert relay.wait_swallowed()
        assert session.broker.redis.llen("queue") == 1
        assert client.get("key") == b"value", "a new connection works"
    assert client.lpush("queue", "another") == 2
    assert relay.swallowed == 1


def test_nothing_to_lose_is_told(relay: Relay) -> None:
    with relay.being(Way.LOSSY):
        assert not relay.wait_swallowed(seconds=0.05)


def test_on_a_closed_way_nothing_arrives_until_it_is_open_again(
    relay: Relay, client: redis.Redis, session: Session
) -> None:
    client.ping()
    with relay.being(Way.CLOSED):
        for _ in range(2):
            with pytest.raises(redis.ConnectionError):
                client.lpush("queue", "message")
    assert session.broker.redis.llen("queue") == 0
    assert client.lpush("queue", "message") == 1


def test_a_broker_that_is_gone_closes_the_connection(session: Session) -> None:
    relay = Relay("redis://127.0.0.1:1/0")
    client = redis.Redis.from_url(relay.url, socket_timeout=5, retry=Retry(NoBackoff(), 0))
    with pytest.raises(redis.ConnectionError):
        client.ping()
    client.close()
    relay.close()


def test_others_do_not_notice(relay: Relay, session: Session) -> None:
    with relay.being(Way.CLOSED):
        assert session.broker.redis.ping()


def test_a_relay_that_is_closed_ends_its_connections(session: Session) -> None:
    relay = Relay(session.broker.url)
    client = redis.Redis.from_url(relay.url, socket_timeout=5)
    name = f"relayed-{session.lease.name}"
    client.client_setname(name)
    assert name in str(session.broker.redis.client_list())

    relay.close()

    wait_until(lambda: name not in str(session.broker.redis.client_list()), "its connection to end")
    client.close()
