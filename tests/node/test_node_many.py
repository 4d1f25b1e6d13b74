"""Several nodes as one: a lease that all of them hold, and workers on any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from node_bench import OwnNode, kill

from labapp.errors import LabError
from labapp.faults import charge_of, crash_broker, kill_worker
from labapp.lab import orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, WorkerSettings
from labapp.lab.session import Session
from labapp.node.client import Lease, NodeLease, Nodes
from labapp.stack.control import Gone
from labapp.stack.state import Stack, each
from labapp.stack.testing import wait_until

SHOP = Module("shop", Path(__file__).parents[2] / "solutions" / "00_start_here")
STRIKE = kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))


@pytest.fixture(name="three")
def _three(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[OwnNode]]:
    """Three nodes of one stack."""
    with ExitStack() as at_end:
        nodes = []
        for number in range(3):
            folder = tmp_path_factory.mktemp(f"node{number}")
            nodes.append(OwnNode(stack, folder, token=stack.control_token))
            at_end.callback(nodes[-1].close)
        yield nodes


@pytest.fixture(name="scaled")
def _scaled(stack: Stack, three: list[OwnNode]) -> Stack:
    """The stack with these nodes in place of its own."""
    urls = tuple(node.port.url for node in three)
    return replace(stack, node_urls=urls)


def ran_on(node: OwnNode) -> list[str]:
    """Workers that this node has run, by their logs, without the name of their lease."""
    return sorted(log.stem.partition("-")[2] for log in (node.folder / "workers").glob("*.log"))


def leased(urls: Sequence[str], token: str) -> int:
    """The database of a new lease with these nodes, which ends at once."""
    lease = Lease(urls, token)
    lease.close()
    return lease.database


def test_every_node_holds_the_lease_with_the_same_database(scaled: Stack) -> None:
    nodes = Nodes(scaled.node_urls, scaled.control_token)
    first, second = nodes.lease(), nodes.lease()
    assert (first.database, second.database) == (1, 2)
    assert first.alive
    first.close()
    wait_until(lambda: leased(scaled.node_urls, scaled.control_token) == 1, "all to free it")
    second.close()
    nodes.close()


def test_a_database_that_one_node_has_in_use_is_given_out_by_none(scaled: Stack) -> None:
    """As after a restart of the first node, which has forgotten what it gave out."""
    elsewhere = NodeLease(scaled.node_urls[2], scaled.control_token)
    assert elsewhere.database == 1
    lease = Lease(scaled.node_urls, scaled.control_token)
    assert lease.database == 2
    lease.close()
    elsewhere.close()


def test_a_node_that_is_away_is_told_and_leaves_no_lease(scaled: Stack) -> None:
    nowhere = (*scaled.node_urls[:2], "http://127.0.0.1:9")
    with pytest.raises(Gone, match="the node does not answer"):
        Lease(nowhere, scaled.control_token)
    wait_until(lambda: leased(scaled.node_urls, scaled.control_token) == 1, "all to free it")


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_fault_hits_the_node_that_is_chosen_and_another_recovers(
    scaled: Stack, three: list[OwnNode], victim: int
) -> None:
    with Session(scaled) as session:
        late = WorkerSettings(settings={"task_acks_late": True})
        run = conduct(session, Plan(SHOP, "shop.charge", orders(10), late, STRIKE, node=victim))
    assert run.judged.duplicated == ("order-3",)
    assert not run.judged.lost
    assert not run.judged.unknown
    found = [ran_on(node) for node in three]
    assert found[victim] == ["w1"]
    assert found[(victim + 1) % 3] == ["w2"]
    assert found[(victim + 2) % 3] == []


def test_a_run_with_a_broker_of_its_own_spans_two_nodes(
    scaled: Stack, three: list[OwnNode]
) -> None:
    with Session(scaled) as session:
        late = WorkerSettings(settings={"task_acks_late": True})
        fault = crash_broker(after=charge_of("order-3"), before=charge_of("order-4"))
        run = conduct(session, Plan(SHOP, "shop.charge", orders(10), late, fault, node=1))
    assert run.judged.duplicated == ("order-3",)
    assert [ran_on(node) for node in three] == [[], ["w1"], ["w2"]]


def test_kill_9_of_one_node_ends_the_lease_and_the_others_go_on(
    scaled: Stack, three: list[OwnNode]
) -> None:
    lease = Lease(scaled.node_urls, scaled.control_token)
    kill(three[0].pid)
    wait_until(lambda: not lease.alive, "the lease to end")
    lease.close()
    others = scaled.node_urls[1:]
    wait_until(lambda: leased(others, scaled.control_token) == 1, "the others to free it")


def test_a_name_of_several_hosts_is_several_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str, port: int, *_: object) -> list[object]:
        assert name == "worker"
        return [(2, 1, 6, "", (host, port)) for host in ("10.0.0.10", "10.0.0.9", "10.0.0.10")]

    monkeypatch.setattr("socket.getaddrinfo", found)
    assert each("http://worker:7000") == ["http://10.0.0.9:7000", "http://10.0.0.10:7000"]


def test_a_name_of_no_host_is_one_clear_line() -> None:
    with pytest.raises(LabError, match=r"there is no host 'nobody\.invalid': no node runs"):
        each("http://nobody.invalid:7000")
