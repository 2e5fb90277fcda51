"""Any database that SQLAlchemy can reach, read-only as far as the server can be told so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.curate.database.connection import Parameters, Table


class Alchemy:
    """A connection by SQLAlchemy URL. Raises BamkitError for a bad URL, a missing driver, a refused connection."""

    def __init__(self, url: str) -> None:
        import sqlalchemy as sa
        from sqlalchemy import exc

        self._sa, self._error = sa, exc.SQLAlchemyError
        self.shown = re.sub(r"//[^@/]*@", "//", url)
        try:
            self.engine = sa.create_engine(url)
            self.raw = self.engine.connect()
            self._refuse_writes()
        except ModuleNotFoundError as error:
            raise BamkitError(
                f"{self.shown} needs the Python package {error.name}", f"pip install {error.name}"
            ) from error
        except (exc.ArgumentError, exc.NoSuchModuleError) as error:
            raise BamkitError(f"{self.shown} is not an SQLAlchemy URL: {str(error).splitlines()[0]}") from error
        except self._error as error:
            raise self._explained(error) from error

    def _refuse_writes(self) -> None:
        statement = {
            "sqlite": "PRAGMA query_only = ON",
            "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "mysql": "SET SESSION TRANSACTION READ ONLY",
            "mariadb": "SET SESSION TRANSACTION READ ONLY",
        }.get(self.engine.dialect.name)
        if statement:
            self.raw.execute(self._sa.text(statement))
            self.raw.commit()
        if self.engine.dialect.name in ("mysql", "mariadb"):
            self.raw.execute(self._sa.text("SET SESSION sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')"))

    def rows(self, sql: str, parameters: Parameters) -> Iterator[tuple[Any, ...]]:
        try:
            result = self.raw.execution_options(stream_results=True).execute(self._sa.text(sql), dict(parameters))
            for row in result:
                yield tuple(row)
        except self._error as error:
            raise self._explained(error) from error

    def ask(self, sql: str) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Column names and streamed rows of one statement, its colons not taken for parameters."""
        try:
            result = self.raw.exec_driver_sql(sql)
            columns = tuple(result.keys()) if result.returns_rows else ()
        except self._error as error:
            raise self._explained(error) from error
        return columns, (tuple(row) for row in (result if columns else ()))

    def tables(self) -> dict[str, Table]:
        look = self._sa.inspect(self.raw)
        found = {}
        try:
            for name, view in [(n, False) for n in look.get_table_names()] + [(n, True) for n in look.get_view_names()]:
                columns = {column["name"].lower(): str(column["type"]) for column in look.get_columns(name)}
                found[name.lower()] = Table(name, columns, view)
        except self._error as error:
            raise self._explained(error) from error
        return found

    def close(self) -> None:
        self.raw.close()
        self.engine.dispose()

    def _explained(self, error: Exception) -> BamkitError:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        return BamkitError(f"{self.shown}: {reason}")
