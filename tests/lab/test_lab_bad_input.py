"""Bad input: one clear line that says what is wrong and how to mend it, and nothing is left."""

from __future__ import annotations

import importlib
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lab_bench import SHOP, experiment, point_to

from labapp.errors import LabError
from labapp.faults import charge_of, kill_child, kill_worker, pause, stop
from labapp.lab import connect, orders
from labapp.lab.broker import Broker
from labapp.lab.publisher import Module, Publisher
from labapp.lab.session import Session
from labapp.stack.control import Gone
from labapp.stack.state import Stack
from labapp.stack.testing import headless_stack

Write = Callable[[str], Module]
APP = "from celery import Celery\napp = Celery('answer')\n"
CHARGE = """
import os, httpx
@app.task
def charge(order):
    httpx.post(os.environ['PARTNER_URL'] + '/charges', json={{'order': {order}}}, timeout=60)
"""

BROKEN: dict[str, tuple[str, str, str]] = {
    "does not import": (
        "import httpx\n\nimport nonsense\n",
        "answer.py does not import: ModuleNotFoundError: No module named 'nonsense'",
        "look at answer.py, line 3",
    ),
    "is no Python": (
        "x = 1\ndef charge(:\n",
        "answer.py does not import: SyntaxError: invalid syntax",
        "look at answer.py, line 2",
    ),
    "breaks within": (
        "def price():\n    return 1 / 0\n\nprice()\n",
        "answer.py does not import: ZeroDivisionError: division by zero",
        "look at answer.py, line 2",
    ),
    "exits": ("import sys\nsys.exit(3)\n", "answer.py does not import: SystemExit: 3", "line 2"),
    "is gone at once": (
        "import os\nprint('goodbye', flush=True)\nos._exit(4)\n",
        "answer.py ended its process (status 4) when asked to import",
        "it said last: goodbye",
    ),
    "is gone without a word": (
        "import os\nos._exit(4)\n",
        "answer.py ended its process (status 4) when asked to import",
        "look for sys.exit or os._exit in it",
    ),
    "asks for input": (
        "name = input('Who are you?')\n",
        "answer.py does not import: EOFError",
        "look at answer.py, line 1",
    ),
    "lacks the task": (
        APP + "@app.task\ndef charge_card(order): pass\n",
        "answer.py has no task 'answer.charge' (its tasks: answer.charge_card)",
        "keep the task's name as the starter has it",
    ),
    "has no task at all": (APP, "answer.py has no task 'answer.charge' (its tasks: none)", ""),
}


