"""The study's page: its figures in the order of the publication."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from bamkit.common.pages import Page
from bamkit.common.workspace import Workspace
from bamkit.experiment.demo_page import Pair, alternate, before_after, contact_sheet
from bamkit.experiment.study import StudyConfig

SHOWN = 8
"""Successes and failures shown of each direction."""
FIGURES = (
    ("scores.svg", "Score distributions", "Distributions of the emotions' scores in the database."),
    (
        "labels.svg",
        "What the domains are made of",
        "Attribute:label pairs of both training sets; rare ones folded.",
    ),
)


def write(workspace: Workspace, config: StudyConfig) -> Path:
    """Write reports/study-A-B/index.html from what the steps left, and return its path."""
    from bamkit.gan.train.monitor.run_page import add_curves

    a, b = config.domains
    page = Page(
        f"{a} and {b}: the published experiment",
        f"The {config.counts['top']:,} images that are surest to be {a} and as many {b} ones, learned by CycleGAN; "
        f"the next {config.counts['test']:,} ranks of each, translated and measured.",
    )
    if (config.scale, config.preset, config.size, config.steps) != (1, "study", 286, 0):
        numbers = f"{config.scale:g} of the published numbers, preset {config.preset}, {config.size} px"
        length = f", {config.steps:,} steps" if config.steps else ""
        page.note(
            f"A rehearsal: {numbers}{length}. Its figures show that everything works, not what the published settings "
            "reach."
        )
    for file, title, text in FIGURES:
        _figure(page, workspace.reports / "figures" / file, title, text)
    page.section("Examples by rank", "The top of each ranking, from rank 1 on.")
    for name in config.domains:
        page.pictures(contact_sheet(workspace, name), caption=name, width=96)
    add_curves(page, workspace.run(config.run))
    folder = workspace.reports / f"evaluate-{config.run}"
    _figures_of_merit(page, folder)
    for x, y in ((a, b), (b, a)):
        _cases(page, before_after(workspace, x, f"{x}-to-{y}", config.run), folder, f"{x}-to-{y}")
    page.section("Where everything lies")
    page.html(_links(workspace, config))
    path = workspace.reports / f"study-{config.run}" / "index.html"
    page.write(path)
    return path


def _figure(page: Page, path: Path, title: str, text: str) -> None:
    page.section(title, text)
    if path.exists():
        page.figure(path.read_bytes(), title, wide=True)
    else:
        page.text("This figure was not drawn: bamkit report makes it.")


def _figures_of_merit(page: Page, folder: Path) -> None:
    """The main figures of the evaluation, one row a metric, as in a paper's table."""
    from bamkit.gan.evaluate import estimates

    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    page.section("Figures", "Each beside its floors: no translation, a plain colour transfer, and real pictures.")
    if found["warnings"]:
        page.note(*found["warnings"])
    if found["missing"]:
        page.text(" ".join(found["missing"]))
    figures = estimates.table(found["figures"])
    for direction in found["n"]:
        rows = estimates.records(estimates.summary(figures, direction))
        page.table(rows, caption=f"{direction}, n = {found['n'][direction]}")


def _cases(page: Page, pairs: list[Pair], folder: Path, direction: str) -> None:
    """The pictures whose mood changed most and least, by the judge; without one, the first ranks."""
    change = _changes(folder / "pictures.csv", direction)
    page.section(direction.replace("-", " "))
    known = [pair for pair in pairs if pair[0]["mid"] in change]
    known.sort(key=lambda pair: change[pair[0]["mid"]], reverse=True)
    sets = {
        "Successes: the judge's probability of the target rose most.": known[:SHOWN],
        "Failures: it rose least, or fell.": known[::-1][:SHOWN],
    }
    for caption, chosen in (sets if known else {"The first test ranks, before and after.": pairs[: 2 * SHOWN]}).items():
        page.pictures(alternate(chosen), caption=caption, width=110, together=2)


def _changes(path: Path, direction: str) -> dict[int, float]:
    """By mid, how much the target's probability rose from before to after; empty where there was no judge."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["direction"] == direction and row.get("mid")]
    before, after = "identity probability", "translation probability"
    judged = [row for row in rows if row.get(before) and row.get(after)]
    return {int(row["mid"]): float(row[after]) - float(row[before]) for row in judged}


def _links(workspace: Workspace, config: StudyConfig) -> str:
    places = [
        ("../index.html", "the report on database, selections and splits"),
        (f"../evaluate-{config.run}/index.html", "the evaluation in full; metrics.json and CSV tables beside it"),
        (f"../../runs/{config.run}/index.html", "the training run"),
        (f"../../translations/{config.run}", "all translations"),
    ]
    return "<ul>" + "".join(f'<li><a href="{path}">{path}</a>: {text}</li>' for path, text in places) + "</ul>"
