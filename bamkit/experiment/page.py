"""The page of a demo or a study: the translated pictures, the figures, then how they came about."""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import islice
from os.path import relpath
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from bamkit.common.contract import ATTRIBUTES, short
from bamkit.common.pages.page import Page, Picture
from bamkit.common.pictures.reader import open_picture
from bamkit.common.shards import stream_rows
from bamkit.common.statistics import bootstrap_mean
from bamkit.common.workspace import Workspace
from bamkit.experiment.settings import DemoConfig, Experiment, StudyConfig
from bamkit.gan.evaluate import estimates
from bamkit.gan.evaluate.result import METRICS, PICTURES, folder_of, naming_unreadable, read_metrics, read_pictures
from bamkit.gan.train.monitor.run_page import add_curves

Pair: TypeAlias = tuple[dict[str, Any], Image.Image, Image.Image]
"""The row of a test picture, the picture, its translation."""
SHOWN = 8
"""Successes and failures shown of each direction; twice as many where no judge tells them apart."""
FIGURES = (
    ("scores.svg", "Score distributions", "Distributions of the emotions' scores in the database."),
    ("labels.svg", "What the domains are made of", "Attribute:label pairs of both training sets; rare ones folded."),
)


def write_page(workspace: Workspace, config: Experiment, path: Path) -> None:
    """Write the page from what the steps left: splits, reports, run, translations and evaluation."""
    a, b = config.domains
    page = Page(*_title(config))
    if isinstance(config, StudyConfig):
        page.note(*_rehearsal(config))
    evaluation = folder_of(workspace, config.run)
    with naming_unreadable(config.run):
        measured = read_metrics(evaluation / METRICS)
        gains = probability_gains(evaluation / PICTURES)
    for source, direction in ((a, f"{a}-to-{b}"), (b, f"{b}-to-{a}")):
        pairs = before_after(workspace, source, direction, config.run)
        _cases(page, pairs, gains.get(direction, {}), direction)
        if isinstance(config, DemoConfig):
            page.pictures(alternate(pairs), caption="The whole test split", width=84, together=2)
    _figures_of_merit(page, measured)
    for file, title, text in FIGURES:
        _figure(page, workspace.reports / "figures" / file, title, text)
    page.section("Examples by rank", "The top of each ranking, from rank 1 on.")
    for name in config.domains:
        page.pictures(contact_sheet(workspace, name), caption=name, width=84)
    add_curves(page, workspace.run(config.run))
    page.section("Where everything lies")
    page.html(_links(workspace, config, path.parent))
    page.write(path)


def _title(config: Experiment) -> tuple[str, str]:
    a, b = config.domains
    if isinstance(config, DemoConfig):
        return (
            f"From {a} to {b}, and back",
            "Test pictures that the network never saw in training, before and after. Every picture is painted by "
            "bamkit from the attributes in a stand-in database; the way it was selected, fetched, learned and "
            "translated is the real one.",
        )
    return (
        f"{a} and {b}: the published experiment",
        f"The {config.counts['top']:,} images that are surest to be {a} and as many {b} ones, learned by CycleGAN; "
        f"the next {config.counts['test']:,} ranks of each, translated and measured.",
    )


def _rehearsal(config: StudyConfig) -> list[str]:
    """What says that the figures are not those of the published settings; empty where they are."""
    if (config.scale, config.preset, config.size, config.steps) == (1, "study", 286, 0):
        return []
    numbers = f"{config.scale:g} of the published numbers, preset {config.preset}, {config.pixels}"
    length = f", {config.steps:,} steps" if config.steps else ""
    told = "Its figures show that everything works, not what the published settings reach."
    return [f"A rehearsal: {numbers}{length}. {told}"]


def rows_and_pictures(paths: list[Path]) -> Iterator[tuple[dict[str, Any], Image.Image]]:
    """Rows of split or translation shards with their pictures, a batch in memory at a time."""
    for row in stream_rows(paths):
        yield row, Image.fromarray(open_picture(row["image"]["bytes"]).rgb)


def before_after(workspace: Workspace, name: str, direction: str, run: str) -> list[Pair]:
    """Every translated test picture of the split `name`, in rank order."""
    originals = {row["mid"]: (row, picture) for row, picture in rows_and_pictures(workspace.shards(name, "test"))}
    pairs = [
        (*originals[row["mid"]], after)
        for row, after in rows_and_pictures([workspace.translations / run / "translations.parquet"])
        if row["direction"] == direction and row["mid"] in originals
    ]
    return sorted(pairs, key=lambda pair: pair[0]["rank"])


