"""A run's own broker and its link to it: real, breakable, and gone with the lease."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest
import redis
from node_bench import PATIENCE, kill, wait_gone

from labapp.errors import LabError
from labapp.lab.session import Session
from labapp.node.link import Way
from labapp.stack.ports import is_listening
from labapp.stack.state import broker_environment
from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from node_bench import Bench, OwnNode

    from labapp.node.client import OpenLink, StartedBroker
    from labapp.stack.state import Stack, broker_environment


def client(url: str, seconds: float = PATIENCE) -> redis.Redis:
    """A connection that does not try again by itself."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(f"{url}/0", socket_timeout=seconds, retry=Retry(NoBackoff(), 0))


def port_of(url: str) -> int:
    """The port of an address."""
    return urlsplit(url).port or 0


def pid_of(url: str) -> int:
    """The pid of the server there."""
    with client(url) as connection:
        return int(connection.info("server")["process_id"])


@pytest.fixture
def broker(bench: Bench) -> StartedBroker:
    """A broker of the bench's own; its lease ends it."""
    return bench.nodes.start_broker(bench.session.lease.name, aof=True)


@pytest.fixture
def link(bench: Bench, broker: StartedBroker) -> OpenLink:
    """A link to that broker; its lease ends it."""
    return bench.nodes.open_link(bench.session.lease.name, broker.url)


# --- the broker


@pytest.mark.parametrize("aof", [True, False])
def test_a_killed_broker_comes_back_with_its_data_where_it_kept_them(
    bench: Bench, aof: bool
) -> None:
    broker = bench.nodes.start_broker(bench.session.lease.name, aof=aof)
    with client(broker.url) as connection:
        connection.lpush("celery", "one", "two")
    first = pid_of(broker.url)

    bench.nodes.kill_broker(broker)
    assert not psutil.pid_exists(first)
    assert not is_listening(port_of(broker.url))
    bench.nodes.restart_broker(broker)

    with client(broker.url) as connection:
        assert connection.llen("celery") == (2 if aof else 0)
    assert pid_of(broker.url) != first


def test_starting_a_broker_that_runs_changes_nothing(bench: Bench, broker: StartedBroker) -> None:
    first = pid_of(broker.url)
    bench.nodes.restart_broker(broker)
    assert pid_of(broker.url) == first


def test_a_broker_of_a_runs_own_needs_its_password(broker: StartedBroker) -> None:
    stranger = f"redis://127.0.0.1:{port_of(broker.url)}"
    with client(stranger) as connection, pytest.raises(redis.AuthenticationError):
        connection.ping()


def test_the_end_of_the_lease_ends_broker_and_link(
    stack: Stack, bench: Bench, tmp_path: Path
) -> None:
    with Session(stack) as other:
        broker = other.nodes.start_broker(other.lease.name, aof=True)
        link = other.nodes.open_link(other.lease.name, broker.url)
        with client(broker.url) as connection:
            folder = str(connection.config_get("dir")["dir"])
        pid = pid_of(broker.url)
        assert is_listening(port_of(link.url))

    wait_gone([pid])
    wait_until(lambda: not is_listening(port_of(link.url)), "the link to close", PATIENCE)
    assert not psutil.pid_exists(pid)
    assert not (tmp_path / folder).exists()
    bench.nodes.end_broker(broker)  # what is gone already is no error
    bench.nodes.close_link(link)


def test_kill_9_of_the_node_ends_its_brokers(own_node: Callable[..., OwnNode]) -> None:
    node = own_node()
    lease = node.nodes.lease()
    pid = pid_of(node.nodes.start_broker(lease.name, aof=True).url)
    kill(node.pid)
    wait_gone([pid])


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/brokers", {"lease": "nobody", "aof": True}, "this lease has ended"),
        ("POST", "/links", {"lease": "nobody", "host": "h", "port": 1}, "this lease has ended"),
        ("POST", "/brokers/none/kill", {}, "there is no broker named none here"),
        ("PUT", "/links/none", {"way": "cut"}, "there is no link named none here"),
        ("POST", "/brokers", {}, "bad request: 'lease'"),
    ],
)
def test_a_bad_request_is_one_clear_line(
    bench: Bench, method: str, path: str, body: dict[str, Any], words: str
) -> None:
    with pytest.raises(LabError) as refused:
        bench.nodes._clients[0].call(method, path, body)
    assert refused.value.message == words


