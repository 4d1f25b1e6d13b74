"""Effects in the shop's own database: made, read, judged, and emptied for the next run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lab_bench import LATE, PATIENCE, SHOP, SHOPS

from labapp.errors import LabError
from labapp.faults import Fault, charge_of, duplicate, kill_worker
from labapp.lab import Lab
from labapp.lab.conductor import conduct
from labapp.lab.database import LOCK_SECONDS, VARIABLE, Booking, ShopDatabase, postgresql
from labapp.lab.matrix import cells
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session
from labapp.node.workers import WorkerSpec
from labapp.stack.container import servers as told_in_compose
from labapp.stack.state import Stack, described_by, is_there
from labapp.world.kinds import Kind

BOOKS = Module("books", SHOPS)
BOTH = (Kind.CHARGE, Kind.BOOKING)
WORK = [(f"order-{number}", f"customer-{number}", 10 * number) for number in range(1, 7)]
BETWEEN = {"after": charge_of("order-3"), "before": charge_of("order-4")}
AT = "postgresql+psycopg://lab:secret@postgres:5432/lab"


def booking(session: Session, fault: Fault | None = None, task: str = "charge", **how: Any) -> Run:
    """Six orders, charged and booked; ``how`` are the plan's parts."""
    worker = WorkerSettings(settings=LATE)
    plan = Plan(BOOKS, f"books.{task}", WORK, worker, fault, expect=BOTH, deadline=PATIENCE)
    return conduct(session, replace(plan, **how))


def rows_of(numbers: str) -> tuple[str, ...]:
    return tuple(f"booking of order-{number}" for number in numbers)


def test_a_row_is_an_effect(session: Session) -> None:
    run = booking(session)
    assert (run.judged.sent, run.judged.happened, run.judged.exactly_once) == (12, 12, True)
    assert run.booked[0] == Booking("order-1", "customer-1", "10")
    assert [row[0] for row in run.bookings.rows] == [order for order, _, _ in WORK]
    assert run.states == dict.fromkeys((order for order, _, _ in WORK), "SUCCESS")


def test_what_was_not_booked_is_lost(session: Session) -> None:
    run = booking(session, task="only_charge")
    assert run.judged.lost == rows_of("123456")
    assert run.judged.reasons["booking of order-3"] == "SUCCESS"


def test_what_was_booked_and_not_charged_is_half_lost(session: Session) -> None:
    run = booking(session, task="only_book")
    assert run.judged.lost == tuple(order for order, _, _ in WORK)


def test_a_crash_between_the_charge_and_its_row_recovers_the_row(session: Session) -> None:
    run = booking(session, kill_worker(**BETWEEN), drawing=True)
    assert run.judged.duplicated == ("order-3",), run.verdict
    assert set(rows_of("34")) <= set(run.judged.recovered)
    assert "booking" not in repr(run.timeline)


def test_a_row_that_is_missing_is_in_the_timeline_as_its_tasks_fate(session: Session) -> None:
    run = booking(session, task="only_charge", drawing=True)
    assert "lost" in repr(run.timeline)


@pytest.mark.parametrize("kind", ["published", "redelivered", "sent"])
def test_a_duplicate_books_twice(session: Session, kind: str) -> None:
    run = booking(session, duplicate(kind, after=charge_of("order-3")))
    assert run.judged.duplicated == ("order-3", "booking of order-3"), run.verdict
    assert run.judged.at_least_once


def test_each_run_begins_with_an_empty_database(session: Session) -> None:
    assert booking(session).judged.exactly_once
    assert booking(session).judged.exactly_once  # `migrate` would fail where there are tables


def test_a_run_without_books_leaves_none_of_the_run_before(session: Session) -> None:
    booking(session)
    worker = WorkerSettings()
    expect = (Kind.CHARGE, Kind.BOOKING)
    plan = Plan(SHOP, "shop.charge", [("order-1",)], worker, expect=expect, deadline=PATIENCE)
    run = conduct(session, plan)
    assert run.booked == ()
    assert run.judged.lost == ("booking of order-1",)


