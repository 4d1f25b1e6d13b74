"""An open shop: what its API says beside what is true, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from lab_bench import PATIENCE, SHOP

from labapp.errors import LabError
from labapp.faults import answer, charge_of
from labapp.lab import connect
from labapp.lab.front import Front
from labapp.lab.opened import masked, message_opened, result_opened
from labapp.lab.reply import Reply
from labapp.lab.session import Session
from labapp.lab.stream import events, word_of
from labapp.stack.state import Stack
from labapp.stack.testing import wait_until

SOLVED = Path(__file__).parents[2] / "solutions" / "01_first_queue"
NAIVE = SOLVED / "wrong_answers" / "pending_is_queued"
ID = "0b8e3f0e-2f9d-4c2a-9c3b-4a5d6e7f8a9b"


@pytest.fixture
def solved(session: Session) -> Iterator[Front]:
    """The solution's API, open."""
    with Front(session, SOLVED) as front:
        yield front


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Reply(200, {"status": "queued"}), "queued"),
        (Reply(404, {"detail": "Not Found"}), "unknown"),
        (Reply(410, {"status": "gone"}), "expired"),
        (Reply(202, {"id": "order-1"}), "202"),
        (Reply(500, "Internal Server Error"), "500"),
        (Reply(500, {"status": "done"}), "500"),
        (Reply(200, ["queued"]), "200"),
        (Reply(200, {"status": ""}), "200"),
        (Reply(0), "no answer"),
    ],
)
def test_an_answer_has_one_word(reply: Reply, word: str) -> None:
    assert reply.word == word


def test_an_answer_reads_the_same_on_every_run() -> None:
    assert repr(Reply(202, {"id": ID}, f"/orders/{ID}")) == '202  Location: /orders/…  {"id": "…"}'
    assert repr(Reply(500, "Internal Server Error")) == "500  Internal Server Error"
    assert repr(Reply(0)) == "no answer"
    assert masked(f"a {ID} and order-1") == "a … and order-1"


def test_the_lab_knows_where_an_order_is_and_the_api_says_so(solved: Front) -> None:
    assert solved.get_unknown().word == "unknown"
    assert solved.post("order-1") == Reply(202, {"id": "order-1"}, "/orders/order-1")
    assert solved.asked("queued", "order-1") == ("queued", "yes", "-", "-", "queued")
    solved.start_worker()
    assert solved.work_off()
    assert solved.asked("done", "order-1") == ("done", "-", "-", "SUCCESS", "done")
    assert solved.charges("order-1") == 1
    assert solved.expire_results() == 1
    assert solved.asked("expired", "order-1") == ("expired", "-", "-", "-", "expired")


def test_a_charge_can_be_held_and_its_worker_killed(solved: Front) -> None:
    solved.start_worker()
    solved.hold("order-1")
    solved.post("order-1")
    assert solved.await_held("order-1")
    assert solved.get("order-1").word == "running"
    solved.kill_workers()
    assert solved.get_until("order-1", "lost").word == "lost"
    assert solved.charges("order-1") == 0


def test_a_charge_that_is_let_go_happens(solved: Front) -> None:
    solved.start_worker()
    solved.hold("order-1")
    solved.post("order-1")
    solved.await_held("order-1")
    solved.answer_held()
    assert solved.await_charge("order-1", PATIENCE)
    assert solved.get("order-1").word == "done"


def test_the_partner_can_refuse(solved: Front) -> None:
    solved.start_worker()
    solved.arm(answer(500, before=charge_of("order-1")))
    solved.post("order-1")
    assert solved.work_off()
    assert solved.get("order-1").body == {"status": "failed", "error": "HTTPError"}


def test_an_answer_lost_on_the_way_leaves_one_message(solved: Front) -> None:
    with solved.way("lossy"):
        assert solved.post("order-1").code == 202
        assert len(solved.messages("order-1")) == 1
    assert solved.post("order-1").code == 202
    assert len(solved.messages("order-1")) == 1


def test_an_api_that_is_started_again_knows_what_it_wrote_down(solved: Front) -> None:
    solved.post("order-1")
    before = solved.api
    solved.restart_api()
    assert solved.api is not before
    assert solved.get("order-1").word == "queued"


def test_a_finished_shop_is_judged_and_drawn_like_a_run(session: Session) -> None:
    with Front(session, NAIVE, drawing=True) as front:
        front.post("order-1")
        front.start_worker()
        front.work_off()
        front.hold("order-2")
        front.post("order-2")
        front.await_held("order-2")
        front.kill_workers()
        front.post("order-3")
        run = front.finish()
        assert run.judged.lost == ("order-2",)
        assert run.judged.stuck == ("order-3",)
        assert repr(run.timeline) == (
            "order-2  lost   w1: acknowledged, killed before the effect\n"
            "order-3  stuck  still in the queue\n"
            "1 went well: order-1"
        )
        assert front.finish().judged == run.judged, "a second call gives the same"


