"""The BAM file, opened read-only and looked at instead of assumed.

A path to a SQLite file goes through the standard library's driver (it starts at once, and its engine can be told to
refuse writes); any other SQLAlchemy URL goes through SQLAlchemy. Both give rows as plain tuples.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from bamkit.common.contract import ATTRIBUTES
from bamkit.common.errors import BamkitError
from bamkit.curate.database.fingerprint import fingerprint_file, fingerprint_totals, read_header

BUSY_SECONDS = 5.0
CHUNK = 5000
"""Ids bound in one statement; SQLite allows 32,766 parameters."""

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table or a view as the database declares it."""

    name: str
    columns: dict[str, str]
    """Lower-case column name -> declared type, in the database's order."""
    view: bool = False
    sql: str = ""
    """The statement that made it (SQLite only)."""
    rowid: bool = False
    """Whether its rows can be addressed by SQLite's rowid, which needs no index."""


class Connection(Protocol):
    """What the two drivers have in common."""

    def rows(self, sql: str, parameters: Parameters) -> Iterator[tuple[Any, ...]]: ...
    def tables(self) -> dict[str, Table]: ...
    def close(self) -> None: ...


class Database:
    """A BAM database, open for reading. Use it as a context manager.

    Public attributes: `location` (as it was given), `path` (None for a database server), `tables` (name -> Table).
    Every method raises BamkitError where the file is locked, damaged or lacks what is asked for.
    """

    def __init__(self, location: str, path: Path | None, connection: Connection) -> None:
        self.location, self.path, self._connection = location, path, connection
        self.tables = connection.tables()

    @classmethod
    def open(cls, location: str | Path) -> Database:
        """Open a SQLite file or an SQLAlchemy URL read-only and check that it can be a BAM database.

        Raises BamkitError: no such file, not SQLite, truncated, locked, or without the tables `modules` and `scores`.
        """
        database = cls.open_any(location)
        try:
            database.require_bam()
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def open_any(cls, location: str | Path) -> Database:
        """Like `open`, without the demand that the tables of BAM are there (for `bamkit sql` and `bamkit info`)."""
        location = str(location)
        path = sqlite_path(location)
        if path is None:
            from bamkit.curate.database.server import Alchemy

            return cls(location, None, Alchemy(location))
        read_header(path)
        return cls(location, path, Sqlite(path))

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @property
    def connection(self) -> Connection:
        """The driver underneath: Sqlite for a file, Alchemy for a URL."""
        return self._connection

    @property
    def sqlite(self) -> bool:
        """Whether this is a SQLite file opened by path (then rowids and the sidecar can be used)."""
        return self.path is not None

    @property
    def name(self) -> str:
        """The file's name without its folder; for a URL the part that holds no password."""
        return self.path.name if self.path else re.sub(r"//[^@/]*@", "//", self.location)

    def rows(self, sql: str, parameters: Parameters | None = None) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, streamed. Parameters are bound by name (`:name`)."""
        return self._connection.rows(sql, parameters or {})

    def one(self, sql: str, parameters: Parameters | None = None) -> tuple[Any, ...]:
        """The only row of a query."""
        return next(iter(self.rows(sql, parameters)))

    def rows_in(
        self, sql: str, ids: Sequence[int], parameters: Parameters | None = None, chunk: int = CHUNK
    ) -> Iterator[tuple[Any, ...]]:
        """The rows of a query whose text has `{ids}` where a list of bound ids belongs, asked in chunks."""
        for start in range(0, len(ids), chunk):
            part = ids[start : start + chunk]
            marks = ", ".join(f":id{i}" for i in range(len(part)))
            bound = {f"id{i}": value for i, value in enumerate(part)}
            yield from self.rows(sql.format(ids=marks), {**(parameters or {}), **bound})

    def has(self, table: str) -> bool:
        return table in self.tables

    def columns(self, table: str) -> tuple[str, ...]:
        """Lower-case column names of a table, () if there is no such table."""
        return tuple(self.tables[table].columns) if table in self.tables else ()

    @cached_property
    def score_attributes(self) -> tuple[str, ...]:
        """The attributes that have a column in `scores`, in the order of the contract."""
        found = set(self.columns("scores"))
        return tuple(name for name in ATTRIBUTES if name in found)

    @cached_property
    def label_attributes(self) -> tuple[str, ...]:
        """The attributes that have a column in `automatic_labels`; () if there is no such table or view."""
        found = set(self.columns("automatic_labels"))
        return tuple(name for name in ATTRIBUTES if name in found) if "mid" in found else ()

    @property
    def automatic(self) -> str:
        """How automatic labels are kept: "table", "view" or "absent"."""
        if not self.label_attributes:
            return "absent"
        return "view" if self.tables["automatic_labels"].view else "table"

    @property
    def has_crowd(self) -> bool:
        return {"mid", "attribute", "label"} <= set(self.columns("crowd_labels"))

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that change when the content changes; see fingerprint.py for why it is enough."""
        if self.path:
            return fingerprint_file(self.path, [table.sql for _, table in sorted(self.tables.items())])
        return self._server_fingerprint()

    def _server_fingerprint(self) -> str:
        """One scan of `modules` and one of `scores`."""
        schema = [(name, list(self.columns(name))) for name in sorted(self.tables)]
        sums = "".join(f", sum({quote(name)}), count({quote(name)})" for name in self.score_attributes)
        ends = "SELECT count(*), min(mid), max(mid), sum(mid)"
        rows = [self.one(f"{ends} FROM modules"), self.one(f"{ends}{sums} FROM scores")]
        return fingerprint_totals(schema, rows)

    def require_bam(self) -> None:
        """Raises BamkitError unless `modules` (mid, src) and `scores` (mid, some attribute) are there."""
        for table, needed in (("modules", ("mid", "src")), ("scores", ("mid",))):
            if table not in self.tables:
                there = ", ".join(sorted(self.tables)) or "nothing"
                raise BamkitError(
                    f"{self.name} is no BAM database: it has no table `{table}` (it holds {there})",
                    "give --db the BAM file; bamkit sample DIR makes one to try",
                )
            for column in needed:
                self.require_column(table, column)
        if not self.score_attributes:
            raise BamkitError(f"{self.name}: `scores` has none of the 20 attribute columns, such as emotion_happy")

    def require_column(self, table: str, column: str) -> None:
        """Raises BamkitError naming the nearest column if `table` has no such `column`."""
        there = self.columns(table)
        if column in there:
            return
        near = difflib.get_close_matches(column, there, n=1, cutoff=0.6)
        hint = f"the nearest is {near[0]}" if near else f"it has {', '.join(there)}"
        raise BamkitError(f"{self.name}: `{table}` has no column {column}", hint)


