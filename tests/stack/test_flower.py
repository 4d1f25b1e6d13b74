"""Flower in JupyterLab: behind its token, on no port, and aware of every task that is sent."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from flower_bench import SHOP, Flower, crash, ids_of, send_by_hand

from labapp.faults import charge_of, crash_broker
from labapp.lab.session import Session
from labapp.stack.detach import is_ready
from labapp.stack.report import status_lines, status_of
from labapp.stack.state import load
from labapp.stack.testing import running_stack, wait_until

PATHS = ("", "metrics", "healthcheck", "api/tasks", "tasks", "static/js/flower.js")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of this module's lab."""
    return tmp_path_factory.mktemp("flower") / ".lab"


@pytest.fixture(scope="module", autouse=True)
def _lab(home: Path) -> Iterator[None]:
    """A whole lab, with JupyterLab and Flower."""
    with running_stack(home, "--no-browser", shared=True):
        yield


@pytest.fixture
def flower(home: Path) -> Flower:
    """Flower as it runs now."""
    stack = load(home)
    assert stack is not None
    return Flower(stack)


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_every_page_leads_to_the_login(flower: Flower, path: str) -> None:
    answer = flower.ask(path)
    assert answer.status == 302
    assert answer.headers["Location"].startswith("/login?next=")
    assert flower.ask(path, Authorization="token wrong").status == 302


@pytest.mark.parametrize("path", PATHS)
def test_with_the_token_every_page_is_there(flower: Flower, path: str) -> None:
    assert flower.get(path).status == 200


def test_nothing_is_done_without_the_token(flower: Flower) -> None:
    for path in ("api/worker/shutdown/live", "api/task/revoke/some-task"):
        assert flower.ask(path, "POST").status in (302, 403)


def test_nothing_is_done_for_another_site_even_with_the_token(flower: Flower) -> None:
    assert flower.get("api/task/revoke/some-task", "POST").status == 200
    foreign = flower.get("api/task/revoke/some-task", "POST", Sec_Fetch_Site="cross-site")
    assert foreign.status == 403
    assert "Access-Control-Allow-Origin" not in foreign.headers


def test_its_links_stay_below_its_path(flower: Flower) -> None:
    page = flower.get("").text
    assert 'href="/flower/tasks"' in page
    assert 'src="/flower/static/' in page
    assert 'src="/static/' not in page


def test_its_pages_load_nothing_from_elsewhere(flower: Flower) -> None:
    for path in ("", "tasks", "broker"):
        page = flower.get(path).text
        assert 'src="http' not in page
        assert 'rel="stylesheet" href="http' not in page


def test_the_address_without_a_slash_leads_to_it(flower: Flower) -> None:
    answer = flower.get("/flower")
    assert (answer.status, answer.headers["Location"]) == (302, "/flower/")


def test_no_process_of_flower_listens_on_a_port(flower: Flower) -> None:
    family = [flower.process, *flower.process.children(recursive=True)]
    connections = [c for process in family for c in process.net_connections("inet")]
    assert connections, "it is connected to the broker at least"
    assert not [c for c in connections if c.status == psutil.CONN_LISTEN]


def test_its_socket_lies_in_a_folder_that_only_its_owner_may_enter(
    flower: Flower, home: Path
) -> None:
    assert flower.socket.is_socket()
    assert flower.socket.is_relative_to(home)
    assert stat.S_IMODE(flower.socket.parent.stat().st_mode) == 0o700


def test_its_password_is_in_private_files_only(flower: Flower, home: Path) -> None:
    config = home / "jupyter" / "config" / "jupyter_server_config.json"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    secret = flower.process.environ()["FLOWER_BASIC_AUTH"].partition(":")[2]
    supervisor = psutil.Process(flower.stack.pid)
    arguments = [" ".join(p.cmdline()) for p in supervisor.children(recursive=True)]
    assert len(secret) == 32
    assert not [line for line in arguments if secret in line]


def test_jupyterlab_shows_it_in_the_launcher_and_opens_a_tab(flower: Flower) -> None:
    known = json.loads(flower.get("/server-proxy/servers-info").text)["server_processes"]
    [entry] = [server for server in known if server["name"] == "flower"]
    assert entry["new_browser_tab"] is False
    assert entry["launcher_entry"]["enabled"] is True
    assert (entry["launcher_entry"]["title"], entry["launcher_entry"]["path_info"]) == (
        "Flower",
        "flower/",
    )
    assert flower.get("/server-proxy/icon/flower").text.startswith("<svg")


def test_status_says_where_it_is(
    flower: Flower, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(home))
    status = status_of()
    assert status["flower_url"] == f"{flower.root}?token={flower.token}"
    assert any(status["flower_url"] in line for line in status_lines(status))


def test_the_ids_it_knows_are_the_ids_that_were_sent(flower: Flower) -> None:
    before = flower.tasks()
    sent = send_by_hand(flower.stack, "by-hand-1", "by-hand-2", "by-hand-3")
    with Session(flower.stack) as one, Session(flower.stack) as other:
        early, late = crash(one, late=False), crash(other, late=True)
    sent |= ids_of(early) | ids_of(late)
    assert (early.judged.lost, late.judged.duplicated) == (("order-4",), ("order-3",))
    assert len(sent) == 23
    flower.wait_seen(sent)
    assert flower.tasks() - before == sent


def test_a_run_with_a_broker_of_its_own_is_seen_too(flower: Flower) -> None:
    moment = crash_broker(after=charge_of("order-3"), before=charge_of("order-4"))
    before = flower.tasks()
    with Session(flower.stack) as session:
        run = crash(session, late=True, fault=moment)
    sent = ids_of(run)
    assert len(sent) == 10
    flower.wait_seen(sent)
    assert flower.tasks() - before == sent
    workers = {flower.info(task_id)["worker"] for task_id in sent}
    assert len(workers) == 2, "the worker before the crash, and the one after it"


def test_a_task_that_no_worker_received_is_seen_too(flower: Flower) -> None:
    with Session(flower.stack) as session:
        [task_id] = session.publisher(SHOP).send("shop.charge", [("order-1",)])
        flower.wait_seen({task_id})
        info = flower.info(task_id)
        session.clean()
    assert (info["state"], info["worker"], info["received"]) == ("PENDING", None, None)


def test_what_it_sends_goes_to_database_0_alone(flower: Flower) -> None:
    with redis.Redis.from_url(flower.stack.broker_url(0), decode_responses=True) as client:
        listener = client.pubsub(ignore_subscribe_messages=True)
        listener.psubscribe("*pidbox*")
        heard: set[str] = set()

        def asked() -> bool:
            while message := listener.get_message(timeout=0.1):
                heard.add(message["channel"])
            return bool(heard)

        flower.get("api/workers?refresh=true")
        wait_until(asked, "a command of Flower's")
        listener.close()
    assert heard == {"/0.celery.pidbox"}


def test_after_kill_9_it_is_back_behind_the_same_address(flower: Flower, home: Path) -> None:
    former = flower.process.pid
    os.kill(former, signal.SIGKILL)

    def again() -> bool:
        stack = load(home)
        assert stack is not None
        return is_ready(stack, stack.pid) and stack.services["flower"].pid != former

    wait_until(again, "Flower to run again", 60, home / "logs" / "flower.log")
    assert flower.get("metrics").status == 200
    assert flower.ask("metrics").status == 302
    flower.wait_seen(send_by_hand(flower.stack, "by-hand-4"))
