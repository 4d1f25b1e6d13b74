"""The servers that profiles add: real, closed, and not there unless asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from compose_bench import Compose, copy_of_the_project, liberties

from labapp.stack.container import FILE, SECRETS
from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess

DEFAULT = {"init", "redis", "world", "worker", "flower", "lab"}
CHECKED = ("postgres", "rabbitmq", "prometheus")
"""redis-exporter's image has nothing to check it with; Prometheus's check asks it."""
SERVERS = (*CHECKED, "redis-exporter")
TOO_OLD = "compose-2.24-or-newer-is-needed"
PROFILES = tuple(f"--profile={name}" for name in ("postgres", "rabbitmq", "metrics"))
STARTING = 300.0

# What runs in the lab's container

SHOP = """
import os
from celery import Celery

app = Celery("amqp_shop", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.update(task_default_queue="orders", task_default_queue_type="quorum")

@app.task
def total(*prices):
    return [sum(prices), os.getpid()]
"""
SEND = """
import json, os, subprocess, sys
from pathlib import Path

sys.path.insert(0, "/tmp")
Path("/tmp/amqp_shop.py").write_text(os.environ["SHOP"])
from amqp_shop import app, total

started = ("celery", "-A", "amqp_shop", "worker", "--pool=solo", "--loglevel=warning")
worker = subprocess.Popen(started, cwd="/tmp")
try:
    [answer, pid] = total.delay(3, 4).get(timeout=90)
finally:
    worker.terminate()
    worker.wait(30)
with app.connection_for_write() as connection:
    connection.default_channel.queue_declare("without-a-type", durable=True, auto_delete=False)
print(json.dumps({"answer": answer, "by_the_worker": pid == worker.pid}))
"""
QUEUES = """
import httpx, json, os
auth = ("lab", os.environ["PASSWORD"])
found = httpx.get("http://rabbitmq:15672/api/queues/%2F", auth=auth).raise_for_status().json()
print(json.dumps({one["name"]: one["type"] for one in found}))
"""
OPEN = """
import json, socket
def is_open(port):
    try:
        socket.create_connection(("rabbitmq", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True
print(json.dumps({port: is_open(port) for port in (5672, 15672, 4369, 25672)}))
"""
BOOKS = """
import json, sys
from labapp.course.stage_04 import work
from labapp.lab import connect, kill_worker, charge_of
lab = connect()
sys.path.insert(0, "/lab/solutions/04_idempotency")
from shop import charge
fault = kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))
run = lab.run(charge, work(), fault=fault, expect=["charge", "booking"])
told = {"url": lab.session.database.url, "exactly_once": run.judged.exactly_once}
told["rows"] = sorted((row.order for row in run.booked), key=lambda o: int(o[6:]))
lab.session.close()
print(json.dumps(told))
"""
ASK = """
import httpx, os
answer = httpx.get("http://prometheus:9090/api/v1/" + os.environ["QUESTION"])
print(answer.raise_for_status().text)
"""
LOLWUT = """
from labapp.stack.state import container_environment
from redis import Redis
Redis.from_url(container_environment()["LAB_BROKER_URL"]).execute_command("LOLWUT")
"""


def test_the_default_stack_has_none_of_them(compose: Compose) -> None:
    assert set(compose.must("config", "--services").split()) == DEFAULT
    there = compose.must("--profile=*", "ps", "--all", "--services").split()
    assert set(there) == DEFAULT


def test_the_name_that_an_old_compose_says_is_never_started(compose: Compose) -> None:
    told = json.loads(compose.must("--profile=*", "config", "--format=json"))["services"]
    assert set(told) == {*DEFAULT, *SERVERS, TOO_OLD}
    assert told[TOO_OLD]["scale"] == 0
    assert "environment" not in told[TOO_OLD]


def test_a_stack_of_before_gets_the_secrets_that_it_lacks(
    compose: Compose, tmp_path_factory: pytest.TempPathFactory
) -> None:
    older = Compose(copy_of_the_project(tmp_path_factory.mktemp("older")), "lab-of-before")
    kept = {name: f"{name.lower()}-of-before" for name in SECRETS}
    text = "".join(f"{name}={value}\n" for name, value in kept.items())
    write = f"umask 077; printf %s '{text}' > /state/{FILE}"
    try:
        older.must("run", "--rm", "--no-TTY", "--entrypoint=sh", "init", "-c", write)
        older.must("run", "--rm", "--no-TTY", "init")
        assert older.secrets().items() >= kept.items()
        assert len(older.secrets()) == len(compose.secrets())
    finally:
        older.close()


@pytest.fixture(name="servers", scope="module")
def _servers(compose: Compose) -> Iterator[Compose]:
    """The stack, with all of them beside it."""
    try:
        compose.must(*PROFILES, "up", "--detach", "--wait", timeout=STARTING)
        yield compose
    finally:
        compose(*PROFILES, "rm", "--stop", "--force", "--volumes", *SERVERS)


def alone(compose: Compose, service: str) -> dict[str, Any]:
    """What the engine says of the one container of a service."""
    (one,) = compose.containers(service)
    return one


def python(compose: Compose, program: str, **env: str) -> Any:
    """What a program in the lab's container printed last, read as JSON."""
    return json.loads(compose.inside("python", "-c", program, **env).splitlines()[-1])


def test_each_is_healthy(servers: Compose) -> None:
    assert {alone(servers, name)["State"]["Status"] for name in SERVERS} == {"running"}
    health = {alone(servers, name)["State"]["Health"]["Status"] for name in CHECKED}
    assert health == {"healthy"}


@pytest.mark.parametrize("service", SERVERS)
def test_a_server_may_do_nothing_that_it_need_not(servers: Compose, service: str) -> None:
    one = alone(servers, service)
    assert liberties(one, servers.uid) == []
    assert not [at for at in one["NetworkSettings"]["Ports"].values() if at]


def test_no_secret_is_in_a_servers_description(servers: Compose) -> None:
    secrets = servers.secrets()
    assert len(secrets) > len(SECRETS)
    for service in SERVERS:
        described = json.dumps(alone(servers, service))
        assert not [name for name, value in secrets.items() if value in described]


def test_what_a_server_keeps_is_the_hosts_users_and_secrets_are_private(servers: Compose) -> None:
    state = servers.folder / "compose/state"
    secret = ("postgres/password", "rabbitmq/rabbitmq.conf", "rabbitmq/.erlang.cookie")
    for name in (*secret, "prometheus/token", "redis-exporter/passwords.json"):
        assert (state / name).stat().st_mode & 0o777 == 0o600, name
    for name in (*secret, "postgres/data", "rabbitmq/mnesia"):
        assert (state / name).stat().st_uid == servers.uid, name


# PostgreSQL


def psql(compose: Compose, statement: str, password: str) -> CompletedProcess[str]:
    """Ask over the network, where the password counts."""
    words = ("psql", "--host=postgres", "--username=lab", "--no-psqlrc", "--tuples-only")
    given = ("--env", f"PGPASSWORD={password}", "postgres")
    return compose("exec", "-T", *given, *words, "--no-align", "--command", statement)


def test_a_row_survives_kill_9(servers: Compose) -> None:
    password = servers.secrets()["LAB_POSTGRES_PASSWORD"]
    written = psql(
        servers, "create table paid (id text); insert into paid values ('order-3')", password
    )
    assert written.returncode == 0, written.stderr
    servers.must("kill", "--signal", "KILL", "postgres")
    assert alone(servers, "postgres")["State"]["ExitCode"] == 137
    servers.must("--profile=postgres", "up", "--detach", "--wait", "postgres")
    assert psql(servers, "select id from paid", password).stdout == "order-3\n"


def test_stage_04_keeps_its_books_there_and_takes_them_away_at_the_end(servers: Compose) -> None:
    told = python(servers, BOOKS)
    assert told["url"].startswith("postgresql+psycopg://lab:")
    assert told["url"].rpartition("/")[2].startswith("shop_")
    assert told["exactly_once"]
    assert told["rows"] == [f"order-{number}" for number in range(1, 11)]
    password = servers.secrets()["LAB_POSTGRES_PASSWORD"]
    left = psql(servers, "select datname from pg_database where datname like 'shop%'", password)
    assert left.stdout == ""


def test_the_check_of_stage_04_passes_its_solution_on_postgresql(servers: Compose) -> None:
    told = servers.inside("lab", "check", "04", "--answers", "solutions", "--json")
    assert json.loads(told)["passed"]


def test_a_wrong_answer_is_told_the_same_on_postgresql(servers: Compose) -> None:
    folder = "solutions/04_idempotency/wrong_answers/any_integrity_error"
    done = servers(
        "exec", "-T", "lab", "lab", "check", "04", "--answers", folder, "--json", timeout=900
    )
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["diagnosis"] == "every-error-is-a-duplicate"


def test_postgresql_wants_its_password(servers: Compose) -> None:
    refused = psql(servers, "select 1", "wrong")
    assert refused.returncode != 0
    assert "password authentication failed" in refused.stderr


# RabbitMQ


def test_celery_works_over_amqp_with_a_quorum_queue(servers: Compose) -> None:
    password = servers.secrets()["LAB_RABBITMQ_PASSWORD"]
    told = python(servers, SEND, SHOP=SHOP, AMQP_URL=f"amqp://lab:{password}@rabbitmq:5672//")
    assert told == {"answer": 7, "by_the_worker": True}
    queues = python(servers, QUEUES, PASSWORD=password)
    assert queues["orders"] == "quorum"
    assert queues["without-a-type"] == "quorum"


def test_dead_letters_on_rabbitmq(servers: Compose) -> None:
    """Each ending, looking, replaying, discarding, the command line, the notebook's cells."""
    command = ("pytest", "-q", "-p", "no:cacheprovider", "tests/compose/rabbitmq_inside.py")
    assert " passed" in servers.inside(*command)


def test_a_lab_without_rabbitmq_says_how_to_have_one(servers: Compose) -> None:
    servers.must("stop", "rabbitmq")
    try:
        done = servers("exec", "-T", "lab", "lab", "dead-letters", "--rabbitmq", "list")
    finally:
        servers.must("--profile=rabbitmq", "up", "--detach", "--wait", "rabbitmq")
    assert done.returncode == 2
    assert done.stderr.startswith("lab: there is no RabbitMQ here: no host 'rabbitmq'\n")
    assert "docker compose --profile rabbitmq up --detach" in done.stderr


def test_erlangs_own_ports_are_closed_to_other_containers(servers: Compose) -> None:
    assert python(servers, OPEN) == {"5672": True, "15672": True, "4369": False, "25672": False}


# Prometheus


def ask(compose: Compose, question: str) -> Any:
    """An answer of Prometheus's own API."""
    told = python(compose, ASK, QUESTION=question)
    assert told["status"] == "success"
    return told["data"]


def value(compose: Compose, query: str) -> float:
    """The sum of what a query finds; 0 where there is nothing yet."""
    found = ask(compose, f"query?query=sum({query})")["result"]
    return float(found[0]["value"][1]) if found else 0.0


def test_prometheus_reaches_the_broker_and_flower(servers: Compose) -> None:
    def health() -> dict[str, str]:
        targets = ask(servers, "targets")["activeTargets"]
        return {one["labels"]["job"]: one["health"] for one in targets}

    wait_until(lambda: health() == {"redis": "up", "flower": "up"}, "both targets to be up", 60)
    assert value(servers, "redis_up") == 1


def test_a_command_to_the_broker_is_counted(servers: Compose) -> None:
    counter = 'redis_commands_total{cmd="lolwut"}'
    wait_until(lambda: value(servers, "redis_up") == 1, "the broker to be seen", 60)
    before = value(servers, counter)
    servers.inside("python", "-c", LOLWUT)
    wait_until(lambda: value(servers, counter) == before + 1, "the command to be counted", 60)
