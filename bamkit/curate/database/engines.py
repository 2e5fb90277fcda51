"""SQLAlchemy engines that only read: for a SQLite file and for any other database that has a URL.

A SQLite file is opened with mode=ro and `query_only`, and all that one connection reads is one snapshot. A server is
told to make its transactions read-only.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc

from bamkit.common.errors import BamkitError
from bamkit.curate.database.fingerprint import read_header

BUSY_SECONDS = 5.0
READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
"""SQLAlchemy's name of a dialect -> the statement that makes a session read-only."""


@dataclass(frozen=True)
class Table:
    """A table or a view as the database declares it."""

    name: str
    columns: dict[str, str]
    """Lower-case column name -> declared type, in the database's order."""
    view: bool = False
    sql: str = ""
    """The statement that made it (SQLite files only)."""
    rowid: bool = False
    """Whether its rows can be addressed by SQLite's rowid, which needs no index."""


def sqlite_path(location: str) -> Path | None:
    """The file behind a plain path or a plain `sqlite:///` URL, None for every other URL."""
    if "://" not in location:
        return Path(location)
    match = re.fullmatch(r"sqlite(?:\+pysqlite)?:///([^?]+)", location)
    return Path(match[1]) if match and not match[1].startswith("file:") else None


def without_password(location: str) -> str:
    return re.sub(r"//[^@/]*@", "//", location)


def sqlite_engine(path: Path) -> sa.Engine:
    """An engine on a SQLite file, one file handle a connection. Raises BamkitError if the file is no database."""
    read_header(path)
    engine = sa.create_engine("sqlite://", creator=lambda: _opened(path), poolclass=sa.NullPool)

    @sa.event.listens_for(engine, "begin")
    def begin_snapshot(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").fetchone()

    return engine


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path, "mode=ro")
    except sqlite3.Error:
        # A file in WAL mode on read-only media cannot have its shared-memory file made; nobody can write to it
        # there either, so it may be read as it stands, if no log waits beside it.
        log = path.with_name(path.name + "-wal")
        if read_header(path).wal and not (log.exists() and log.stat().st_size):
            return _connect(path, "mode=ro&immutable=1")
        raise


def _connect(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # Names in the wild are not always UTF-8; a wrong byte must not stop a scan of two million rows.
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute(READ_ONLY["sqlite"])
        # A chance for Ctrl-C several times a second: a scan may take many of them.
        connection.set_progress_handler(lambda: 0, 1_000_000)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def server_engine(url: str) -> sa.Engine:
    """An engine for an SQLAlchemy URL. Raises BamkitError for a bad URL or a missing driver."""
    shown = without_password(url)
    try:
        engine = sa.create_engine(url, execution_options={"stream_results": True})
    except ModuleNotFoundError as error:
        raise BamkitError(f"{shown} needs the Python package {error.name}", f"pip install {error.name}") from error
    except (exc.ArgumentError, exc.NoSuchModuleError) as error:
        raise BamkitError(f"{shown} is not an SQLAlchemy URL: {str(error).splitlines()[0]}") from error
    name = engine.dialect.name

    @sa.event.listens_for(engine, "engine_connect")
    def refuse_writes(connection: sa.Connection) -> None:
        # A result that is streamed is a cursor declared for the statement, and PostgreSQL declares none for SET.
        whole = {"stream_results": False}
        if name in READ_ONLY:
            connection.exec_driver_sql(READ_ONLY[name], execution_options=whole)
        if name in ("mysql", "mariadb"):
            ansi = "SET SESSION sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')"
            connection.exec_driver_sql(ansi, execution_options=whole)
        connection.commit()

    return engine


def read_tables(connection: sa.Connection, path: Path | None) -> dict[str, Table]:
    """Lower-case name -> table or view; for a SQLite file with what SQLite alone can say."""
    return _server_tables(connection) if path is None else _sqlite_tables(connection)


def _server_tables(connection: sa.Connection) -> dict[str, Table]:
    inspector = sa.inspect(connection)
    tables = {}
    for names, view in ((inspector.get_table_names(), False), (inspector.get_view_names(), True)):
        for name in names:
            columns = {column["name"].lower(): str(column["type"]) for column in inspector.get_columns(name)}
            tables[name.lower()] = Table(name, columns, view)
    return tables


def _sqlite_tables(connection: sa.Connection) -> dict[str, Table]:
    tables = {}
    every = "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view')"
    for name, kind, sql in connection.exec_driver_sql(every).fetchall():
        if name.startswith("sqlite_"):
            continue
        try:
            about = connection.exec_driver_sql(f"PRAGMA table_info({quote(name)})").fetchall()
        except exc.DatabaseError:
            # A view over a table that is gone: it exists, but nothing can be read from it.
            about = []
        columns = {column[1].lower(): column[2] for column in about}
        rowid = kind == "table" and "rowid" not in columns and not re.search(r"without\s+rowid", sql or "", re.I)
        tables[name.lower()] = Table(name, columns, kind == "view", sql or "", rowid)
    return tables


def explained(error: Exception, location: str, path: Path | None) -> BamkitError:
    """What an error of the driver means for the user. Raises KeyboardInterrupt if Ctrl-C caused it."""
    cause = getattr(error, "orig", None) or error
    text = (str(cause).splitlines() or [type(cause).__name__])[0]
    if text == "interrupted":
        # Ctrl-C during a query reaches Python as an error of SQLite.
        raise KeyboardInterrupt from error
    if path is None:
        return BamkitError(f"{without_password(location)}: {text}")
    if "locked" in text or "busy" in text:
        return BamkitError(
            f"{path} is locked by another program (waited {BUSY_SECONDS:.0f} s)", "close that program, or copy the file"
        )
    if "not a database" in text:
        return BamkitError(f"{path} is not a SQLite database (or it is encrypted)")
    if "malformed" in text or "disk I/O" in text:
        return BamkitError(f"{path} is damaged: {text}", "copy or download it again and compare the checksums")
    journal = path.with_name(path.name + "-journal")
    if ("unable to open" in text or "readonly" in text) and journal.exists():
        return BamkitError(
            f"{path} was left in the middle of a write ({journal.name} lies beside it)",
            f"let SQLite repair a copy of both: sqlite3 {path.name} 'select 1'",
        )
    return BamkitError(f"{path}: {text}")


def quote(name: str) -> str:
    """An identifier in standard SQL quotes. Only names read from the database or the contract come here."""
    return '"' + name.replace('"', '""') + '"'
