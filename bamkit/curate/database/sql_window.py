"""A read-only window on the database for any SELECT: the library behind `bamkit sql`.

That nothing can be written is not left to a look at the text. For a SQLite file there are three locks, each of them
enough: the file is opened with mode=ro, the connection has `query_only`, and SQLite's authorizer is asked while a
statement is compiled and refuses all but reading. A server is told to make the transaction read-only, and gets one
statement: a second one could end that transaction and begin another.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exc

from bamkit.common.errors import BamkitError
from bamkit.curate.database.connection import Database

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_FUNCTION}
REFUSALS = ("not authorized", "readonly", "authorization denied", "prohibited", "read-only transaction")
"""What SQLite, and at the end PostgreSQL, call a statement that would write."""
PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "database_list", "function_list"}
"""Pragmas that only tell about the schema."""


@dataclass(frozen=True)
class Result:
    """What a statement gave."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    """Streamed; BamkitError is raised where reading on fails."""

    @property
    def names(self) -> list[str]:
        """The columns; of several with one name the later ones get a number."""
        names: list[str] = []
        for name in self.columns:
            same = sum(re.sub(r"_\d+$", "", other) == name for other in names)
            names.append(f"{name}_{same + 1}" if name in names else name)
        return names

    def dicts(self) -> Iterator[dict[str, Any]]:
        """Rows as dicts by `names`; a blob as its hex digits."""
        names = self.names
        for row in self.rows:
            yield {name: readable(value) for name, value in zip(names, row, strict=True)}


def ask(database: Database, sql: str) -> Result:
    """Run one statement that reads. Raises BamkitError: it would write, or is no valid SQL (with the nearest name)."""
    if not sql.strip().rstrip(";"):
        raise BamkitError("there is no statement", "bamkit sql 'select count(*) from modules'")
    driver: Any = database.connection.connection.driver_connection
    if database.path:
        driver.set_authorizer(only_reading)
    elif ";" in sql.strip().rstrip("; \n"):
        raise BamkitError("one statement at a time, please (a server is sent no text with a semicolon inside)")
    # PostgreSQL streams queries only, and some drivers take a % for a parameter where an empty set of them comes along.
    options = {"no_parameters": True, "stream_results": bool(re.match(r"\s*(select|with|values|table)\b", sql, re.I))}
    try:
        result = database.connection.exec_driver_sql(sql, execution_options=options)
    except (exc.SQLAlchemyError, sqlite3.Warning) as error:
        raise _refused(database, error) from error
    finally:
        if database.path:
            # The authorizer is asked while a statement is compiled, so it has been.
            driver.set_authorizer(None)
    columns = tuple(column[0] for column in result.cursor.description or ()) if result.cursor else ()
    return Result(columns, database.streamed(result) if columns else iter(()))


def readable(value: Any) -> Any:
    """A value for people and JSON: blobs as hex digits."""
    return value.hex() if isinstance(value, bytes) else value


def only_reading(action: int, first: str | None, second: str | None, *_: Any) -> int:
    """SQLite's authorizer: allow reading and pragmas that tell about the schema, deny everything else."""
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second == "load_extension" else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        return sqlite3.SQLITE_OK if first in PRAGMAS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY


def _refused(database: Database, error: Exception) -> BamkitError:
    text = str(getattr(error, "orig", None) or error)
    if any(phrase in text for phrase in REFUSALS):
        return BamkitError(f"{database.name} is open for reading only: the engine refused the statement")
    if "one statement at a time" in text:
        return BamkitError("one statement at a time, please")
    missing = re.search(r"no such (column|table): (\S+)|(column|relation) \"?([^\" ]+)\"? does not exist", text)
    if missing:
        kind, wanted = (part for part in missing.groups() if part)
        wanted = wanted.split(".")[-1]
        columns = {column for table in database.tables for column in database.columns(table)}
        known = sorted(columns if kind == "column" else database.tables)
        near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        return BamkitError(text.splitlines()[0], hint)
    return database.explained(error)
