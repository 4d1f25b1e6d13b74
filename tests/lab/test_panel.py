"""The live panel on a real stack: each button, what the panel then shows, and its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
import redis
from lab_bench import PATIENCE, SHOP, point_to
from panel_bench import held, left_in, marks, panel_on, until

from labapp.errors import LabError
from labapp.lab import connect
from labapp.lab.panel.moment import AT_ONCE, Moment, plain
from labapp.lab.panel.panel import Panel
from labapp.lab.panel.watch import LIVE_WORKER, STOPPED
from labapp.lab.publisher import Module
from labapp.lab.run import WorkerSettings
from labapp.stack.state import Stack
from labapp.stack.testing import headless_stack, wait_until


@pytest.fixture
def panel(stack: Stack) -> Iterator[Panel]:
    """An open panel whose worker acknowledges late."""
    with panel_on(stack) as opened:
        yield opened


def test_an_order_that_is_sent_happens_once(panel: Panel) -> None:
    assert panel.press("send one") == "sent order-1"
    moment = until(panel, lambda m: m.happened == 1 and not m.unacked, "the effect")
    moment = until(panel, lambda m: [b.how for b in m.bars] == ["done"], "the end of its bar")
    assert (moment.sent, moment.twice) == (1, 0)
    assert [mark.key for mark in marks(moment, "sent")] == ["order-1"]
    assert [mark.key for mark in marks(moment, "effect")] == ["order-1"]


def test_ten_orders_happen(panel: Panel) -> None:
    assert panel.press("send ten") == "sent order-1 … order-10"
    until(panel, lambda m: m.happened == 10 and not m.unacked, "ten effects")


def test_what_waits_is_seen_in_the_queue_and_unacked(panel: Panel) -> None:
    panel.press("hold before effect")
    panel.press("send ten")
    moment = until(panel, lambda m: held(m, 2) and len(m.unacked) == 8, "two held, eight fetched")
    (queue,) = moment.queues
    assert (queue.name, queue.depth, moment.happened) == ("celery", 2, 0)
    panel.press("answer")
    until(panel, lambda m: m.happened == 10 and not m.unacked, "ten effects")


def test_the_work_of_a_killed_worker_comes_back_after_time(panel: Panel) -> None:
    panel.press("hold after effect")
    panel.press("send one")
    until(panel, held, "the held charge")
    assert panel.press("kill worker") == "killed w1, which had order-1 in flight"
    moment = until(panel, lambda m: not m.workers and marks(m, "killed"), "the worker's end")
    assert (moment.unacked, [bar.how for bar in moment.bars]) == (("order-1",), ["cut"])
    panel.press("answer")
    assert "order-1 overdue" in panel.press("time passes")
    assert panel.press("new worker") == "w2 is ready"
    moment = until(panel, lambda m: m.twice == 1 and not m.unacked, "the second charge")
    moment = until(panel, lambda m: len(m.bars) == 2, "the second bar")
    assert [mark.key for mark in marks(moment, "redelivered")] == ["order-1"]
    assert {bar.row for bar in moment.bars} == {"w1", "w2"}


def test_early_acknowledgement_loses_what_is_in_flight(stack: Stack) -> None:
    with panel_on(stack, task_acks_late=False) as panel:
        panel.press("hold before effect")
        panel.press("send one")
        until(panel, lambda m: held(m) and not m.unacked, "the held and acknowledged charge")
        panel.press("kill worker")
        assert panel.press("time passes").endswith("nothing was unacknowledged")
        panel.press("new worker")
        panel.press("answer")
        panel.press("send one")
        moment = until(panel, lambda m: m.happened == 1, "the second order's charge")
        assert [mark.key for mark in marks(moment, "effect")] == ["order-2"]


def test_a_killed_child_ends_its_task_and_not_its_worker(panel: Panel) -> None:
    panel.press("hold before effect")
    panel.press("send one")
    until(panel, held, "the held charge")
    assert panel.press("kill child") == "killed the process of w1 that ran order-1"
    moment = until(panel, lambda m: not m.unacked and marks(m, "child killed"), "the failed task")
    assert [(worker.name, worker.state) for worker in moment.workers] == [("w1", "running")]
    panel.press("answer")
    panel.press("send one")
    until(panel, lambda m: m.happened == 1, "the next order's charge")


def test_a_paused_worker_takes_nothing_until_it_is_woken(panel: Panel) -> None:
    assert panel.press("pause") == "paused w1"
    panel.press("send one")
    moment = until(panel, lambda m: m.queues[0].depth == 1, "the waiting message")
    assert (moment.workers[0].state, moment.unacked) == ("paused", ())
    assert panel.press("resume") == "w1 goes on"
    moment = until(panel, lambda m: m.happened == 1 and marks(m, "woken"), "the charge")
    assert [mark.kind for mark in moment.marks if mark.row == "w1"] == ["paused", "woken"]


def test_a_paused_worker_can_be_killed(panel: Panel) -> None:
    panel.press("pause")
    assert panel.press("kill worker", "w1") == "killed w1"
    until(panel, lambda m: not m.workers, "no workers")


def test_a_duplicate_has_the_same_id_and_happens_again(panel: Panel) -> None:
    panel.press("send one")
    assert panel.press("duplicate") == "sent order-1 again, with the same task id"
    moment = until(panel, lambda m: m.twice == 1 and marks(m, "sent again"), "the second charge")
    assert (moment.sent, moment.happened) == (1, 1)
    assert len(marks(moment, "sent again")) == 1


def test_the_broker_comes_back_with_what_its_file_has_kept(panel: Panel, stack: Stack) -> None:
    everybodys = redis.Redis.from_url(stack.broker_url(0))
    started = everybodys.info("server")["run_id"]
    panel.press("pause")
    panel.press("send ten")
    assert panel.press("restart broker").endswith("10 messages are left in it")
    until(
        panel,
        lambda m: marks(m, "broker killed") and marks(m, "broker back") and not m.trouble,
        "the broker's return",
    )
    until(panel, lambda m: m.queues[0].depth == 10, "the ten messages")
    panel.press("kill worker")
    panel.press("new worker")
    until(panel, lambda m: m.happened == 10, "the ten charges")
    panel.press("send one")
    until(panel, lambda m: m.happened == 11, "the charge of what was sent to the new broker")
    assert everybodys.info("server")["run_id"] == started
    everybodys.close()


def test_two_workers_share_the_work(panel: Panel) -> None:
    panel.press("hold before effect")
    panel.press("new worker")
    panel.press("send ten")
    moment = until(panel, lambda m: held(m, 4), "four held charges")
    assert [len(worker.tasks) for worker in moment.workers] == [2, 2]
    panel.press("kill worker", "w2")
    moment = until(panel, lambda m: held(m, 2), "two held charges")
    assert [worker.name for worker in moment.workers] == ["w1"]


def test_a_worker_that_ends_by_itself_is_told_and_taken_away(panel: Panel) -> None:
    (worker,) = panel.shop.workers()
    os.kill(worker.pid, signal.SIGTERM)
    moment = until(panel, lambda m: not m.workers[0].there, "the end of the worker")
    assert moment.workers[0].state == "ended by itself (status 0)"
    assert [mark.row for mark in marks(moment, "ended")] == ["w1"]
    with pytest.raises(LabError, match="no worker runs"):
        panel.press("kill worker")
    assert panel.press("new worker") == "w2 is ready"
    until(panel, lambda m: [w.name for w in m.workers] == ["w2"], "the new worker alone")


def test_the_live_worker_is_shown_and_left_alone(panel: Panel) -> None:
    moment = until(panel, lambda m: m.elsewhere, "the live worker")
    assert [(one.who, one.state) for one in moment.elsewhere] == [(LIVE_WORKER, "running")]
    with pytest.raises(LabError, match="there is no worker live"):
        panel.press("kill worker", "live")


@pytest.mark.parametrize(
    ("button", "worker", "said"),
    [
        ("kill child", "", "no process has a request open at the partner"),
        ("kill worker", "w7", "there is no worker w7"),
        ("resume", "", "no worker is paused"),
        ("duplicate", "", "nothing has been sent yet"),
        ("kill everything", "", "the panel has no button 'kill everything'"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_hint(
    panel: Panel, button: str, worker: str, said: str
) -> None:
    with pytest.raises(LabError) as caught:
        panel.press(button, worker)
    assert caught.value.message == said
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_click_that_cannot_be_done_is_told_in_the_status_line(panel: Panel) -> None:
    panel.click("resume")
    until(panel, lambda m: m.said == "no worker is paused (press Pause first)", "the status line")


def test_no_more_workers_than_the_machine_can_bear(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labapp.lab.panel.shop.MOST_WORKERS", 1)
    with pytest.raises(LabError, match="1 workers run already"):
        panel.press("new worker")


def test_a_module_that_does_not_import_opens_no_panel(
    stack: Stack, module_in: Callable[[str], Module]
) -> None:
    before = left_brokers()
    with pytest.raises(LabError, match="does not import"), panel_on(stack, module_in("1 / 0")):
        pass
    assert left_brokers() == before


def test_a_task_that_is_not_there_is_named_with_those_that_are(stack: Stack) -> None:
    with pytest.raises(LabError, match="has no task") as caught:
        Panel(stack, SHOP, "shop.refund", WorkerSettings())
    assert "shop.charge" in caught.value.hint


def test_closing_leaves_nothing(stack: Stack) -> None:
    before = left_brokers()
    with panel_on(stack) as panel:
        lease = panel.shop.session.lease.name
        panel.press("hold before effect")
        panel.press("send ten")
        panel.press("new worker")
        until(panel, lambda m: held(m, 4), "four held charges")
        panel.press("pause", "w2")
        assert len(left_brokers() - before) == 1
        panel.press("close")
        assert panel.moment.over == "this panel has ended: run its cell again"
        assert left_in(stack, lease) == []
        assert left_brokers() == before
        panel.close()  # twice is no error
        with pytest.raises(LabError, match="this panel has ended"):
            panel.press("send one")


def test_it_says_that_it_has_ended_when_nothing_is_left(stack: Stack) -> None:
    """Also while somebody looks: that look ends after the closing has begun."""
    with panel_on(stack) as panel:
        lease = panel.shop.session.lease.name
        panel._repr_mimebundle_()  # makes the widget
        left: list[list[str]] = []

        def note(change: dict[str, Any]) -> None:
            if change["new"]["over"]:
                left.append(left_in(stack, lease))

        panel._widget.observe(note, "data")
        looking, go_on, look = Event(), Event(), panel._watch.look

        def slow_look() -> Moment:
            looking.set()
            go_on.wait(PATIENCE)
            return look()

        panel._watch.look = slow_look  # type: ignore[method-assign]
        assert looking.wait(PATIENCE)
        panel.click("close")
        assert panel._stop.wait(PATIENCE)
        with pytest.raises(LabError, match="this panel has ended"):
            panel.press("send one")
        go_on.set()
        panel.close()  # waits for the end that is under way
        assert panel.moment.over == "this panel has ended: run its cell again"
        wait_until(lambda: left, "the widget to be told")
        assert left == [[]]


def left_brokers() -> set[int]:
    """Pids of the brokers that run below this process's stack."""
    mine = psutil.Process().children(recursive=True)
    return {child.pid for child in mine if "server" in child.name()}


