"""Dead letters on a real RabbitMQ: `pytest tests/compose/rabbitmq_inside.py`.

Not collected by itself, since it needs one ($LAB_RABBITMQ_URL): the compose stack's tests run it in
the container of the lab, where the profile is on.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import nbformat
import psutil
import pytest
from click.testing import CliRunner
from kombu import Connection, Queue
from nbclient import NotebookClient

from labapp.cli import main
from labapp.errors import LabError
from labapp.lab.dead_letters import DeadLetters, replay
from labapp.lab.rabbitmq import LETTERS, OnRabbitMQ, address
from labapp.lab.rabbitmq_shop import RabbitMQ, Shop, count
from labapp.lab.run import WorkerSettings
from labapp.stack.state import RABBITMQ
from labapp.stack.testing import wait_until
from labapp.views.tables import Table

ROOT = Path(__file__).parents[2]
LESSON = ROOT / "solutions/05_retries/lesson"
NOTEBOOK = ROOT / "notebooks/05a_limits_and_pools.ipynb"
ORDERS = "orders-of-these-tests"
sys.path.insert(0, str(LESSON))

import on_rabbitmq  # noqa: E402  the lesson's, whose folder is first

KILLED = """
import os, signal
from labapp.lab.rabbitmq import OnRabbitMQ

with OnRabbitMQ() as store:
    store.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""
STOPPED = """
import os, signal, sys
from labapp.lab.rabbitmq import OnRabbitMQ

def stop(self, held):
    os.kill(os.getpid(), signal.SIGSTOP)

OnRabbitMQ._take = stop  # the second step of a replay
with OnRabbitMQ(sys.argv[1]) as store:
    (one,) = store.read()
    store.send_again(one)
"""
KEYED = """
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from on_rabbitmq import app

HERE = Path(os.environ["HERE"])


def note(file, order):
    with (HERE / file).open("a") as lines:
        lines.write(order + "\\n")


@app.task(name="keyed.pays")
def pays(order):
    note("attempts", order)
    if not (HERE / "mended").exists():
        raise ValueError("not yet")
    try:
        (HERE / f"key-{order}").touch(exist_ok=False)
    except FileExistsError:
        return
    note("paid", order)
"""


def rows(table: Table) -> list[tuple[Any, ...]]:
    """Task, attempts, letters and why of each order."""
    return [(task, attempts, letters, why) for task, _, attempts, letters, why in table.rows]


def waiting(queue: str) -> int | None:
    """How many messages are in a queue; None where there is no such queue."""
    with Connection(address()) as connection:
        return count(connection, queue)


@pytest.fixture(name="letters")
def _letters() -> Iterator[DeadLetters]:
    """The usual queue of letters, with two of them that came from a queue of orders."""
    with Connection(address()) as connection:
        channel = connection.default_channel
        assert waiting(LETTERS) is None, "somebody else's letters are here"
        dlx = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": LETTERS}
        try:
            Queue(LETTERS, queue_arguments={"x-queue-type": "classic"})(channel).declare()
            Queue(ORDERS, queue_arguments={"x-queue-type": "quorum", **dlx})(channel).declare()
            with connection.Producer() as producer:
                for number in (1, 2):
                    headers = {"id": f"id-of-{number}", "task": "shop.charge", "retries": 2}
                    body = [[f"order-{number}"], {}, {}]
                    producer.publish(body, ORDERS, headers=headers, serializer="json")
            reject_orders(2)
            yield DeadLetters(OnRabbitMQ)
        finally:
            for name in (ORDERS, LETTERS):
                channel.queue_delete(name)


def reject_orders(number: int) -> None:
    """Reject so many messages of the queue of orders, as a worker would; they become letters."""
    wait_until(lambda: waiting(ORDERS) == number, "the orders")
    with Connection(address()) as connection:
        channel = connection.default_channel
        for _ in range(number):
            channel.basic_reject(channel.basic_get(ORDERS).delivery_tag, requeue=False)
        wait_until(lambda: waiting(LETTERS) == number, "the letters")


# Looking at them


def test_looking_thirty_times_takes_none_away(letters: DeadLetters) -> None:
    before = letters.read()
    assert [one.key for one in before] == ["order-1", "order-2"]
    assert all(letters.read() == before for _ in range(30))
    assert waiting(LETTERS) == 2


