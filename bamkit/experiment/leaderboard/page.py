"""The leaderboard's page: a figure and a table a direction, the same pictures by every method, what is not shown."""

from __future__ import annotations

import html
from collections.abc import Sequence
from os.path import relpath
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from bamkit.common.contract import ATTRIBUTES
from bamkit.common.errors import BamkitError
from bamkit.common.pages.page import Page, Picture
from bamkit.common.statistics import BALANCED, cases_text
from bamkit.common.terminal.console import percent
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.balance import compare_labels
from bamkit.experiment.leaderboard.cells import CANDIDATES, Cell
from bamkit.experiment.leaderboard.measured import BASELINES, BY_NAME, Board, Metric
from bamkit.experiment.leaderboard.table import Leaderboard
from bamkit.experiment.settings import MATCHED, StudyConfig
from bamkit.gan.domains import FetchedDomain
from bamkit.gan.evaluate.charts import Panel, panels
from bamkit.gan.evaluate.estimates import METHOD_NAMES, REAL
from bamkit.gan.evaluate.inputs.translations import open_run
from bamkit.gan.evaluate.measures import BATCH, IDENTITY, TRANSFER, TRANSLATION, fitted, pictures_of
from bamkit.gan.evaluate.metrics.colour import ColourStatistics
from bamkit.gan.evaluate.page import draw
from bamkit.sample.database import sample_of

COLUMNS = ("project_id", *ATTRIBUTES)
CHART = ("reached", "kid", "ssim")
SHOWN = 5
"""Source pictures whose translations by every method are shown."""
SIDE = 200
"""Of a picture in the sheet, in pixels."""


def write_page(
    workspace: Workspace, config: StudyConfig, board: Leaderboard, cells: Sequence[Cell], path: Path
) -> None:
    """Draw the page from what the cells left."""
    a, b = config.domains
    methods = ", ".join(config.compared)
    page = Page(
        f"{a} and {b}: which method changes the mood",
        f"{methods}; {len(config.trainings)} seeds each; {_size(config)}. The checkpoint of each training was chosen "
        "on the validation split, and the test split was looked at once.",
    )
    page.note(*cautions(workspace, config, board))
    for each in board.boards:
        _board(page, board, each, workspace, cells)
    page.section("Cost", "Measured in a process of its own a method, on random pictures, on this machine.")
    page.table(board.cost(), caption="Pictures in a step: of both domains together. Memory: the most the process held.")
    if config.matched != "no":
        _matching(page, workspace, config)
    _reading(page)
    page.section("Where everything lies")
    page.html(_links(workspace, cells, path.parent))
    page.write(path)


def cautions(workspace: Workspace, config: StudyConfig, board: Leaderboard) -> list[str]:
    """What cannot be concluded from this leaderboard, and what failed."""
    texts = [f"{cell} failed: {reason}" for cell, reason in board.failed.items()]
    if is_sample(workspace):
        texts.append(
            "The pictures are painted by bamkit from the attributes in a stand-in database, and the judge has learned "
            "from pictures of the same painter: a method that wins here need not win on artwork, and no figure here "
            "says anything about BAM."
        )
    if (config.scale, config.preset, config.size, config.steps) != (1, "study", 286, 0):
        texts.append(
            f"A rehearsal: {_size(config)}. What is compared is how the methods do at this size and length, which need "
            "not be their order at the published one."
        )
    texts.append(
        f"One pair of moods, one set of test pictures, one setting a method: other settings were not tried. With "
        f"{len(config.trainings)} seeds an interval is wide where seeds differ, and a difference that is not shown may "
        "be there."
    )
    return texts


def is_sample(workspace: Workspace) -> bool:
    """Whether the workspace's database is the stand-in."""
    try:
        sample_of(workspace.database())
    except BamkitError:
        return False
    return True


def _size(config: StudyConfig) -> str:
    counts = config.counts
    length = f"{config.steps:,} steps" if config.steps else "the preset's steps"
    return (
        f"{counts['top']:,} training, {counts['test']:,} test pictures of each domain at {config.pixels}; "
        f"preset {config.preset}, {length}"
    )


def _board(page: Page, leaderboard: Leaderboard, board: Board, workspace: Workspace, cells: Sequence[Cell]) -> None:
    matched = ", matched domains" if board.domains[1].endswith(MATCHED) else ""
    title = board.direction.replace(MATCHED, "").replace("-", " ") + matched
    first = board.estimate(board.measured[0], board.methods[0])
    page.section(title, f"n = {cases_text(first.n, first.clusters)}." if first else "")
    page.figures(
        panels(_charts(board)),
        "Dots: means over seeds, bars: 95 % intervals over seeds and projects, strokes: single seeds. Rings: what the "
        "checkpoints chosen on test would have given. In brackets: what needs no training, and real pictures.",
    )
    page.table(
        leaderboard.table(board),
        caption="On test: what choosing the checkpoint there would have given, the mean over seeds of the best of each "
        f"training's {CANDIDATES} checkpoints by that figure; in brackets by how much that flatters. KID and LPIPS: "
        "lower is better.",
    )
    for method, texts in board.doubts.items():
        if texts:
            page.note(f"{method}: {'; '.join(texts)}.")
    verdicts = leaderboard.verdicts(board)
    if not verdicts.empty:
        page.heading("Which is ahead")
        main = verdicts["figure"].isin([BY_NAME[key].title for key in CHART])
        page.table(
            verdicts[main],
            caption="On the same pictures: mean difference with its 95 % interval. A row is called ahead only where "
            "the intervals of all comparisons of its figure, widened so that they hold together (Bonferroni), leave "
            "out 0.",
        )
        if not main.all():
            page.details("The other figures", verdicts[~main])
    page.heading("The same test pictures")
    sheet = _pictures(board, workspace, cells)
    page.pictures(
        [picture for _, row in sheet for picture in row],
        f"{len(sheet)} test pictures, drawn by seed 0: nobody chose them. Each method's first seed.",
        width=130,
        together=len(sheet[0][1]) if sheet else 1,
    )