def test_a_second_panel_in_this_kernel_ends_the_first(here: dict[str, str], stack: Stack) -> None:
    first = connect().panel()
    lease = first.shop.session.lease.name
    second = connect().panel()
    try:
        assert (first.moment.over, second.moment.over) == (
            "this panel has ended: run its cell again",
            "",
        )
        assert left_in(stack, lease) == []
    finally:
        second.close()


def test_two_panels_of_two_kernels_do_not_see_each_other(panel: Panel, stack: Stack) -> None:
    with panel_on(stack) as other:
        panel.press("hold before effect")
        other.press("send one")
        until(other, lambda m: m.happened == 1, "the charge in the other panel")
        assert (panel.moment.sent, panel.moment.happened, panel.moment.queues[0].depth) == (0, 0, 0)


def test_the_stack_stopped_under_an_open_panel_ends_it_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with headless_stack(tmp_path / ".lab") as stack:
        point_to(monkeypatch, stack)
        panel = Panel(stack, SHOP, "shop.charge", WorkerSettings())
        panel.press("send one")
        until(panel, lambda m: m.happened == 1, "the charge")
    try:
        wait_until(lambda: panel.moment.over, "the panel's end", PATIENCE)
        assert panel.moment.over == STOPPED
        with pytest.raises(LabError, match="the lab was stopped"):
            panel.press("send one")
        assert panel.moment.happened == 1  # what was there to be seen last is still shown
    finally:
        panel.close()