def test_a_broker_has_two_verbs(bench: Bench, broker: StartedBroker) -> None:
    with pytest.raises(LabError, match="a broker has no verb eat"):
        bench.nodes._clients[0].call("POST", f"/brokers/{broker.name}/eat")


# --- the link


def test_a_link_passes_everything_on(broker: StartedBroker, link: OpenLink) -> None:
    large = "x" * 3_000_000
    with client(link.url) as through, client(broker.url) as direct:
        through.set("key", large)
        assert direct.get("key") == through.get("key") == large.encode()


def test_a_link_that_is_cut_closes_what_is_open_and_opens_nothing(
    bench: Bench, broker: StartedBroker, link: OpenLink
) -> None:
    with client(link.url) as through, client(broker.url) as direct:
        through.ping()
        hit = bench.nodes.set_link(link, Way.CUT)
        assert len(hit) == 1
        wait_until(
            lambda: hit[0] not in [c["addr"] for c in direct.client_list()],
            "the broker to notice",
            PATIENCE,
        )
        for _ in range(2):  # the connection that was open, and a new one
            with pytest.raises(redis.ConnectionError):
                through.ping()

        bench.nodes.set_link(link, Way.OPEN)
        assert through.ping()


def test_a_link_that_stalls_keeps_its_connections_and_passes_nothing(
    bench: Bench, broker: StartedBroker, link: OpenLink
) -> None:
    with client(link.url) as through, client(broker.url) as direct:
        through.ping()
        assert len(bench.nodes.set_link(link, Way.STALLED)) == 1
        connection = through.connection_pool.get_connection()
        connection.send_command("LPUSH", "celery", "late")
        assert not connection.can_read(timeout=0.2)  # how long nothing came, not a wait for a state
        assert direct.llen("celery") == 0

        bench.nodes.set_link(link, Way.OPEN)
        assert connection.read_response() == 1
        assert direct.llen("celery") == 1
        through.connection_pool.release(connection)


def test_a_slow_link_is_slow_in_both_directions(
    bench: Bench, broker: StartedBroker, link: OpenLink
) -> None:
    with client(link.url) as through:
        through.ping()
        bench.nodes.set_link(link, Way.OPEN, delay=0.1)
        began = time.monotonic()
        through.ping()
        assert time.monotonic() - began >= 0.2


def test_a_link_to_nowhere_closes_each_connection(bench: Bench, broker: StartedBroker) -> None:
    link = bench.nodes.open_link(bench.session.lease.name, broker.url)
    bench.nodes.end_broker(broker)
    with client(link.url) as through, pytest.raises(redis.ConnectionError):
        through.ping()


# --- a worker that its broker's loss ends


def test_a_worker_that_ends_with_its_broker_is_restarted_and_that_is_recorded(
    bench: Bench, broker: StartedBroker
) -> None:
    """It holds a message and waits for another: then kombu 5.7.0 ends it (docs/experiments.md)."""
    env = bench.session.environment(bench.world.partner_url) | broker_environment(broker.url)
    worker = bench.start(env=env, restart=True, settings={"task_acks_late": True})
    pid = worker.pid
    held = hold_on(bench, env, "order-1")
    with client(broker.url) as direct:
        wait_until(
            lambda: any("b" in c["flags"] for c in direct.client_list()), "its BRPOP", PATIENCE
        )
    bench.nodes.kill_broker(broker)
    bench.nodes.verb(worker, "wait_log", text="Unrecoverable error", timeout=PATIENCE)
    bench.world.answer([held])  # its warm stop waits for what runs
    bench.nodes.restart_broker(broker)

    wait_until(
        lambda: bench.state_of(worker.name) == "running" and bench.pid_of(worker.name) != pid,
        "the worker to be started again",
        PATIENCE,
    )
    ends = [w["ends"] for w in bench.nodes.workers() if w["name"] == worker.name]
    assert ends == [[1]]


def hold_on(bench: Bench, env: dict[str, str], order: str) -> Any:
    """Send a charge to another broker, and hold it before it is recorded."""
    from labapp.lab.publisher import Module, Publisher
    from labapp.world.rules import Do, Point, Rule

    bench.world.arm([Rule(Point.BEFORE, Do.HOLD, key=order)])
    publisher = Publisher(Module("work", bench.folder), env)
    try:
        publisher.send("work.charge", [(order,)])
    finally:
        publisher.close()
    reading = bench.world.wait(held=1, timeout=PATIENCE)
    assert reading.held, f"waited for the charge of {order} to be held"
    return reading.held[0]
