"""The named queries of `sql/`: one a file, parameters bound, shipped inside the wheel as bamkit/sql."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2]


@cache
def query(name: str) -> str:
    """The text of `sql/<name>.sql`, from the wheel or from a source checkout."""
    for folder in (PACKAGE / "sql", PACKAGE.parent / "sql"):
        path = folder / f"{name}.sql"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"sql/{name}.sql is missing from this installation of bamkit")
