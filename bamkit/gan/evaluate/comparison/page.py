"""`bamkit compare`: evaluated runs side by side, as a table, a chart and pictures."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.common.pages.page import Page, Picture
from bamkit.common.workspace import Workspace, write_text
from bamkit.gan.evaluate.charts import Panel, panels
from bamkit.gan.evaluate.comparison.runs import Comparison, compare
from bamkit.gan.evaluate.estimates import METHOD_NAMES, METRIC_NAMES, REAL
from bamkit.gan.evaluate.inputs.translations import open_run
from bamkit.gan.evaluate.measures import IDENTITY, TRANSFER, TRANSLATION, pictures_of
from bamkit.gan.evaluate.page import draw
from bamkit.gan.evaluate.result import PAGE, write_csv

FOLDER, FILE, TABLE = "compare", "compare.json", "compare.csv"
CHART = ("reached", "edges", "kid")
"""The metrics of the chart."""
SHOWN = 4
"""Source pictures whose translations by every run are shown."""
TOGETHER = 5
"""So many pictures of one source stay side by side on every screen; more are set in lines."""
THUMB = 150
"""Side of a picture on the page, in CSS pixels."""


def compare_and_write(workspace: Workspace, names: Sequence[str] = ()) -> tuple[Comparison, Path]:
    """`compare`, then write compare.json, compare.csv and, with jinja2 and matplotlib, index.html to reports/compare.

    Returns the comparison and the file to look at first.
    """
    comparison = compare(workspace, names)
    folder = workspace.reports / FOLDER
    write_text(folder / FILE, json.dumps(comparison.about(), indent=1, ensure_ascii=False) + "\n")
    write_csv(folder / TABLE, comparison.rows)
    if not all(importlib.util.find_spec(package) for package in ("jinja2", "matplotlib")):
        return comparison, folder / FILE
    write_page(comparison, workspace, folder / PAGE)
    return comparison, folder / PAGE


def write_page(comparison: Comparison, workspace: Workspace, path: Path) -> None:
    """Draw the page. Raises BamkitError where jinja2 or matplotlib is not installed."""
    page = Page("Runs side by side", f"{', '.join(run.name for run in comparison.runs)}. Intervals are 95 %.")
    page.note(*comparison.warnings)
    _settings(page, comparison)
    for direction in comparison.directions:
        page.section(direction)
        page.figures(
            panels(_chart(comparison, direction)), "Dots are estimates, bars their intervals. Runs are orange."
        )
        page.table(
            comparison.side_by_side(direction),
            caption="In brackets: the floors. LPIPS, KID and FID: lower is better.",
        )
        spread = comparison.spread(direction)
        if not spread.empty:
            page.heading("Over seeds")
            caption = "Mean ± standard deviation over runs that differ in nothing but their seed."
            page.table(spread.set_index("runs").T.reset_index(names=""), caption=caption)
        paired = comparison.paired(direction)
        if not paired.empty:
            page.heading("Picture by picture")
            caption = "Mean difference on the same pictures, with its 95 % interval, bootstrapped over projects."
            page.table(paired, caption=caption)
        page.heading("The same pictures")
        _pictures(page, comparison, workspace, direction)
    page.write(path)


def _settings(page: Page, comparison: Comparison) -> None:
    """Which settings differ."""
    page.section("What differs")
    settings = comparison.settings()
    if silent := [run.name for run in comparison.runs if run.config is None]:
        page.text(f"Of {', '.join(silent)} no training settings are known.")
    if not settings.empty:
        page.table(settings, caption="The settings in which the runs differ; all others are the same.")
    elif not silent:
        page.text("The runs were trained with the same settings.")


def _chart(comparison: Comparison, direction: str) -> list[Panel]:
    """The main metrics, a panel each: the runs, then the floors as the first of them measured them."""
    here = [run for run in comparison.runs if direction in run.about["n"]]
    charts = []
    for metric in CHART:
        rows = {run.name: run.find(metric, direction) for run in here}
        for method in (TRANSFER, REAL) if metric == "kid" else (TRANSFER, IDENTITY, REAL):
            rows[f"({METHOD_NAMES[method]})"] = here[0].find(metric, direction, method)
        measured = {name: estimate for name, estimate in rows.items() if estimate is not None}
        if measured:
            limits = None if metric == "kid" else (0.0, 1.0)
            charts.append(Panel(METRIC_NAMES[metric], measured, {run.name for run in here}, limits))
    return charts


def _pictures(page: Page, comparison: Comparison, workspace: Workspace, direction: str) -> None:
    """Some sources, drawn by seed 0, each with its translation by every run."""
    shown: dict[int, list[Picture]] = {}
    try:
        for run in comparison.runs:
            translated = {each.name: each for each in open_run(workspace, run.name, run.about["split"]).directions}
            if direction not in translated:
                continue
            mids = translated[direction].mids().tolist()
            if not shown:
                shown = {mids[index]: [] for index in draw(len(mids), SHOWN)}
            for mid in shown.keys() & set(mids):
                pictures = pictures_of(translated[direction], mids.index(mid))
                if not shown[mid]:
                    shown[mid].append(_picture(pictures[IDENTITY], mid, f"before, mid {mid}"))
                shown[mid].append(_picture(pictures[TRANSLATION], mid, run.name))
    except BamkitError as error:
        page.text(f"The pictures are left out: {error}")
        return
    sets = [(f"mid {mid}", pictures) for mid, pictures in shown.items() if pictures]
    together = {len(pictures) for _, pictures in sets}
    if len(together) == 1 and max(together) <= TOGETHER:
        # Few enough to stay side by side on a phone.
        page.pictures([picture for _, pictures in sets for picture in pictures], "", THUMB, together=together.pop())
    else:
        page.groups(sets, width=THUMB)


def _picture(pixels: np.ndarray, mid: int, caption: str) -> Picture:
    image = Image.fromarray(pixels)
    image.thumbnail((2 * THUMB, 2 * THUMB), Image.Resampling.LANCZOS)
    return Picture(image, f"mid {mid}: {caption}", caption)
