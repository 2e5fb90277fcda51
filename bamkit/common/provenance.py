"""Hashes, versions and the metadata that ties every artefact to what it was made from."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bamkit
from bamkit.common.errors import BamkitError
from bamkit.common.workspace import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"bamkit"


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same value always gives the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of `canonical(value)`: a content-addressed id."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def sha256_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(packages: Iterable[str] = ("torch", "torchvision", "pandas", "pyarrow", "pillow")) -> dict[str, str]:
    """Versions of bamkit, Python and the given packages (those that are installed)."""
    found = {"bamkit": bamkit.__version__, "python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_table(table: pa.Table, path: Path, about: dict[str, Any], row_group_size: int | None = None) -> None:
    """Write parquet atomically with `about` as JSON under the schema metadata key `bamkit`.

    Same table and same `about` give a byte-identical file; keep times and paths out of `about`.
    """
    import pyarrow.parquet as pq

    kept = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"pandas"}
    table = table.replace_schema_metadata({**kept, KEY: canonical(about).encode()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=row_group_size)


def unreadable(path: Path, error: Exception) -> BamkitError:
    """What to say of a damaged or foreign parquet file."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return BamkitError(
        f"{path} is not a readable parquet file: {said[0]}",
        "delete it and make it again: bamkit select for a selection, fetch for a split, translate for translations",
    )


def read_about(path: Path) -> dict[str, Any]:
    """The `bamkit` metadata of a parquet file ({} if another program wrote it). Raises BamkitError if unreadable."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise unreadable(path, error) from error
    return json.loads(found[KEY]) if KEY in found else {}


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A parquet file as a table. Raises BamkitError if it cannot be read or lacks one of `columns`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not pq.read_table: it imports pandas, which takes longer than reading most tables.
        with pq.ParquetFile(path) as file:
            lacking = [name for name in columns or () if name not in file.schema_arrow.names]
            table = None if lacking else file.read(columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise unreadable(path, error) from error
    if table is None:
        raise BamkitError(f"{path} has no column {', '.join(lacking)}")
    return table.select(columns) if columns else table