@pytest.mark.parametrize(("source", "message", "hint"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_module_is_told_in_one_line(
    session: Session, module_in: Write, source: str, message: str, hint: str
) -> None:
    with pytest.raises(LabError) as refused:
        experiment(session, module=module_in(source))

    assert message in refused.value.message
    assert hint in refused.value.hint
    assert "\n" not in str(refused.value)
    assert session.workers() == []


def test_a_module_without_an_app_is_told_in_one_line(session: Session, module_in: Write) -> None:
    with pytest.raises(LabError, match=r"answer\.py does not import") as refused:
        experiment(session, module=module_in("x = 1\n"))
    assert "\n" not in str(refused.value)


def test_a_module_that_is_not_there(session: Session, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"there is no answer\.py in"):
        experiment(session, module=Module("answer", tmp_path))


def test_a_module_that_hangs_is_ended(
    session: Session, module_in: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labapp.lab.publisher.IMPORT_DEADLINE", 1.0)
    with pytest.raises(LabError, match=r"answer\.py took more than 1 s to import") as refused:
        experiment(session, module=module_in("import time\ntime.sleep(600)\n"))
    assert "work belongs into tasks" in refused.value.hint


def test_a_module_that_prints_megabytes_runs(session: Session, module_in: Write) -> None:
    noise = "print('x' * 5_000_000)\nimport sys\nprint('{\"ids\": []}', file=sys.__stdout__)\n"
    module = module_in(noise + APP + CHARGE.format(order="order"))
    assert experiment(session, module=module, count=2).verdict.exactly_once


def test_a_module_that_is_edited_between_two_runs_is_imported_afresh(
    session: Session, module_in: Write
) -> None:
    twice = CHARGE.format(order="order") * 2
    once = experiment(session, module=module_in(APP + CHARGE.format(order="order")), count=2)
    # a second task of the same name wins: the new source charges another order
    other = experiment(session, module=module_in(APP + CHARGE.format(order="'x' + order")), count=2)
    back = experiment(session, module=module_in(APP + twice), count=2)

    assert once.verdict.exactly_once
    assert other.verdict.unexpected == ("xorder-1", "xorder-2")
    assert back.verdict.exactly_once


def test_a_module_that_no_longer_imports_after_an_edit(session: Session, module_in: Write) -> None:
    module = module_in(APP + CHARGE.format(order="order"))
    assert experiment(session, module=module, count=1).verdict.exactly_once
    module_in("import nonsense\n")
    with pytest.raises(LabError, match="nonsense"):
        experiment(session, module=module, count=1)


def test_work_that_cannot_be_sent_is_told_in_one_line(session: Session, module_in: Write) -> None:
    refusing = APP + "@app.task(typing=True)\ndef charge(order, card): pass\n"
    with pytest.raises(LabError, match=r"answer\.py could not publish: TypeError") as refused:
        experiment(session, module=module_in(refusing))
    assert "\n" not in str(refused.value)
    assert experiment(session, count=1).verdict.exactly_once  # the session goes on


ORDER_3 = charge_of("order-3")
MISFITS = {
    "kill child in threads": (kill_child(after=ORDER_3), {"pool": "threads"}, "threads has none"),
    "kill child in solo": (kill_child(after=ORDER_3), {"pool": "solo"}, "solo has none"),
    "one of two": (kill_worker(after=ORDER_3), {}, "runs 2 tasks at a time, but the fault names 1"),
    "two of one": (
        pause(after=ORDER_3, before=charge_of("order-4")),
        {"concurrency": 1},
        "runs 1 task at a time, but the fault names 2",
    ),
    "two of solo": (
        pause(after=ORDER_3, before=charge_of("order-4")),
        {"pool": "solo"},
        "runs 1 task at a time, but the fault names 2",
    ),
    "one of three": (stop("TERM", after=ORDER_3), {"concurrency": 3}, "names 1 in flight"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_fault_that_does_not_fit_the_worker(session: Session, name: str) -> None:
    fault, how, words = MISFITS[name]
    with pytest.raises(LabError, match=words) as refused:
        experiment(session, fault, **how)
    assert refused.value.hint


def test_a_worker_that_does_not_start_shows_its_log(session: Session, module_in: Write) -> None:
    only_here = "import sys\nassert 'labapp.sender' in sys.orig_argv, 'no worker today'\n"
    with pytest.raises(LabError, match=r"exited with status \d+ at start") as refused:
        experiment(session, module=module_in(only_here + APP + CHARGE.format(order="order")))
    assert "no worker today" in refused.value.message
    assert session.workers() == []


@pytest.fixture
def charge(here: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The shop's task, imported as a notebook does."""
    monkeypatch.syspath_prepend(SHOP.path)
    yield importlib.import_module("shop").charge
    sys.modules.pop("shop")


def test_an_unknown_setting_is_told_with_the_nearest_known_one(here: dict[str, str]) -> None:
    lab = connect()
    with pytest.raises(LabError, match="Celery has no setting 'task_ack_late'") as refused:
        lab.worker(task_ack_late=True)
    assert refused.value.hint == "did you mean task_acks_late?"
    lab.session.close()


def test_no_orders_is_told(here: dict[str, str]) -> None:
    with pytest.raises(LabError, match="at least one order"):
        orders(0)


def test_lab_run_twice_in_a_row_gives_the_same_text(charge: object) -> None:
    lab = connect()
    fault = kill_worker(after=ORDER_3, before=charge_of("order-4"))
    late = lab.worker(task_acks_late=True)
    texts = [repr(lab.run(charge, orders(10), worker=late, fault=fault)) for _ in range(2)]
    lab.session.close()

    assert texts[0] == texts[1]
    assert "duplicated: order-3" in texts[0]


def test_no_stack_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    with pytest.raises(LabError, match="no lab is running here") as refused:
        connect()
    assert "make lab" in refused.value.hint


def test_a_stack_that_has_gone_is_one_clear_line_and_a_new_one_is_found(
    tmp_path: Path, charge: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LAB_BROKER_URL", "LAB_WORLD_URL", "LAB_NODE_URLS", "LAB_CONTROL_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAB_HOME", str(tmp_path / ".lab"))
    with headless_stack(tmp_path / ".lab"):
        lab = connect()
        assert lab.run(charge, orders(1)).verdict.exactly_once
    with pytest.raises(LabError, match="no lab is running here"):
        lab.run(charge, orders(1))
    with headless_stack(tmp_path / ".lab"):
        assert lab.run(charge, orders(1)).verdict.exactly_once
        lab.session.close()


@pytest.fixture
def nowhere(stack: Stack) -> Stack:
    """The stack as it is when its broker has gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return replace(stack, broker=replace(stack.broker, port=port))


def test_a_broker_that_is_away_is_one_clear_line(nowhere: Stack) -> None:
    with Session(nowhere) as session, pytest.raises(Gone, match="the broker does not answer"):
        experiment(session)


ASKED: dict[str, Callable[[Broker], object]] = {
    "clear": lambda broker: broker.clear(),
    "contents": lambda broker: broker.contents(),
    "results": lambda broker: broker.results(["id"]),
    "result_states": lambda broker: broker.result_states(),
    "index_size": lambda broker: broker.index_size(),
    "travel": lambda broker: broker.travel(1, ["tag"]),
    "wait_gone": lambda broker: broker.wait_gone(["127.0.0.1:1"]),
    "wait_unblocked": lambda broker: broker.wait_unblocked(["127.0.0.1:1"]),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=list(ASKED))
def test_whatever_is_asked_of_a_broker_that_is_away(
    nowhere: Stack, ask: Callable[[Broker], object]
) -> None:
    broker = Broker(nowhere.broker_url(1))
    with pytest.raises(Gone, match="the broker does not answer") as refused:
        ask(broker)
    broker.close()
    assert "lab logs broker" in refused.value.hint


def test_workers_of_a_broker_that_is_away(nowhere: Stack) -> None:
    from labapp.lab.inspector import Inspector

    inspector = Inspector(nowhere.broker_url(1))
    with pytest.raises(Gone, match="the broker does not answer"):
        inspector.busy(["w1@host"])
    inspector.close()


def test_a_publisher_is_closed_twice_without_harm(session: Session, module_in: Write) -> None:
    publisher = Publisher(module_in(APP), {})
    publisher.close()
    publisher.close()
    assert not publisher.fresh()


def test_the_lab_tells_what_it_is_connected_to(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(monkeypatch, stack)
    lab = connect()
    assert repr(lab).startswith("lab: ")
    lab.session.close()