def test_a_reader_that_is_killed_leaves_them_all(letters: DeadLetters) -> None:
    done = run(KILLED)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(letters) == 2


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python, in a process of its own."""
    words = [sys.executable, "-c", program, *arguments]
    env = {**os.environ, RABBITMQ: address()}
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_those_who_look_at_once_all_see_all(letters: DeadLetters) -> None:
    with ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(lambda _: len(letters), range(12)))
    assert seen == [2] * 12


# Sending again, throwing away


def test_a_replay_is_the_same_task_as_new_and_the_letter_goes() -> None:
    with RabbitMQ().shop(on_rabbitmq.gives_up) as shop:
        shop.measure(on_rabbitmq.gives_up)
        (before,) = shop.dead_letters
        assert "order-1" in repr(shop.dead_letters.replay("order-1"))
        assert (waiting(shop.queue), waiting(shop.letters)) == (1, 0)

        assert rows(shop.work()) == [("gives_up", 4, 1, "rejected after 1 retry")]
        (after,) = shop.dead_letters
        assert (after.id, after.queue, after.error) == (before.id, shop.queue, before.error)


def test_all_are_replayed_or_discarded_at_once(letters: DeadLetters) -> None:
    assert len(letters.replay(everything=True).rows) == 2
    assert (waiting(ORDERS), waiting(LETTERS)) == (2, 0)
    reject_orders(2)
    assert [one.error for one in letters] == ["rejected"] * 2  # no retries used up
    assert len(letters.discard(everything=True).rows) == 2
    assert (waiting(ORDERS), waiting(LETTERS)) == (0, 0)


def test_two_who_replay_at_once_move_each_letter_once(letters: DeadLetters) -> None:
    with ThreadPoolExecutor(2) as pool:
        moved = list(pool.map(lambda _: letters.replay(everything=True).rows, range(2)))
    assert sorted(map(len, moved)) == [0, 2]
    assert (waiting(ORDERS), waiting(LETTERS)) == (2, 0)


def test_a_letter_whose_queue_is_gone_stays(letters: DeadLetters) -> None:
    with Connection(address()) as connection:
        connection.default_channel.queue_delete(ORDERS)
    with OnRabbitMQ() as store:
        one, other = store.read()
        with pytest.raises(LabError, match="any more, so order-1 cannot be replayed"):
            replay(store, one)
        assert store.discard(other), "what was refused must not count for the next one"
    assert [one.key for one in letters] == ["order-1"]


def test_what_is_no_letter_is_listed_stays_and_can_be_discarded(letters: DeadLetters) -> None:
    with Connection(address()) as connection, connection.Producer() as producer:
        told = {"content_type": "application/json", "content_encoding": "binary"}
        producer.publish(b"\xff", routing_key=LETTERS, **told)
        producer.publish({"a": 1}, routing_key=LETTERS, serializer="pickle")
        producer.publish([[], {}, {}], routing_key=LETTERS, serializer="json")
        wait_until(lambda: waiting(LETTERS) == 5, "all three")
    assert {one.problem for one in letters if one.problem} == {
        "it is no UTF-8",
        "its content is application/x-python-serialize, not JSON",
        "it has no 'x-death': no queue has passed it on",
    }
    with pytest.raises(LabError, match="cannot be read"):
        letters.replay(everything=True)
    assert (waiting(ORDERS), waiting(LETTERS)) == (2, 3)
    letters.discard(everything=True)
    assert waiting(LETTERS) == 0


def test_a_replay_killed_between_its_steps_leaves_both_and_the_second_costs_no_second_effect(
    tmp_path: Path,
) -> None:
    (tmp_path / "keyed.py").write_text(KEYED)
    env = {"HERE": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(LESSON), str(tmp_path)])}
    with Kept(tmp_path, env) as shop:
        task = shop.app.tasks["keyed.pays"]
        assert rows(shop.measure(task)) == [("pays", 1, 1, "rejected")]

        killed_between(shop)

        assert waiting(shop.queue) == 1
        (again,) = shop.dead_letters.read()
        (tmp_path / "mended").touch()
        shop.dead_letters.replay(again.id)
        assert waiting(shop.queue) == 2
        assert rows(shop.work()) == [("pays", 3, 0, "-")]
    assert (tmp_path / "attempts").read_text().split() == ["order-1"] * 3
    assert (tmp_path / "paid").read_text().split() == ["order-1"]


class Kept(Shop):
    """A shop of a module in a folder of its own, which is imported here, too."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        import importlib

        os.environ["HERE"] = str(folder)
        sys.path.insert(0, str(folder))
        try:
            module = importlib.import_module("keyed")
        finally:
            sys.path.remove(str(folder))
        self.app = module.app
        super().__init__(module.pays, WorkerSettings(env=env))


def killed_between(shop: Shop) -> None:
    """Replay the one letter, and be killed when the copy is there and the letter not yet gone."""
    words = [sys.executable, "-c", STOPPED, shop.letters]
    with subprocess.Popen(words, env={**os.environ, RABBITMQ: address()}) as replayer:
        try:
            process = psutil.Process(replayer.pid)
            wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "the second step", 30)
            assert waiting(shop.queue) == 1
        finally:
            replayer.kill()
    wait_until(lambda: waiting(shop.letters) == 1, "RabbitMQ to give the letter back", 30)


# From the command line


