"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Print rows as an aligned table: numbers to the right, text to the left, None as an empty cell."""
    rows = [dict(row) for row in rows]
    names = list(columns or dict.fromkeys(key for row in rows for key in row))
    cells = [[cell(row.get(name)) for name in names] for row in rows]
    numeric = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in names]
    widths = [max([len(name), *(len(line[i]) for line in cells)]) for i, name in enumerate(names)]
    for line in [names, *cells]:
        padded = (
            text.rjust(w) if right else text.ljust(w) for text, w, right in zip(line, widths, numeric, strict=True)
        )
        click.echo("  ".join(padded).rstrip())


def cell(value: Any) -> str:
    """One value as text: 1,234 for integers, four significant digits for reals, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def print_next(*commands: str, err: bool = False) -> None:
    """Print what to type next, one command a line; a remark stands behind a `#`."""
    for command in commands:
        click.echo(f"next: {command}", err=err)


class _Pipe(io.FileIO):
    """Standard output whose reader may leave."""

    left = False

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            _Pipe.left = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


def outlive_reader() -> None:
    """From now on what is printed after the reader has left (`| head`) is dropped, and the command goes on.

    So it ends as it would have ended: with the same files and the same exit status.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.flush()
            buffer = io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False))
            lines = name == "stderr"
            setattr(sys, name, io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=lines))


def reader_left() -> bool:
    """Whether nobody reads what is printed any more."""
    return _Pipe.left


def print_json(value: Any) -> None:
    """Print JSON, indented; NaN and infinities become null, since JSON has none."""
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