def test_work_that_cannot_be_done_has_failed_as_declared(session: Session) -> None:
    work = [*WORK[:2], ("order-3", None, 30)]
    run = booking(session, work=work, refused=("order-3",))
    assert run.judged.failed == ("booking of order-3",)
    assert run.judged.exactly_once
    assert run.states["order-3"] == "FAILURE"


def test_a_database_that_stays_locked_makes_the_verdict_unknown(
    session: Session, module_in: Callable[..., Module]
) -> None:
    """The task keeps a write lock that nobody gives back: readers wait, and are told."""
    source = (SHOPS / "books.py").read_text()
    locking = 'holding = engine.connect(); holding.exec_driver_sql("BEGIN EXCLUSIVE")'
    source += (
        "\n\n@app.task\ndef lock(*order):\n    global holding\n    charge(*order)\n    " + locking
    )
    plan = Plan(module_in(source), "answer.lock", WORK[:1], expect=BOTH, deadline=PATIENCE)
    run = conduct(session, plan)
    assert run.judged.unknown == f"the shop's database is locked for more than {LOCK_SECONDS:.0f} s"


def test_a_migrate_that_fails_is_told_with_its_line(
    session: Session, module_in: Callable[..., Module]
) -> None:
    source = (
        'from celery import Celery\napp = Celery()\ndef migrate():\n    raise OSError("no room")'
    )
    plan = Plan(module_in(source), "answer.charge", WORK[:1])
    with pytest.raises(LabError, match="could not migrate: OSError: no room") as caught:
        conduct(session, plan)
    assert caught.value.hint == "look at answer.py, line 4"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "bookings alone": ({"expect": (Kind.BOOKING,)}, "expects bookings alone"),
    "a fault at what is not expected": (
        {"expect": (Kind.MAIL, Kind.BOOKING), "fault": kill_worker(**BETWEEN)},
        "strikes at a charge",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_judged_is_refused_before_anything_starts(
    session: Session, name: str
) -> None:
    how, told = REFUSED[name]
    with pytest.raises(LabError, match=told):
        booking(session, **how)
    assert session.workers() == []


def test_no_row_of_the_matrix_strikes_at_a_booking() -> None:
    plan = Plan(BOOKS, "books.charge", WORK, expect=BOTH)
    with_books = [cell.name for cell in cells(plan)]
    assert with_books == [cell.name for cell in cells(replace(plan, expect=(Kind.CHARGE,)))]


def test_a_notebook_is_told_where_the_books_are(here: dict[str, str]) -> None:
    import os

    lab = Lab()
    assert os.environ[VARIABLE] == lab.session.database.url
    run = lab.run(
        module_task(), WORK, worker=lab.worker(task_acks_late=True), expect=["charge", "booking"]
    )
    assert run.judged.exactly_once
    lab.session.close()


def module_task() -> Any:
    """The task, as a notebook imports it."""
    import sys

    sys.path.insert(0, str(SHOPS))
    try:
        import books
    finally:
        sys.path.remove(str(SHOPS))
    return books.charge


# The database itself


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> ShopDatabase:
    return ShopDatabase(tmp_path)


def run_sql(database: ShopDatabase, *statements: str) -> None:
    with closing(sqlite3.connect(database.url.removeprefix("sqlite:///"))) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


MAKE = "CREATE TABLE bookings (order_id TEXT, customer TEXT, amount INTEGER)"


def test_a_database_that_nobody_made_has_no_rows_and_is_left_alone(
    database: ShopDatabase, tmp_path: Path
) -> None:
    database.empty()
    assert database.bookings() == []
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_the_table_has_no_rows(database: ShopDatabase) -> None:
    run_sql(database, "CREATE TABLE other (x)")
    assert database.bookings() == []


def test_emptying_drops_tables_and_views_of_any_name(database: ShopDatabase) -> None:
    run_sql(
        database,
        MAKE,
        'CREATE TABLE "a ""quoted"" name" (id INTEGER PRIMARY KEY AUTOINCREMENT)',
        "CREATE VIEW orders AS SELECT order_id FROM bookings",
        "INSERT INTO bookings VALUES ('order-1', 'customer-1', 10)",
    )
    assert database.bookings() == [Booking("order-1", "customer-1", "10")]
    database.empty()
    assert database.bookings() == []
    run_sql(database, MAKE)


def test_rows_come_in_order_of_their_names_and_as_text(database: ShopDatabase) -> None:
    run_sql(
        database,
        MAKE,
        "INSERT INTO bookings VALUES ('order-2', NULL, NULL), ('order-1', 'x', 5)",
    )
    assert database.bookings() == [Booking("order-1", "x", "5"), Booking("order-2", "None", "None")]


def test_a_table_with_other_columns_is_told(database: ShopDatabase) -> None:
    run_sql(database, "CREATE TABLE bookings (paid TEXT)")
    with pytest.raises(LabError, match="cannot be read: no such column") as caught:
        database.bookings()
    assert caught.value.hint


def test_a_file_that_is_no_database_is_told(database: ShopDatabase, tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("not a database at all, " * 100)
    with pytest.raises(LabError, match="the shop's database"):
        database.bookings()


# PostgreSQL, as far as it can be asked without one


def test_a_session_has_a_database_of_its_own_there(tmp_path: Path) -> None:
    database = ShopDatabase(tmp_path, AT, 7)
    assert database.url == "postgresql+psycopg://lab:secret@postgres:5432/shop_7"
    assert not database.there
    assert database.bookings() == []


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg2", "postgres+psycopg"])
def test_other_drivers_are_made_psycopg_3(driver: str) -> None:
    url = AT.replace("postgresql+psycopg", driver)
    if driver.startswith("postgres+"):
        with pytest.raises(LabError, match="is of postgres"):
            postgresql(url)
    else:
        assert postgresql(url) == AT


@pytest.mark.parametrize(
    ("url", "told"), [("nothing", "is no address"), ("mysql://a@b/c", "is of mysql")]
)
def test_another_database_is_refused_with_the_form_of_the_address(url: str, told: str) -> None:
    with pytest.raises(LabError, match=told) as caught:
        postgresql(url)
    assert "postgresql+psycopg://" in caught.value.hint


def test_a_server_that_does_not_answer_is_told_in_one_line(tmp_path: Path) -> None:
    closed = ShopDatabase(tmp_path, "postgresql+psycopg://lab:secret@127.0.0.1:1/lab", 7)
    with pytest.raises(LabError, match="does not answer") as caught:
        closed.prepare()
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message
    closed.close()


def test_an_experiment_with_a_database_that_is_away_cannot_begin(stack: Stack) -> None:
    away = replace(stack, database_url="postgresql+psycopg://lab:secret@127.0.0.1:1/lab")
    with Session(away) as session, pytest.raises(LabError, match="does not answer"):
        booking(session)


def test_the_stack_is_told_of_one_by_the_environment() -> None:
    told = {
        "LAB_BROKER_URL": "redis://r:1",
        "LAB_WORLD_URL": "http://w:2",
        "LAB_NODE_URLS": "http://n:3",
        "LAB_CONTROL_TOKEN": "t",
    }
    assert described_by(told).database_url == ""
    assert described_by(told | {"LAB_DATABASE_URL": AT}).database_url == AT
    assert "secret" not in repr(described_by(told | {"LAB_DATABASE_URL": AT}))


def test_a_service_that_is_not_up_has_no_address() -> None:
    assert not is_there("")
    assert not is_there(AT.replace("@postgres:", "@no-such-service.invalid:"))
    assert is_there(AT.replace("@postgres:", "@127.0.0.1:"))


def test_compose_names_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labapp.stack.container.STATE", tmp_path)
    assert told_in_compose() == {}
    (tmp_path / "secrets.env").write_text("LAB_POSTGRES_PASSWORD=secret\n")
    assert told_in_compose() == {"LAB_DATABASE_URL": AT}
    with (tmp_path / "secrets.env").open("a") as file:
        file.write("LAB_RABBITMQ_PASSWORD=secret\n")
    queue = "amqp://lab:secret@rabbitmq:5672//"
    assert told_in_compose() == {"LAB_DATABASE_URL": AT, "LAB_RABBITMQ_URL": queue}


def test_a_worker_that_is_told_of_the_database_may_still_be_forked(session: Session) -> None:
    told = session.environment("http://127.0.0.1:1/run")
    assert WorkerSpec("w1", "shop", ".", env=told).may_be_forked
