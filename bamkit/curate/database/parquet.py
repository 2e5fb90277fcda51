"""The database's tables as parquet files, for DuckDB, polars, pandas and whatever else reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from bamkit.common.contract import ATTRIBUTES
from bamkit.common.progress import Progress
from bamkit.common.provenance import canonical
from bamkit.common.shards import KEY, open_writer
from bamkit.common.workspace import atomic_path, refuse_overwrite
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
            for frame in _frames(database, name, columns):
                writer.write_table(pa.Table.from_pandas(_typed(frame, schema), schema, preserve_index=False))
                bar.update(done := done + len(frame))
        written[path] = done
    return written


def _frames(database: Database, table: str, columns: list[str]) -> Iterator[pd.DataFrame]:
    text = sa.text(f"SELECT {', '.join(map(quote, columns))} FROM {table}")
    try:
        yield from pd.read_sql_query(text, database.connection, chunksize=ROWS, dtype=object)
    except sa.exc.SQLAlchemyError as error:
        raise database.explained(error) from error


def _type(table: str, column: str) -> pa.DataType:
    if column in INTEGERS:
        return pa.int64()
    if column == "mature_content":
        return pa.bool_()
    return pa.float64() if table == "scores" and column in ATTRIBUTES else pa.string()


def _typed(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """The frame with what is of another type than the schema's as null."""
    columns = {}
    for field in schema:
        values = frame[field.name]
        if field.type == pa.bool_():
            columns[field.name] = values.map(truth)
        elif field.type == pa.string():
            columns[field.name] = values.where(values.isna(), values.astype(str))
        else:
            columns[field.name] = values.where(values.map(lambda value: isinstance(value, int | float)))
    return pd.DataFrame(columns)