def alternate(pairs: list[Pair]) -> list[Picture]:
    """Before, after, before, after ..."""
    return [
        Picture(image, f"{label}: {_labels(row)}")
        for row, before, after in pairs
        for image, label in ((before, "before"), (after, "after"))
    ]


def _labels(row: dict[str, Any]) -> str:
    """What the database says is in the picture: `happy, flower, watercolor`."""
    return ", ".join(short(name) for name in ATTRIBUTES if row.get(name) == "positive") or "no positive attribute"


def contact_sheet(workspace: Workspace, name: str, count: int = 24) -> list[Picture]:
    """The first `count` training pictures of a split, in rank order."""
    first = islice(rows_and_pictures(workspace.shards(name, "train")), count)
    return [Picture(picture, f"{name}, rank {row['rank']}: {_labels(row)}") for row, picture in first]


def _cases(page: Page, pairs: list[Pair], gain: dict[int, float], direction: str) -> None:
    """The pictures whose mood changed most and least, by the judge (`gain` by mid); without one, the first ranks."""
    judged = sorted(
        (pair for pair in pairs if pair[0]["mid"] in gain), key=lambda pair: gain[pair[0]["mid"]], reverse=True
    )
    if judged:
        page.section(direction.replace("-", " "))
        cases = {
            "Successes: the judge's probability of the target rose most.": judged[:SHOWN],
            "Failures: it rose least, or fell.": judged[::-1][:SHOWN],
        }
    else:
        page.section(direction.replace("-", " "), _brightness_change(pairs))
        cases = {"The first test ranks: each picture and, to its right, its translation.": pairs[: 2 * SHOWN]}
    for caption, chosen in cases.items():
        page.pictures(alternate(chosen), caption=caption, width=110, together=2)


def probability_gains(path: Path) -> dict[str, dict[int, float]]:
    """By direction and mid, how much the target's probability rose by the translation, from a pictures.csv.

    Empty where there was no judge.
    """
    before, after = "identity probability", "translation probability"
    table = read_pictures(path, (before, after)).dropna(subset=["mid", before, after])
    table = table.assign(gain=table[after] - table[before])
    return {
        str(direction): dict(zip(rows["mid"].tolist(), rows["gain"].tolist(), strict=True))
        for direction, rows in table.groupby("direction")
    }


def brightness(image: Image.Image) -> float:
    """Mean luma of an RGB picture, 0 (black) to 100 (white): ITU-R BT.601 weights, as Pillow's mode L."""
    return float(np.asarray(image.convert("L")).mean() / 2.55)


def _brightness_change(pairs: list[Pair]) -> str:
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


def _figures_of_merit(page: Page, measured: dict[str, Any]) -> None:
    """The main figures of the evaluation (its metrics.json), one row a metric, as in a paper's table."""
    page.section("Figures", "Each beside its floors: no translation, a plain colour transfer, and real pictures.")
    page.note(*measured["warnings"])
    if measured.get("missing"):
        page.text(" ".join(measured["missing"]))
    figures = estimates.table(measured["figures"])
    for direction, count in measured["n"].items():
        page.table(estimates.summary(figures, direction), caption=f"{direction}, n = {count}")


def _figure(page: Page, path: Path, title: str, text: str) -> None:
    page.section(title, text)
    if path.exists():
        page.figure(path.read_bytes(), title, wide=True)
    else:
        page.text("This figure was not drawn: bamkit report makes it.")


def _links(workspace: Workspace, config: Experiment, folder: Path) -> str:
    """A list of what there is, addressed from `folder`."""
    places = {
        folder_of(workspace, config.run) / "index.html": "the evaluation in full, its tables beside it",
        workspace.reports / "index.html": "the report: distributions, balance, link rot, contact sheets",
        workspace.run(config.run) / "index.html": "the training run: losses, and the samples along the training",
        workspace.translations / config.run: "the translated pictures and translations.parquet",
        workspace.selections: "the selection manifests (parquet)",
        workspace.splits: "the pictures (parquet)",
        workspace.root / "missing": "the pictures that could not be had, and why (parquet)",
    }
    there = {relpath(path, folder).replace("\\", "/"): text for path, text in places.items() if path.exists()}
    items = (f'<li><a href="{html.escape(path)}">{html.escape(path)}</a>: {text}</li>' for path, text in there.items())
    return f"<ul>{''.join(items)}</ul>"
