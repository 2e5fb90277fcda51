"""The BAM file, opened read-only and looked at instead of assumed: a SQLite file or any SQLAlchemy URL."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from bamkit.common.contract import ATTRIBUTES
from bamkit.common.errors import BamkitError
from bamkit.curate.database import engines
from bamkit.curate.database.engines import quote
from bamkit.curate.database.fingerprint import fingerprint_file, fingerprint_totals

KNOWN = {
    "modules": ("mid", "project_id", "src", "mature_content", "license"),
    "scores": ("mid", *ATTRIBUTES),
    "automatic_labels": ("mid", *ATTRIBUTES),
    "crowd_labels": ("mid", "attribute", "label"),
}
"""Tables of BAM -> their columns."""

CHUNK = 5000
"""Ids bound in one statement; SQLite allows 32,766 parameters."""
FETCHED = 2000
"""Rows that are fetched at a time."""


class Database:
    """A BAM database, open for reading. Use it as a context manager.

    Public attributes: `location` (as it was given), `path` (None for a database server), `connection` (SQLAlchemy's),
    `tables` (name -> Table). Every method raises BamkitError where the file is locked, damaged or lacks what is asked
    for.
    """

    def __init__(self, location: str, path: Path | None, engine: sa.Engine) -> None:
        self.location, self.path, self.engine = location, path, engine
        try:
            self.connection = engine.connect()
            self.tables = engines.read_tables(self.connection, path)
        except exc.SQLAlchemyError as error:
            engine.dispose()
            raise self.explained(error) from error

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
        path = engines.sqlite_path(location)
        return cls(location, path, engines.sqlite_engine(path) if path else engines.server_engine(location))

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()
        self.engine.dispose()

    def explained(self, error: Exception) -> BamkitError:
        """What an error of the driver means for the user. Raises KeyboardInterrupt if Ctrl-C caused it."""
        return engines.explained(error, self.location, self.path)

    @property
    def sqlite(self) -> bool:
        """Whether this is a SQLite file opened by path (then rowids can be used)."""
        return self.path is not None

    @property
    def name(self) -> str:
        """The file's name without its folder; for a URL the part that holds no password."""
        return self.path.name if self.path else engines.without_password(self.location)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, streamed. Parameters are bound by name (`:name`), a list in place of a set of values."""
        bound = dict(parameters or {})
        text = sa.text(sql)
        for name in (name for name, value in bound.items() if isinstance(value, list)):
            text = text.bindparams(sa.bindparam(name, expanding=True))
        try:
            result = self.connection.execute(text, bound)
        except exc.SQLAlchemyError as error:
            raise self.explained(error) from error
        return self.streamed(result)

    def streamed(self, result: sa.CursorResult[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows of a result as plain tuples."""
        # SQLite's cursor streams by itself: without SQLAlchemy's rows a pass over two million takes a sixth less.
        source: Any = result.cursor if self.path else result
        driver: Any = self.engine.dialect.loaded_dbapi
        try:
            while rows := source.fetchmany(FETCHED):
                yield from rows if self.path else map(tuple, rows)
        except (exc.SQLAlchemyError, driver.Error) as error:
            raise self.explained(error) from error

    def one(self, sql: str, parameters: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
        """The only row of a query."""
        return next(self.rows(sql, parameters))

    def rows_in(
        self, sql: str, ids: Sequence[int], parameters: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """The rows of a query whose text has `IN :ids`, asked in chunks of ids."""
        for start in range(0, len(ids), CHUNK):
            yield from self.rows(sql, {**(parameters or {}), "ids": list(ids[start : start + CHUNK])})

    def has(self, table: str) -> bool:
        return table in self.tables

    def columns(self, table: str) -> tuple[str, ...]:
        """Lower-case column names of a table, () if there is no such table."""
        return tuple(self.tables[table].columns) if table in self.tables else ()

    @cached_property
    def score_attributes(self) -> tuple[str, ...]:
        """The attributes that have a column in `scores`, in the order of the contract."""
        columns = set(self.columns("scores"))
        return tuple(name for name in ATTRIBUTES if name in columns)

    @cached_property
    def label_attributes(self) -> tuple[str, ...]:
        """The attributes that have a column in `automatic_labels`; () if there is no such table or view."""
        columns = set(self.columns("automatic_labels"))
        return tuple(name for name in ATTRIBUTES if name in columns) if "mid" in columns else ()

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


def truth(value: Any) -> bool | None:
    """A boolean as databases write it: 0/1, true/false, 't'/'f', yes/no; None if unknown."""
    if isinstance(value, str):
        words = {
            **dict.fromkeys(("1", "true", "t", "yes", "y"), True),
            **dict.fromkeys(("0", "false", "f", "no", "n"), False),
        }
        return words.get(value.strip().lower())
    return None if value is None else bool(value)
