"""The demo's page: the changed pictures first, then how they came about."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bamkit.common.contract import ATTRIBUTES, short
from bamkit.common.pages import Page, Picture
from bamkit.common.shards import stream_rows
from bamkit.common.statistics import bootstrap_mean
from bamkit.common.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

Pair = tuple[dict[str, Any], "Image.Image", "Image.Image"]


def write(workspace: Workspace, domains: tuple[str, str], run: str) -> Path:
    """Write `index.html` in the workspace from its splits, reports, run and translations, and return its path."""
    from bamkit.gan.train.monitor.run_page import add_curves

    a, b = domains
    page = Page(
        f"From {a} to {b}, and back",
        "Test pictures that the network never saw in training, before and after. Every picture is painted by bamkit "
        "from the attributes in a stand-in database; the way it was selected, fetched, learned and translated is the "
        "real one.",
    )
    pairs = {f"{x}-to-{y}": before_after(workspace, x, f"{x}-to-{y}", run) for x, y in ((a, b), (b, a))}
    for direction, found in pairs.items():
        page.section(direction.replace("-", " "), _measured(direction, found))
        shown = alternate(found[:15])
        page.pictures(shown, caption="Each picture and, to its right, its translation.", width=120, together=2)
    page.section("The two domains", "The surest pictures of each, in the order of their rank.")
    for name in domains:
        page.pictures(contact_sheet(workspace, name), caption=f"{name}: ranks 1 to 24", width=84)
    _distributions(page, workspace, domains)
    add_curves(page, workspace.run(run))
    page.section("All test pictures")
    for direction, found in pairs.items():
        caption = f"{direction.replace('-', ' ')}: the whole test split"
        page.pictures(alternate(found), caption=caption, width=84, together=2)
    page.section("Where everything lies")
    page.html(_links(workspace, run))
    path = workspace.root / "index.html"
    page.write(path)
    return path


def pictures(paths: list[Path]) -> Iterator[tuple[dict[str, Any], Image.Image]]:
    """Rows of split or translation shards with their decoded RGB pictures, a batch in memory at a time."""
    for row in stream_rows(paths):
        yield row, Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")


def before_after(workspace: Workspace, name: str, direction: str, run: str) -> list[Pair]:
    """(row, picture, translation) of every translated test picture of the split `name`, in rank order."""
    originals = {row["mid"]: (row, picture) for row, picture in pictures(workspace.shards(name, "test"))}
    found = []
    for row, after in pictures([workspace.translations / run / "translations.parquet"]):
        if row["direction"] == direction and row["mid"] in originals:
            found.append((*originals[row["mid"]], after))
    return sorted(found, key=lambda pair: pair[0]["rank"])


def alternate(pairs: list[Pair]) -> list[Picture]:
    """Before, after, before, after ..."""
    return [
        Picture(image, f"{label}: {_words(row)}")
        for row, before, after in pairs
        for image, label in ((before, "before"), (after, "after"))
    ]


def _words(row: dict[str, Any]) -> str:
    """What the database says is in the picture: `happy, flower, watercolor`."""
    return ", ".join(short(name) for name in ATTRIBUTES if row.get(name) == "positive") or "no positive attribute"


def brightness(image: Image.Image) -> float:
    """Mean luma of an RGB picture, 0 (black) to 100 (white): ITU-R BT.601 weights, as Pillow's mode L."""
    return float(np.asarray(image.convert("L")).mean() / 2.55)


def _measured(direction: str, pairs: list[Pair]) -> str:
    if not pairs:
        return "No test picture of this direction was translated."
    change = np.array([brightness(after) - brightness(before) for _, before, after in pairs])
    mean = bootstrap_mean(change)
    way = "brighter" if mean.value > 0 else "darker"
    same = int((np.sign(change) == np.sign(mean.value)).sum())
    return (
        f"{same} of {len(pairs)} pictures became {way}: brightness changed by {mean.value:+.0f} points of 100 on "
        f"average (95 % interval {mean.low:+.0f} to {mean.high:+.0f})."
    )


def contact_sheet(workspace: Workspace, name: str, count: int = 24) -> list[Picture]:
    """The first `count` training pictures of a split, in rank order."""
    first = islice(pictures(workspace.shards(name, "train")), count)
    return [Picture(picture, f"{name}, rank {row['rank']}: {_words(row)}") for row, picture in first]


def _distributions(page: Page, workspace: Workspace, domains: tuple[str, str]) -> None:
    """The figures that `bamkit report` drew; the whole report is linked below."""
    figures = workspace.reports / "figures"
    wanted = [
        ("scores.svg", "Score distributions of the four emotions in the database"),
        ("labels.svg", f"Attribute:label distributions of {' and '.join(domains)}, rare ones folded into others"),
    ]
    there = [(figures / file, text) for file, text in wanted if (figures / file).exists()]
    if there:
        page.section("What is in them", "The attributes of a domain tell what a generator will learn to paint.")
    for path, text in there:
        page.figure(path.read_bytes(), text, text)


def _links(workspace: Workspace, run: str) -> str:
    places = [
        ("reports/index.html", "the report: distributions, balance, link rot, contact sheets"),
        (f"runs/{run}/index.html", "the run: losses, and the samples along the training"),
        (f"translations/{run}", "the translated pictures and translations.parquet"),
        ("selections", "the selection manifests (parquet)"),
        ("splits", "the pictures (parquet)"),
        ("missing", "the pictures that could not be had, and why (parquet)"),
    ]
    there = [(path, text) for path, text in places if (workspace.root / path).exists()]
    items = "".join(f'<li><a href="{path}">{path}</a>: {text}</li>' for path, text in there)
    return f"<ul>{items}</ul>"


def collage(pairs: list[Pair], columns: int, edge: int) -> bytes:
    """Before above after, `columns` pairs wide, as WebP: the small picture that stands in the README."""
    from PIL import Image

    gap = 4
    sheet = Image.new("RGB", (columns * (edge + gap) - gap, 2 * edge + gap), "white")
    for column, (_, before, after) in enumerate(pairs[:columns]):
        for line, image in enumerate((before, after)):
            sheet.paste(
                image.resize((edge, edge), Image.Resampling.LANCZOS), (column * (edge + gap), line * (edge + gap))
            )
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=88)
    return buffer.getvalue()
