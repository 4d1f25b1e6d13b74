"""The shop's database of a session: what its tasks are told, made and emptied, its bookings read.

SQLite in a folder that the session shares with its workers; where the stack has a PostgreSQL, a
database of the session's own there.  The lab speaks to both through SQLAlchemy, as the shop does,
and imports it only when there is something to do.  Used by ``labapp.lab.session`` and the steps of
an experiment; may depend on ``labapp.errors`` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labapp.errors import LabError

if TYPE_CHECKING:
    from sqlalchemy import URL, ColumnClause, Connection, Engine

VARIABLE = "SHOP_DATABASE_URL"
"""Environment variable by which the shop finds its database."""
FILE = "shop.db"
"""SQLite's, in the session's folder."""
TABLE = "bookings"
KEY, CUSTOMER, AMOUNT = "order_id", "customer", "amount"
"""Columns of that table that the lab reads."""
LOCK_SECONDS = 5.0
"""How long the lab waits for somebody else's lock, or for a server to answer."""
POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class Booking:
    """One row of the shop's table ``bookings``, as text."""

    order: str
    customer: str
    amount: str


class ShopDatabase:
    """One session's database.  Nothing is made before `prepare`.

    Args:
        folder: of this session's own, which its workers see too; for SQLite.
        server: SQLAlchemy URL of a PostgreSQL on which databases may be made; "" for none.
        number: that no other session has at the same time (its Redis database's).

    Raises:
        LabError: the server's URL is none, or not of a PostgreSQL.
    """

    def __init__(self, folder: Path, server: str = "", number: int = 0) -> None:
        self._file = folder / FILE
        self._server = postgresql(server) if server else ""
        self._name = f"shop_{number}"
        self._made = False
        self.url = self._own_url() if server else f"sqlite:///{self._file}"
        """What tasks are told: an SQLAlchemy URL, password included."""

    def _own_url(self) -> str:
        from sqlalchemy import make_url

        own: URL = make_url(self._server).set(database=self._name)
        return own.render_as_string(hide_password=False)

    @property
    def there(self) -> bool:
        """Whether there is anything to empty or to read."""
        return self._made if self._server else self._file.exists()

    def prepare(self) -> None:
        """Make the database where it is not there yet; it is empty then.

        Raises:
            LabError: it does not answer, or is locked.
        """
        if not self._server or self._made:
            return
        with self._talking(self._server, autocommit=True) as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')
            connection.exec_driver_sql(f'CREATE DATABASE "{self._name}" TEMPLATE template0')
        self._made = True

    def empty(self) -> None:
        """Drop every table, whoever has made it.  No worker of the session may run any more.

        Raises:
            LabError: it does not answer, or is locked.
        """
        if not self.there:
            return
        with self._talking(self.url) as connection:
            if self._server:
                connection.exec_driver_sql("DROP SCHEMA public CASCADE")
                connection.exec_driver_sql("CREATE SCHEMA public")
            else:
                drop_all(connection)

    def bookings(self) -> list[Booking]:
        """Every row of ``bookings``, by order; none where there is no such table.

        Raises:
            LabError: the database does not answer, is locked, or has other columns.
        """
        if not self.there:
            return []
        from sqlalchemy import column, inspect, select, table

        columns: list[ColumnClause[Any]] = [column(name) for name in (KEY, CUSTOMER, AMOUNT)]
        with self._talking(self.url) as connection:
            if not inspect(connection).has_table(TABLE):
                return []
            rows = connection.execute(select(*columns).select_from(table(TABLE))).all()
        return sorted((Booking(*map(str, row)) for row in rows), key=lambda row: row.order)

    def close(self) -> None:
        """Drop the session's database on the server; a file goes with its folder."""
        if self._made:
            with suppress(LabError), self._talking(self._server, autocommit=True) as connection:
                connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')
            self._made = False

    @contextmanager
    def _talking(self, url: str, *, autocommit: bool = False) -> Iterator[Connection]:
        """A connection, in one transaction unless ``autocommit``; what goes wrong is a LabError."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            engine = connecting(url)
            if autocommit:
                with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as made:
                    yield made
            else:
                with engine.begin() as made:
                    yield made
        except SQLAlchemyError as error:
            raise told(error) from error


def connecting(url: str) -> Engine:
    """An engine that keeps no connection, and waits LOCK_SECONDS at the most."""
    from sqlalchemy import NullPool, create_engine, make_url

    where = make_url(url)
    if where.get_backend_name() == POSTGRESQL:
        waits = f"-c lock_timeout={round(LOCK_SECONDS * 1000)}"
        how = {"connect_timeout": round(LOCK_SECONDS), "options": waits}
    else:
        how = {"timeout": LOCK_SECONDS}
    return create_engine(where, poolclass=NullPool, connect_args=how)


def drop_all(connection: Connection) -> None:
    """Drop every view and table of an SQLite database.

    By hand, not as reflected by SQLAlchemy: a table may have columns or references that it does
    not know.  Foreign keys are not looked at, as is SQLite's default."""
    found = connection.exec_driver_sql(
        "SELECT type, name FROM sqlite_master "
        "WHERE type IN ('view', 'table') AND name NOT LIKE 'sqlite_%' ORDER BY type DESC"
    ).all()
    for kind, name in found:
        quoted = str(name).replace('"', '""')
        connection.exec_driver_sql(f'DROP {kind} "{quoted}"')


def postgresql(url: str) -> str:
    """The URL, for psycopg 3.

    Raises:
        LabError: it is no URL, or of another database.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    hint = "LAB_DATABASE_URL=postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, or leave it unset"
    try:
        where = make_url(url)
    except ArgumentError:
        raise LabError("$LAB_DATABASE_URL is no address of a database", hint=hint) from None
    if where.get_backend_name() != POSTGRESQL:
        raise LabError(f"$LAB_DATABASE_URL is of {where.get_backend_name()}", hint=hint)
    return where.set(drivername=f"{POSTGRESQL}+psycopg").render_as_string(hide_password=False)


def told(error: Exception) -> LabError:
    """What to say where the database does not do what it is asked."""
    from sqlalchemy.exc import OperationalError

    reason = str(getattr(error, "orig", None) or error).strip().splitlines()
    first = reason[0] if reason else type(error).__name__
    if "locked" in first or "lock timeout" in first:
        return LabError(
            f"the shop's database is locked for more than {LOCK_SECONDS:.0f} s",
            hint="does somebody keep a transaction open? commit before waiting for anything else",
        )
    if isinstance(error, OperationalError) and "no such column" not in first:
        return LabError(
            f"the shop's database does not answer: {first}",
            hint="look at `lab status`; in compose, at `docker compose ps postgres`",
        )
    return LabError(
        f"the shop's database cannot be read: {first}",
        hint=f"the table {TABLE} has the columns {KEY}, {CUSTOMER}, {AMOUNT}",
    )
