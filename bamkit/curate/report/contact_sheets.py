"""Contact sheets: the pictures of a split by rank."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bamkit.common.pages.page import Picture
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.domain import DomainTables, read_pictures
from bamkit.curate.audit.similarity import thumbnail
from bamkit.curate.report.builder import ReportBuilder

if TYPE_CHECKING:
    from PIL import Image

SIDE = 160
"""Pixels of a picture's longer side on a contact sheet."""


def contact_sheets(
    report: ReportBuilder, workspace: Workspace, domains: Sequence[DomainTables], top: int = 18, spread: int = 36
) -> None:
    """The first ranks of each training set, ranks spread over all of it, and the first ranks of the test set."""
    fetched = [domain for domain in domains if domain.fetched]
    if not fetched:
        return
    report.page.section(
        "Contact sheets", "Pictures with their rank and score: first the top ranks, then ranks spread evenly."
    )
    for domain in fetched:
        for split in domain.counts:
            n = domain.split(split).num_rows
            first = list(range(min(n, top)))
            even = sorted({round(i) for i in np.linspace(len(first), n - 1, spread)}) if n > len(first) else []
            chosen = first + (even if split == "train" else [])
            rows = read_pictures(workspace, domain.name, split, chosen)
            shown = [(row, thumbnail(row["image"]["bytes"], SIDE)) for row in rows]
            report.page.heading(f"{domain.name}, {split}")
            report.page.pictures([_picture(domain.name, row, small) for row, small in shown], width=104)
            report.figures[f"contact-{domain.name}-{split}.png"] = sheet_png([small for _, small in shown])


def _picture(name: str, row: dict[str, Any], small: Image.Image) -> Picture:
    score = "" if row["score"] is None else f" · {row['score']:.2f}".replace("-", "−")
    return Picture(small, f"{name}, rank {row['rank']}, image {row['mid']}", f"{row['rank']:,}{score}")


def sheet(pictures: Sequence[Image.Image], columns: int = 9, gap: int = 4) -> Image.Image:
    """The pictures, at most SIDE pixels a side, in one grid on white."""
    from PIL import Image

    rows = -(-len(pictures) // columns)
    cell = max((max(picture.size) for picture in pictures), default=SIDE)
    side = cell + gap
    grid = Image.new("RGB", (columns * side + gap, rows * side + gap), "white")
    for index, picture in enumerate(pictures):
        x, y = gap + index % columns * side, gap + index // columns * side
        grid.paste(picture, (x + (cell - picture.width) // 2, y + (cell - picture.height) // 2))
    return grid


def sheet_png(pictures: Sequence[Image.Image]) -> bytes:
    """The grid as PNG."""
    buffer = io.BytesIO()
    sheet(pictures).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
