"""The database's tables as parquet files, for DuckDB, polars, pandas and whatever else reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bamkit.common.contract import ATTRIBUTES
from bamkit.common.provenance import canonical
from bamkit.common.shards import KEY, open_writer
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import atomic_path, refuse_overwrite
from bamkit.curate.database.accumulator import chunks
from bamkit.curate.database.connection import KNOWN, Database, truth
from bamkit.curate.database.engines import quote

ROWS = 50_000
"""Rows a row group."""
INTEGERS = ("mid", "project_id")


def export_tables(database: Database, folder: Path, force: bool = False) -> dict[Path, int]:
    """Write each table of BAM as `<table>.parquet`, its known columns in the database's order; path -> rows.

    A value of another type than its column's (text among the scores) becomes null. Raises BamkitError if a file is
    there and `force` is not given.
    """
    tables = [name for name in KNOWN if database.columns(name)]
    for name in tables:
        refuse_overwrite(folder / f"{name}.parquet", force)
    about = {KEY: canonical({"kind": "database", "database": {"fingerprint": database.fingerprint}}).encode()}
    written = {}
    for name in tables:
        path = folder / f"{name}.parquet"
        columns = [column for column in database.columns(name) if column in KNOWN[name]]
        schema = pa.schema([(column, _type(name, column)) for column in columns], metadata=about)
        total = database.one(f"SELECT count(*) FROM {name}")[0]
        with (
            Progress(name, total, "rows") as bar,
            atomic_path(path) as temporary,
            open_writer(temporary, schema, compression="zstd") as writer,
        ):
            done = 0
            for rows in chunks(database.rows(f"SELECT {', '.join(map(quote, columns))} FROM {name}"), ROWS):
                values = zip(*rows, strict=True)
                arrays = [_array(column, field.type) for column, field in zip(values, schema, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                bar.update(done := done + len(rows))
        written[path] = done
    return written


def _type(table: str, column: str) -> pa.DataType:
    if column in INTEGERS:
        return pa.int64()
    if column == "mature_content":
        return pa.bool_()
    return pa.float64() if table == "scores" and column in ATTRIBUTES else pa.string()


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column; what is of another type is null."""
    if kind == pa.bool_():
        return pa.array([truth(value) for value in values], kind)
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        right: Any = {pa.int64(): int, pa.float64(): int | float}.get(kind, str)
        return pa.array([value if isinstance(value, right) else None for value in values], kind)