def test_a_world_that_was_restarted_holds_nothing_and_the_panel_says_so(tmp_path: Path) -> None:
    with headless_stack(tmp_path / ".lab") as stack, panel_on(stack) as panel:
        panel.press("send one")
        until(panel, lambda m: m.happened == 1, "the charge")
        panel.press("hold before effect")
        world = stack.services["world"].pid
        assert world is not None
        os.kill(world, signal.SIGKILL)
        until(panel, lambda m: m.trouble, "the trouble")
        until(panel, lambda m: not m.trouble and m.partner == AT_ONCE, "the world's return")
        panel.press("send one")
        moment = until(panel, lambda m: m.happened == 2, "the second charge")
        assert (moment.twice, moment.over) == (0, "")


def test_a_broken_look_is_told_and_does_not_end_the_panel(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = panel._watch._world
    right = world._path
    world._path = "/nowhere"
    until(panel, lambda m: m.trouble, "the trouble")
    world._path = right
    until(panel, lambda m: not m.trouble, "its end")
    panel.press("send one")
    until(panel, lambda m: m.happened == 1, "the charge")


def test_its_text_is_the_same_always_and_its_picture_says_what_it_shows(panel: Panel) -> None:
    before = repr(panel)
    panel.press("hold before effect")
    panel.press("send one")
    until(panel, lambda m: held(m) and m.unacked, "the held charge")
    bundle = panel._repr_mimebundle_()
    assert bundle["text/plain"] == repr(panel) == before
    assert "w1 running: order-1 (held by the partner)" in bundle["image/svg+xml"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "unacked: 1 (order-1)" in repr(panel.picture)


def test_a_click_of_the_browser_reaches_the_queue(panel: Panel) -> None:
    panel._repr_mimebundle_()  # makes the widget
    for content in ({"press": "send one"}, {"press": "no such"}, {"press": 1}, "text", None):
        panel._widget._handle_custom_msg(content, [])
    until(panel, lambda m: m.happened == 1, "the charge")
    wait_until(lambda: panel._widget.data["happened"] == 1, "the widget's data")
    assert set(panel._widget.data) == set(plain(panel.moment))