class Sqlite:
    """A SQLite file through the standard library: opened with mode=ro, and the engine refuses writes besides."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.raw = connect(path)
        self.wal = read_header(path).wal

    def rows(self, sql: str, parameters: Parameters) -> Iterator[tuple[Any, ...]]:
        try:
            cursor = self.raw.execute(sql, parameters)
            while chunk := cursor.fetchmany(2000):
                yield from chunk
        except sqlite3.Error as error:
            raise_interrupt(error)
            raise explained(error, self.path) from error

    def tables(self) -> dict[str, Table]:
        found = {}
        made = list(self.rows("SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view')", {}))
        for name, kind, sql in made:
            if name.startswith("sqlite_"):
                continue
            try:
                columns = {row[1].lower(): row[2] for row in self.raw.execute(f"PRAGMA table_info({quote(name)})")}
            except sqlite3.DatabaseError:
                # A view over a table that is gone: it exists, but nothing can be read from it.
                columns = {}
            rowid = kind == "table" and "rowid" not in columns and not re.search(r"without\s+rowid", sql or "", re.I)
            found[name.lower()] = Table(name, columns, kind == "view", sql or "", rowid)
        return found

    def close(self) -> None:
        self.raw.close()


def connect(path: Path) -> sqlite3.Connection:
    """A read-only connection. Raises BamkitError if the file cannot be opened or read."""
    try:
        return _connect(path, "mode=ro")
    except sqlite3.Error as error:
        # A file in WAL mode on read-only media cannot have its shared-memory file made; nobody can write to it
        # there either, so it may be read as it stands, if no log waits beside it.
        wal = path.with_name(path.name + "-wal")
        if read_header(path).wal and not (wal.exists() and wal.stat().st_size):
            try:
                return _connect(path, "mode=ro&immutable=1")
            except sqlite3.Error as second:
                raise explained(second, path) from second
        raise explained(error, path) from error


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
        connection.execute("PRAGMA query_only = ON")
        # A chance for Ctrl-C several times a second: a scan may take many of them.
        connection.set_progress_handler(lambda: 0, 1_000_000)
        # One snapshot for everything that is read through this connection.
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def raise_interrupt(error: sqlite3.Error) -> None:
    """Ctrl-C during a query reaches Python as an error of SQLite: make it a KeyboardInterrupt again."""
    if str(error) == "interrupted":
        raise KeyboardInterrupt from error


def explained(error: sqlite3.Error, path: Path) -> BamkitError:
    """What a SQLite error means for the user."""
    text = str(error)
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


def sqlite_path(location: str) -> Path | None:
    """The file behind a plain path or a plain `sqlite:///` URL, None for every other URL."""
    if "://" not in location:
        return Path(location)
    match = re.fullmatch(r"sqlite(?:\+pysqlite)?:///([^?]+)", location)
    return Path(match[1]) if match and not match[1].startswith("file:") else None


def truth(value: Any) -> bool | None:
    """A boolean as databases write it: 0/1, true/false, 't'/'f'; None if unknown."""
    if isinstance(value, str):
        return {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}.get(value.strip().lower())
    return None if value is None else bool(value)


def quote(name: str) -> str:
    """An identifier in standard SQL quotes. Only names read from the database or the contract come here."""
    return '"' + name.replace('"', '""') + '"'
