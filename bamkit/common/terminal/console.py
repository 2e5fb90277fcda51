"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import codecs
import io
import json
import math
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import click

if TYPE_CHECKING:
    import pandas as pd

    Table: TypeAlias = pd.DataFrame | Iterable[Mapping[str, Any]]
"""A table to show: a DataFrame, or rows."""

GAP = "  "
"""Between two columns."""
NARROWEST = 12
"""Characters that a column keeps on a narrow terminal."""


class Column(NamedTuple):
    """A column of a table as text."""

    name: str
    cells: list[str]
    """One text a row, "" where there is no value."""
    numeric: bool
    """Whether all values are numbers: such columns are set to the right."""


def text_columns(table: Any, columns: Sequence[str] | None = None) -> list[Column]:
    """The columns (or the named ones) of a Table, every value formatted by `cell`; None and NaN are ""."""
    values: dict[str, list[Any]]
    if hasattr(table, "columns"):
        missing = {name: table[name].isna().tolist() for name in table.columns}
        values = {
            str(name): [
                None if gone else value for value, gone in zip(table[name].tolist(), missing[name], strict=True)
            ]
            for name in table.columns
        }
    else:
        rows = [dict(row) for row in table]
        values = {name: [row.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row)}
    return [
        Column(name, [cell(value) for value in values.get(name, [])], all(map(_is_number, values.get(name, []))))
        for name in columns or values
    ]


def print_table(table: Table, columns: Sequence[str] | None = None) -> None:
    """Print a table: numbers to the right, text to the left, missing values empty.

    Where it is wider than the terminal (or COLUMNS says so), the columns that do not fit follow below, each part with
    the first column again, and texts are wrapped. In a pipe nothing is folded.
    """
    parts = text_columns(table, columns)
    width = shutil.get_terminal_size(fallback=(0, 0)).columns
    for number, part in enumerate(_folded(parts, width) if width else [parts]):
        if number:
            click.echo()
        for line in _lines(part, width):
            click.echo(line)


def _width(column: Column) -> int:
    return max(map(_cells, (column.name, *column.cells)))


def _cells(text: str) -> int:
    """How many cells of a terminal a text takes: two for a wide letter such as 冬, none for an accent of its own."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _folded(columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """The columns in parts that fit into `width` characters, each part led by the first column."""
    part: list[Column] = []
    used = 0
    for column in columns:
        if len(part) > 1 and used + len(GAP) + _width(column) > width:
            yield part
            part = part[:1]
            used = _width(part[0])
        part.append(column)
        used += len(GAP) * (len(part) > 1) + _width(column)
    if part:
        yield part


def _lines(columns: Sequence[Column], width: int) -> Iterator[str]:
    """The lines of a table. Where it is wider than `width` > 0 even so, texts are wrapped in their columns."""
    widths = [_width(column) for column in columns]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width if width else 0
    for place in sorted(range(len(columns)), key=lambda place: -widths[place]):
        if excess > 0:
            narrower = max(NARROWEST, widths[place] - excess)
            excess -= max(0, widths[place] - narrower)
            widths[place] = min(widths[place], narrower)
    for row in zip(*([column.name, *column.cells] for column in columns), strict=True):
        wrapped = [
            [text] if _cells(text) <= size else textwrap.wrap(text, size)
            for text, size in zip(row, widths, strict=True)
        ]
        for height in range(max(map(len, wrapped), default=0)):
            texts = [lines[height] if height < len(lines) else "" for lines in wrapped]
            padded = (
                " " * (size - _cells(text)) + text if column.numeric else text + " " * (size - _cells(text))
                for text, size, column in zip(texts, widths, columns, strict=True)
            )
            yield GAP.join(padded).rstrip()


def cell(value: Any) -> str:
    """One value as text: 1,234 for integers, four significant digits for reals, yes or no, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def percent(share: float, digits: int = 1) -> str | None:
    """`0.0612` -> `6.1 %`; None for NaN."""
    return None if math.isnan(share) else f"{100 * share:.{digits}f} %"


def interval(value: float, low: float, high: float, digits: int = 2, sign: str = "") -> str | None:
    """`0.71 [0.64, 0.77]`, with `sign` "+" `+0.71 [+0.64, +0.77]`; None for NaN."""
    if math.isnan(value):
        return None
    return f"{value:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def percent_interval(share: float, low: float, high: float) -> str | None:
    """`6.1 % [5.0, 7.4]`; None for NaN."""
    return None if math.isnan(share) else f"{percent(share)} [{100 * low:.1f}, {100 * high:.1f}]"


def signed(value: float | None, digits: int = 2) -> str | None:
    """`+0.31`, `-0.20`, `+inf`; None where there is none."""
    return None if value is None or math.isnan(value) else f"{value:+.{digits}f}"


def print_notes(*groups: Iterable[str]) -> None:
    """Print what a reader of the result should know, a note a line."""
    for notes in groups:
        for note in notes:
            click.echo(f"note: {note}")


def print_next(*commands: str, err: bool = False) -> None:
    """Print what to type next, one command a line; a remark stands behind a `#`."""
    for command in commands:
        click.echo(f"next: {command}", err=err)


PRINTED = "standard output"
"""The `filename` of the OSError that is raised where printing fails."""


class _Pipe(io.FileIO):
    """Standard output whose reader may leave, or whose disk may be full."""

    left = False

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            _Pipe.left = True
            self._drop_the_rest()
            return len(data)
        except OSError as error:
            # Raised once: what the end of the program would still write is dropped.
            self._drop_the_rest()
            error.filename = PRINTED
            raise

    def _drop_the_rest(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


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


def print_what_cannot_be_encoded() -> None:
    """From now on what the terminal's encoding does not have, such as bytes of a file's name, is printed as \\udce9."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def reader_left() -> bool:
    """Whether nobody reads what is printed any more."""
    return _Pipe.left


def print_json(value: Any) -> None:
    """Print JSON, indented; NaN and infinities become null, since JSON has none."""
    ascii_only = codecs.lookup(sys.stdout.encoding or "ascii").name != "utf-8"
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=ascii_only, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
