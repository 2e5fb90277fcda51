"""Builds a report: its page, and every figure and table of it also as a file of its own."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bamkit.common import figures
from bamkit.common.pages import Page
from bamkit.common.shards import write_table
from bamkit.common.workspace import write_bytes

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure


@dataclass
class ReportBuilder:
    """The page, and what goes beside it into `figures/` and `tables/`."""

    page: Page
    figures: dict[str, bytes] = field(default_factory=dict)
    """File name -> SVG, PNG or JPEG."""
    tables: dict[str, pa.Table] = field(default_factory=dict)
    """Name -> table, written as CSV and Parquet."""

    def keep(self, name: str, table: pa.Table) -> pa.Table:
        """Keep a table for `tables/<name>.csv` and `.parquet`."""
        self.tables[name] = table
        return table

    def keep_figure(self, name: str, figure: Figure) -> bytes:
        """Keep a figure for `figures/<name>.svg` and `.png`; returns it as it goes into the page."""
        self.figures[f"{name}.svg"], inline = figures.svg_and_inline(figure)
        figure.set_layout_engine("none")  # it is laid out now, and would be again for each file
        self.figures[f"{name}.png"] = figures.png(figure)
        return inline

    def figure(self, name: str, figure: Figure, alt: str, caption: str = "", wide: bool = False) -> None:
        """Show a figure and keep it."""
        self.page.figure(self.keep_figure(name, figure), alt, caption, wide=wide)

    def panels(self, name: str, whole: Figure, parts: Sequence[tuple[Figure, str]], caption: str = "") -> None:
        """Show (figure, alt) side by side; keep `whole`, the same panels in one figure, for papers."""
        self.keep_figure(name, whole)
        self.page.figures([(figures.inline(figure), alt) for figure, alt in parts], caption)

    def write(self, folder: Path, about: Mapping[str, Any]) -> Path:
        """Write tables, figures and, last, index.html into `folder`; what an earlier report left there goes first.

        Only files of the kinds a report writes are removed, and only in its own two folders.
        """
        for sub, kinds in (("figures", ("svg", "png")), ("tables", ("csv", "parquet"))):
            keep = set(self.figures) if sub == "figures" else {f"{n}.{k}" for n in self.tables for k in kinds}
            for old in [path for kind in kinds for path in (folder / sub).glob(f"*.{kind}") if path.name not in keep]:
                old.unlink()
        for name, data in self.figures.items():
            write_bytes(folder / "figures" / name, data)
        for name, table in self.tables.items():
            write_table(table, folder / "tables" / f"{name}.parquet", {"kind": "report table", "name": name, **about})
            write_bytes(folder / "tables" / f"{name}.csv", as_csv(table))
        self.page.write(folder / "index.html")
        return folder / "index.html"


def as_csv(table: pa.Table) -> bytes:
    """The table as CSV with a header; NaN and null are empty cells."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv

    for index, column in enumerate(table.schema):
        if pa.types.is_floating(column.type):
            values = table.column(index)
            nothing = pa.chunked_array([pa.nulls(len(values), column.type)])
            table = table.set_column(index, column.name, pc.if_else(pc.is_nan(values), nothing, values))
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(table, buffer)
    return buffer.getvalue()


def percent(share: float, digits: int = 1) -> str:
    """`0.0612` -> `6.1 %`; an en dash for NaN."""
    return "–" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def percent_interval(share: float, low: float, high: float) -> str:
    """`6.1 % [5.0, 7.4]`."""
    return "–" if math.isnan(share) else f"{percent(share)} [{100 * low:.1f}, {100 * high:.1f}]"


def number_interval(value: float, low: float, high: float, digits: int = 2) -> str:
    """`0.71 [0.64, 0.77]`."""
    return "–" if math.isnan(value) else f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def signed(value: float | None, digits: int = 2) -> str:
    """`+0.31`, `−0.20`; an en dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "+∞" if value > 0 else "−∞"
    return f"{value:+.{digits}f}".replace("-", "−")