def test_a_client_wants_an_order_once_however_often_it_was_sent(session: Session) -> None:
    with Front(session, SHOP.path, app="") as front:
        front.send("order-1")
        front.send("order-1")
        front.start_worker()
        front.work_off()
        run = front.finish()
        assert (run.judged.sent, run.judged.duplicated) == (1, ("order-1",))
        with pytest.raises(LabError, match="kept nothing to draw"):
            _ = run.timeline


def test_bad_input_to_the_solution_is_the_clients_mistake(solved: Front) -> None:
    assert solved.api is not None
    url = f"{solved.api.url}/orders"
    for body in ({}, {"order": ""}, {"order": "a/b"}, {"order": 7}, ["order-1"]):
        assert httpx.post(url, json=body).status_code == 422, body
    assert httpx.get(f"{url}/no%20such").status_code == 404


# --- by hand


def test_a_shop_without_an_api_sends_by_hand(session: Session) -> None:
    with Front(session, SHOP.path, app="") as front:
        front.send("order-1", "order-2")
        assert [m.first for m in session.broker.contents().queued] == ["order-1", "order-2"]
        text = repr(message_opened(session.broker))
        assert '[["order-1"], {}, ' in text
        assert '"shop.charge"' in text
        with pytest.raises(LabError, match="no API"):
            front.get("order-1")
        front.start_worker()
        assert front.work_off()
        assert 'result     "charged"' in repr(result_opened(session.broker))


def test_what_is_in_redis_is_the_same_when_a_cell_is_run_again(session: Session) -> None:
    def keys_after_sending() -> list[str]:
        with Front(session, SHOP.path, app="") as front:
            front.send("order-1")
            return sorted(session.broker.redis.keys())

    first = keys_after_sending()
    assert {"_kombu.binding.celery", "celery"} <= set(first)
    assert keys_after_sending() == first


def test_nothing_to_open_is_an_empty_table(session: Session) -> None:
    assert len(repr(message_opened(session.broker)).splitlines()) == 2
    assert len(repr(result_opened(session.broker)).splitlines()) == 2


# --- server-sent events


def test_events_are_read_as_the_standard_says() -> None:
    lines = ["data: a", "", ": comment", "", "event: x", "data:b", "data: c", "", "data: cut"]
    assert list(events(lines)) == ["a", "b\nc"]
    assert word_of('{"status": "done"}') == "done"
    assert word_of("hello") == "hello"
    assert word_of("7") == "7"


def test_the_end_of_an_order_is_pushed(session: Session) -> None:
    with Front(session, SOLVED, app="events", env={"LOOK_EVERY": "600"}) as front:
        front.post("order-1")
        client = front.listen("order-1")
        assert client.until("queued", PATIENCE) == ["queued"]
        front.start_worker()
        assert client.until("done", PATIENCE)[-1] == "done"
        wait_until(lambda: client.ended, "the stream to end after the order's end")


def test_a_stream_of_nobody_ends_at_once(session: Session) -> None:
    with Front(session, SOLVED, app="events") as front:
        assert front.listen("order-99").until("unknown", PATIENCE) == ["unknown"]


# --- how it ends


def test_a_shop_ends_with_the_next_one_and_with_its_session(stack: Stack) -> None:
    with Session(stack) as session:
        first = Front(session, SOLVED)
        assert first.api is not None
        second = Front(session, NAIVE)
        assert second.api is not None
        assert not first.api.alive, "the database is the session's: one shop at a time"
        second.start_worker()
    assert not second.api.alive
    assert session.guests == []


def test_a_shop_whose_api_does_not_start_leaves_nothing(session: Session, tmp_path: Path) -> None:
    (tmp_path / "api.py").write_text("import no_such_thing\n")
    open_files = []
    for _ in range(3):
        with pytest.raises(LabError, match="does not start"):
            Front(session, tmp_path)
        open_files.append(len(list(Path("/proc/self/fd").iterdir())))
    assert session.guests == []
    assert open_files[2] <= open_files[0], "each failed start leaves files open"


def test_a_folder_without_an_api_is_named(here: dict[str, str], tmp_path: Path) -> None:
    lab = connect()
    with pytest.raises(LabError, match=r"there is no api\.py in nowhere/"):
        lab.serve(tmp_path / "nowhere")
    lab.session.close()


KERNEL = """
import os, sys, time
from labapp import connect

lab = connect()
shop = lab.serve(sys.argv[1])
shop.start_worker()
print(shop.api.url, lab.session.lease.name, flush=True)
time.sleep(1000)
"""


def test_api_and_workers_end_when_the_kernel_is_killed(
    session: Session, here: dict[str, str]
) -> None:
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL, str(SOLVED)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with kernel:
        assert kernel.stdout is not None
        url, lease = kernel.stdout.readline().split()
        below = psutil.Process(kernel.pid).children(recursive=True)
        assert httpx.get(f"{url}/orders/nobody").status_code == 404

        kernel.send_signal(signal.SIGKILL)
        kernel.wait()

    wait_until(lambda: not any(p.is_running() for p in below), "the API to end", PATIENCE)
    wait_until(
        lambda: not [w for w in session.nodes.workers() if w["lease"] == lease],
        "its workers to end",
        PATIENCE,
    )
