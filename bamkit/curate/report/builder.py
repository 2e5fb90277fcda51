"""Builds a report: its page, and every figure and table of it also as a file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bamkit.common.pages import figures
from bamkit.common.pages.page import Page
from bamkit.common.shards import write_table
from bamkit.common.workspace import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class ReportBuilder:
    """The page, and what goes beside it into `figures/` and `tables/`."""

    page: Page
    figures: dict[str, bytes] = field(default_factory=dict)
    """File name -> SVG, PDF or PNG."""
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Name -> table, written as CSV and Parquet."""

    def keep(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """Keep a table for `tables/<name>.csv` and `.parquet`."""
        self.tables[name] = table
        return table

    def keep_figure(self, name: str, figure: Figure) -> bytes:
        """Keep a figure for `figures/<name>.svg`, `.pdf` and `.png`; returns it as it goes into the page."""
        svg = self.figures[f"{name}.svg"] = figures.svg(figure)
        self.figures[f"{name}.pdf"] = figures.pdf(figure)
        self.figures[f"{name}.png"] = figures.png(figure)
        return svg

    def figure(self, name: str, figure: Figure, alt: str, caption: str = "", wide: bool = False) -> None:
        """Show a figure and keep it."""
        self.page.figure(self.keep_figure(name, figure), alt, caption, wide=wide)

    def panels(self, name: str, whole: Figure, parts: Sequence[tuple[Figure, str]], caption: str = "") -> None:
        """Show (figure, alt) side by side; keep `whole`, the same panels in one figure, for papers."""
        self.keep_figure(name, whole)
        self.page.figures([(figures.svg(figure), alt) for figure, alt in parts], caption)

    def write(self, folder: Path, about: Mapping[str, Any]) -> Path:
        """Write tables, figures and, last, index.html into `folder`; what an earlier report left there goes first.

        Only files of the kinds a report writes are removed, and only in its own two folders.
        """
        import pyarrow as pa

        for sub, kinds in (("figures", ("svg", "pdf", "png")), ("tables", ("csv", "parquet"))):
            keep = set(self.figures) if sub == "figures" else {f"{n}.{k}" for n in self.tables for k in kinds}
            for old in [path for kind in kinds for path in (folder / sub).glob(f"*.{kind}") if path.name not in keep]:
                old.unlink()
        for name, data in self.figures.items():
            write_bytes(folder / "figures" / name, data)
        for name, table in self.tables.items():
            about_table = {"kind": "report table", "name": name, **about}
            parquet = folder / "tables" / f"{name}.parquet"
            write_table(pa.Table.from_pandas(table, preserve_index=False), parquet, about_table)
            write_bytes(parquet.with_suffix(".csv"), table.to_csv(index=False, lineterminator="\n").encode())
        self.page.write(folder / "index.html")
        return folder / "index.html"
