"""Sheets of pictures before and after translation."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps


def evenly(count: int, wanted: int) -> list[int]:
    """At most `wanted` indices spread evenly over 0 .. count - 1, first and last included."""
    if count <= wanted:
        return list(range(count))
    return sorted({round(i * (count - 1) / (wanted - 1)) for i in range(wanted)}) if wanted > 1 else [0]


def before_after(
    pairs: Sequence[tuple[Image.Image, Image.Image]],
    titles: tuple[str, str] = ("before", "after"),
    cell: int = 176,
    columns: int = 4,
) -> Image.Image:
    """A sheet of (source, translation) pairs, each picture fitted into `cell` pixels, `columns` pairs a row."""
    columns = min(columns, max(len(pairs), 1))
    rows = -(-len(pairs) // columns)
    gap, between, head = 4, 14, 26
    width = columns * (2 * cell + gap) + (columns + 1) * between
    sheet = Image.new("RGB", (width, head + rows * (cell + between)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, pair in enumerate(pairs):
        row, column = divmod(index, columns)
        left, top = between + column * (2 * cell + gap + between), head + row * (cell + between)
        for side, picture in enumerate(pair):
            shown = ImageOps.contain(_on_white(picture), (cell, cell), Image.Resampling.LANCZOS)
            x = left + side * (cell + gap)
            sheet.paste(shown, (x + (cell - shown.width) // 2, top + (cell - shown.height) // 2))
            if row == 0:
                draw.text((x + 2, 6), titles[side], fill="#444444", font=font)
    return sheet


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
