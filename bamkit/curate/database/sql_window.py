"""A read-only window on the database for any SELECT: the library behind `bamkit sql`.

That nothing can be written is not left to a look at the text. For a SQLite file there are three locks, each of them
enough: the file is opened with mode=ro, the connection has `query_only`, and SQLite's authorizer is asked while a
statement is compiled and refuses all but reading. A server is told to make the transaction read-only.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.curate.database.connection import Database, Sqlite, explained, raise_interrupt

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_FUNCTION}
PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "database_list", "function_list"}
"""Pragmas that only tell about the schema."""


@dataclass(frozen=True)
class Result:
    """What a statement gave."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    """Streamed; BamkitError is raised where reading on fails."""

    def dicts(self) -> Iterator[dict[str, Any]]:
        """Rows as dicts; a blob as its hex digits. Of columns with one name the later ones get a number."""
        names: list[str] = []
        for name in self.columns:
            same = sum(re.sub(r"_\d+$", "", other) == name for other in names)
            names.append(f"{name}_{same + 1}" if name in names else name)
        for row in self.rows:
            yield {name: readable(value) for name, value in zip(names, row, strict=True)}


def ask(database: Database, sql: str) -> Result:
    """Run one statement that reads. Raises BamkitError: it would write, or is no valid SQL (with the nearest name)."""
    if not sql.strip().rstrip(";"):
        raise BamkitError("there is no statement", "bamkit sql 'select count(*) from modules'")
    connection = database.connection
    if isinstance(connection, Sqlite):
        return _ask_sqlite(database, connection, sql)
    columns, rows = connection.ask(sql)  # type: ignore[attr-defined]
    return Result(columns, rows)


def readable(value: Any) -> Any:
    """A value for people and JSON: blobs as hex digits."""
    return value.hex() if isinstance(value, bytes) else value


def _ask_sqlite(database: Database, connection: Sqlite, sql: str) -> Result:
    raw = connection.raw
    raw.set_authorizer(only_reading)
    try:
        cursor = raw.execute(sql)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise_interrupt(error)
        raise _refused(database, connection, error) from error
    finally:
        # Compiled is compiled: the authorizer has had its say.
        raw.set_authorizer(None)
    columns = tuple(column[0] for column in cursor.description or ())
    return Result(columns, _streamed(database, connection, cursor))


def _streamed(database: Database, connection: Sqlite, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
    try:
        while chunk := cursor.fetchmany(1000):
            yield from chunk
    except sqlite3.Error as error:
        raise_interrupt(error)
        raise _refused(database, connection, error) from error


def only_reading(action: int, first: str | None, second: str | None, *_: Any) -> int:
    """SQLite's authorizer: allow reading and pragmas that tell about the schema, deny everything else."""
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second == "load_extension" else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA:
        return sqlite3.SQLITE_OK if first in PRAGMAS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY


def _refused(database: Database, connection: Sqlite, error: Exception) -> BamkitError:
    text = str(error)
    if "not authorized" in text or "readonly" in text or "authorization denied" in text or "prohibited" in text:
        return BamkitError(f"{database.name} is open for reading only: the engine refused the statement")
    if "one statement at a time" in text:
        return BamkitError("one statement at a time, please")
    missing = re.search(r"no such (column|table): (\S+)", text)
    if missing:
        wanted = missing[2].split(".")[-1]
        known = (
            set(database.tables) if missing[1] == "table" else {c for t in database.tables for c in database.columns(t)}
        )
        near = difflib.get_close_matches(wanted, sorted(known), n=1, cutoff=0.5)
        return BamkitError(text, f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}")
    return explained(error, connection.path) if isinstance(error, sqlite3.DatabaseError) else BamkitError(text)