def _charts(board: Board) -> list[Panel]:
    charts = []
    for metric in board.measured:
        if metric.key not in CHART:
            continue
        rows = {name: board.estimate(metric, name) for name in board.methods}
        floors = {f"({METHOD_NAMES[name]})": board.estimate(metric, name) for name in (*BASELINES, REAL)}
        if metric.key == "kid":
            floors.pop(f"({METHOD_NAMES[IDENTITY]})")  # so far away that the rest would be a point
        shown = {name: each for name, each in {**rows, **floors}.items() if each is not None}
        singles = {name: _singles(board, metric, name) for name in board.methods}
        rings = {name: board.on_test(metric, name) for name in board.methods} if metric.key != "ssim" else {}
        limits = (0.0, 1.0) if metric.share or metric.key == "ssim" else None
        charts.append(Panel(metric.title, shown, set(board.methods), limits, singles, rings))
    return charts


def _singles(board: Board, metric: Metric, name: str) -> list[float]:
    values = board.values(metric, name)
    return [] if values is None else [float(value) for value in values.values]


def _pictures(board: Board, workspace: Workspace, cells: Sequence[Cell]) -> list[tuple[int, list[Picture]]]:
    """By mid, the source, the colour transfer and every method's translation."""
    shown: dict[int, list[Picture]] = {}
    for method in board.methods:
        cell = next(
            c for c in cells if (c.method, c.domains) == (method, board.domains) and c.seed == board.seeds[method][0]
        )
        run = open_run(workspace, cell.name)
        direction = next(each for each in run.directions if each.name == board.direction)
        mids = direction.mids().tolist()
        shown = shown or {mids[index]: [] for index in draw(len(mids), SHOWN)}
        colours = None
        if not next(iter(shown.values())):
            colours = ColourStatistics.empty()
            for _, batch in direction.target.shards("train").batches(BATCH):
                for picture in batch:
                    colours.update(fitted(picture, run.size))
        for mid, row in shown.items():
            pictures = pictures_of(direction, mids.index(mid), colours)
            if not row:
                row += [_picture(pictures[name], mid, METHOD_NAMES[name]) for name in (IDENTITY, TRANSFER)]
            row.append(_picture(pictures[TRANSLATION], mid, f"{method}, seed {cell.seed}"))
    return list(shown.items())


def _picture(pixels: np.ndarray, mid: int, caption: str) -> Picture:
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return Picture(image, f"mid {mid}: {caption}", caption)


def _matching(page: Page, workspace: Workspace, config: StudyConfig) -> None:
    """What matching the domains changed about them."""
    page.section("What matching changed", "Of the training pictures; all labels but those of the emotions.")
    rows = []
    for a, b in dict.fromkeys([config.domains, *config.pairs]):
        if not workspace.shards(b, "train"):
            continue
        first, second = (FetchedDomain(name, workspace).shards("train", COLUMNS).table() for name in (a, b))
        labels = compare_labels(first, second)
        other = labels[~labels["attribute"].str.startswith("emotion_")]["smd"].abs()
        positive = second[f"emotion_{config.domains[1]}"].to_pylist()
        rows.append(
            {
                "domains": f"{a} and {b}",
                "unbalanced labels": f"{int((other > BALANCED).sum())} of {int(other.notna().sum())}",
                "largest difference": f"{other.max():.2f}",
                f"labelled {config.domains[1]}": percent(
                    float(np.mean([label == "positive" for label in positive])), 0
                ),
            }
        )
    page.table(pd.DataFrame(rows), caption=f"Difference: of shares, in deviations; unbalanced: above {BALANCED:g}.")


def _reading(page: Page) -> None:
    page.section("How to read it")
    page.text(
        "An interval covers what other seeds and other projects of pictures would give: its variance has a part from "
        "the seeds and one from the projects, and Student's quantile for as many degrees of freedom as both leave. "
        "That of a baseline, which has no seeds, covers other projects. The training pictures are taken as given."
    )
    page.text(
        "KID is taken over all pictures at once, not over subsets as in the evaluations of the single runs; it differs "
        "from theirs within their deviation."
    )
    page.text(
        f"Validation chose among {CANDIDATES} checkpoints of each training, and so do the columns 'on test', "
        "by each figure for itself: that is how a figure is made that no new pictures will repeat."
    )


def _links(workspace: Workspace, cells: Sequence[Cell], folder: Path) -> str:
    places = {"leaderboard.csv": "every figure", "leaderboard.json": "every figure, every checkpoint, every difference"}
    for cell in cells:
        page = workspace.reports / f"evaluate-{cell.name}" / "index.html"
        places[relpath(page, folder).replace("\\", "/")] = f"the evaluation of {cell.title}"
    items = (f'<li><a href="{html.escape(path)}">{html.escape(path)}</a>: {text}</li>' for path, text in places.items())
    return f"<ul>{''.join(items)}</ul>"
