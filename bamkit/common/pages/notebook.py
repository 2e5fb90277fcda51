"""What a notebook shows of a result: its sentences and tables as HTML, as the command line prints them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from bamkit.common.terminal.console import text_columns

if TYPE_CHECKING:
    from bamkit.common.terminal.console import Table

MOST = 40
"""Rows of a table that are shown."""


def as_html(*parts: str | Table) -> str:
    """The value of a `_repr_html_`: a text is a paragraph, all else a table; empty parts are left out."""
    return "\n".join(filter(None, (_paragraph(part) if isinstance(part, str) else _table(part) for part in parts)))


def notes(texts: Iterable[str]) -> str:
    """What a reader should know, in one paragraph; "" for nothing."""
    return "\n".join(f"note: {text}" for text in texts)


def _paragraph(text: str) -> str:
    return f"<p>{'<br>'.join(escape(line) for line in text.splitlines())}</p>" if text else ""


def _table(table: Table) -> str:
    """Numbers to the right, text to the left, missing values empty."""
    columns = text_columns(table)
    rows = list(zip(*(column.cells for column in columns), strict=True))
    if not rows:
        return ""
    sides = ["right" if column.numeric else "left" for column in columns]

    def line(tag: str, texts: Iterable[str]) -> str:
        style = (f' style="text-align:{side}"' for side in sides)
        cells = (f"<{tag}{how}>{escape(text)}</{tag}>" for how, text in zip(style, texts, strict=True))
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line("td", row) for row in rows[:MOST])
    head = line("th", (column.name for column in columns))
    more = f"<p>... and {len(rows) - MOST:,} more rows</p>" if len(rows) > MOST else ""
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{more}"