def lab(*arguments: str) -> Any:
    """`lab dead-letters`, in this process."""
    return CliRunner().invoke(main, ["dead-letters", *arguments])


def test_the_command_line_does_the_same(letters: DeadLetters) -> None:
    listed = lab("--rabbitmq", "list").output
    assert "id-of-1  shop.charge('order-1')  rejected after 2 retries" in listed
    told = json.loads(lab("--rabbitmq", "show", "order-2", "--json").output)
    assert (told["id"], told["queue"]) == ("id-of-2", ORDERS)
    assert lab("--rabbitmq", "replay", "order-1").output == (
        "replayed id-of-1 shop.charge('order-1')\n"
    )
    assert (waiting(ORDERS), waiting(LETTERS)) == (1, 1)
    assert lab("--rabbitmq", "discard", "--all").output == (
        "discarded id-of-2 shop.charge('order-2')\n"
    )
    assert len(letters) == 0
    assert lab("--rabbitmq", "--queue", LETTERS, "list").output == "lab: no dead letters\n"


def told_of(done: Any) -> list[str]:
    """What was said of an error; it came without a traceback."""
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    return done.stderr.splitlines()


def test_a_queue_that_is_not_there_is_told_in_one_line() -> None:
    for verb in (["list"], ["show", "x"], ["replay", "--all"], ["discard", "--all"]):
        message, _ = told_of(lab("--rabbitmq", "--queue", "no-such", *verb))
        assert message == "lab: RabbitMQ has no queue 'no-such'"


def test_a_wrong_password_is_told_in_one_line_and_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    password, wrong = str(Connection(address()).password), "xyzzy-wrong"
    url = address().replace(password, wrong)
    monkeypatch.setattr("labapp.lab.rabbitmq.container_environment", lambda: {RABBITMQ: url})
    message, hint = told_of(lab("--rabbitmq", "list"))
    assert message.startswith("lab: RabbitMQ at ")
    assert message.endswith("refuses this user or password")
    assert not [secret for secret in (password, wrong) if secret in message + hint]


def test_a_virtual_host_that_is_not_there_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = address().rstrip("/") + "/no-such"
    monkeypatch.setattr("labapp.lab.rabbitmq.container_environment", lambda: {RABBITMQ: url})
    message, _ = told_of(lab("--rabbitmq", "list"))
    assert message.endswith("has no such virtual host for this user")


# Which ending leaves a letter: the notebook's own cells

ROWS = """
as_given          order-1         4        0  -
late              order-2         1        0  -
not_acknowledged  order-3         1        0  -
rejected          order-4         1        0  -

as_given          order-1         4        0  -
late              order-2         1        0  -
not_acknowledged  order-3         1        1  rejected
rejected          order-4         1        1  rejected

gives_up  order-1         2        1  rejected after 1 retry
hangs     order-2         2        1  delivery_limit
dies      order-3         2        1  delivery_limit
refuses   order-4         1        1  rejected
succeeds  order-5         1        0  -

gives_up  order-1         4        1  rejected after 1 retry
hangs     order-2         2        0  -
dies      order-3         2        1  delivery_limit
refuses   order-4         1        1  rejected
succeeds  order-5         1        0  -
"""
"""Task, order, attempts, letters, why: the article's queue, the same with its exchange declared;
the lesson's own, and that after a replay and a discard."""


def test_the_notebooks_cells_measure_what_its_prose_says_and_leave_nothing() -> None:
    """The setup and the cells of the section on RabbitMQ, in a kernel of their own."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = [one for one in notebook.cells if one.cell_type == "code" and is_wanted(one)]
    before = queues()

    where = {"metadata": {"path": NOTEBOOK.parent}}
    NotebookClient(notebook, timeout=180, resources=where).execute()

    said = "\n".join(shown(one) for one in notebook.cells)
    lines = [line.strip() for line in said.splitlines()]
    assert [line for line in lines if re.match(r"\w+ +order-\d +\d", line)] == [
        line for line in ROWS.splitlines() if line
    ]
    assert "ended by itself: " in said
    assert "PRECONDITION_FAILED" in said
    assert queues() == before


def queues() -> set[str]:
    """Every queue of the virtual host, by RabbitMQ's management API."""
    user = Connection(address())
    who = (str(user.userid), str(user.password))
    told = httpx.get(f"http://{user.hostname}:15672/api/queues/%2F", auth=who).raise_for_status()
    return {one["name"] for one in told.json()}


def is_wanted(cell: Any) -> bool:
    """Whether it belongs to that section, or is the notebook's first."""
    return cell.id == "code-02" or "rabbitmq" in cell.id


def shown(cell: Any) -> str:
    """What a cell has put out, as text."""
    outputs: Sequence[Any] = cell.outputs
    return "\n".join(one.get("text") or one["data"]["text/plain"] for one in outputs)
