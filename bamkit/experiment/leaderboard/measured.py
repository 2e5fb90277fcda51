"""What the cells of a leaderboard left, as figures over seeds and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bamkit.common.lineage import require_current, stale_evaluation
from bamkit.common.statistics import Estimate, clusters_of
from bamkit.common.statistics.crossed import Repeated, Side, mean_over, share_over
from bamkit.common.workspace import Workspace
from bamkit.experiment.leaderboard.cells import Cell
from bamkit.gan.evaluate import estimates
from bamkit.gan.evaluate.comparison.checkpoints import CHECKPOINTS, COLUMNS, OUTPUT, TARGET
from bamkit.gan.evaluate.estimates import REAL
from bamkit.gan.evaluate.measures import IDENTITY, TRANSFER, TRANSLATION
from bamkit.gan.evaluate.outputs.doubts import doubts_of
from bamkit.gan.evaluate.result import METRICS, folder_of, naming_unreadable, read_csv, read_metrics

BASELINES = (TRANSFER, IDENTITY)
"""What needs no training."""


@dataclass(frozen=True)
class Metric:
    """A figure of the leaderboard."""

    key: str
    title: str
    column: str
    """Of checkpoints.csv."""
    better: int
    """1 where more is better, -1 where less is."""
    side: str = OUTPUT
    share: bool = False
    threshold: float = 0.5
    """Of a share: what counts as a hit."""

    @property
    def short(self) -> str:
        """The title over a column."""
        return {"reached": "reached", "form": "by form"}.get(self.key, self.title)


FIGURES = (
    Metric("reached", "emotion reached", "reached", 1, share=True),
    Metric("form", "reached by form alone", "probability by form", 1, share=True),
    Metric("kid", "KID", "kid", -1),
    Metric("precision", "precision", "near", 1, share=True),
    Metric("recall", "recall", "near", 1, side=TARGET, share=True),
    Metric("ssim", "SSIM", "ssim", 1),
    Metric("lpips", "LPIPS", "lpips", -1),
)
BY_NAME = {metric.key: metric for metric in FIGURES}


@dataclass
class Board:
    """One pair of domains in one direction: every method's pictures, seed by seed."""

    domains: tuple[str, str]
    direction: str
    frames: dict[str, list[pd.DataFrame]]
    """By method and baseline, the rows of the chosen checkpoint of each seed (of a baseline: one), in one order."""
    candidates: dict[str, list[pd.DataFrame]]
    """By method, the rows of all checkpoints of each seed."""
    seeds: dict[str, list[int]]
    """By method, the seeds of its finished trainings."""
    doubts: dict[str, list[str]]
    """By method, what makes its shares mean little, each with the seeds it was found in."""

    @property
    def sources(self) -> list[int]:
        """The mids of the pictures that were translated."""
        rows = self.frames[IDENTITY][0]
        return [int(mid) for mid in rows.loc[rows["side"] == OUTPUT, "mid"]]

    @property
    def methods(self) -> list[str]:
        return list(self.candidates)

    @cached_property
    def measured(self) -> list[Metric]:
        """The figures that every method has."""
        return [m for m in FIGURES if all(self.values(m, method) is not None for method in self.methods)]

    def values(self, metric: Metric, name: str) -> Repeated | None:
        """A figure of a method, a baseline or the real pictures, seed by seed; None if it was not measured."""
        frames = self.frames.get(name, [])
        fixed = name not in self.candidates
        if not frames or any(_values(metric, frame, name).size == 0 for frame in frames):
            return None
        sides = [_side(frames, OUTPUT, metric, name), _side(frames, TARGET, metric, name)]
        if metric.key != "kid":
            side = sides[1 if _side_of(metric, name) == TARGET else 0]
            return Repeated(side.influence.mean(axis=1), (side,), fixed)
        total = sum(side.influence.mean(axis=1) for side in sides)
        return Repeated(total, tuple(Side(2 * side.influence, side.clusters) for side in sides), fixed)

    def estimate(self, metric: Metric, name: str) -> Estimate | None:
        """The figure over seeds and projects; of a baseline over projects."""
        values = self.values(metric, name)
        if values is None:
            return None
        if metric.share:
            return share_over(values.sides[0].influence > 0.5, values.sides[0].clusters, values.fixed)
        return mean_over(values)

    def by_checkpoint(self, metric: Metric, method: str) -> list[dict[int, float]]:
        """By seed, the figure of each of its checkpoints by its step."""
        return [
            {
                step: _figure(metric, frame[frame["step"] == step], method)
                for step in sorted(set(frame["step"].tolist()))
            }
            for frame in self.candidates[method]
        ]

    def on_test(self, metric: Metric, method: str) -> float:
        """The mean over seeds of the figure that its best checkpoint on the test pictures has."""
        best = [max(metric.better * value for value in by.values()) for by in self.by_checkpoint(metric, method)]
        return metric.better * float(np.mean(best))


def _figure(metric: Metric, rows: pd.DataFrame, method: str) -> float:
    if metric.key == "kid":
        return float(rows.groupby("side")["kid"].mean().sum())
    return float(_values(metric, rows, method).mean())


def _side_of(metric: Metric, name: str) -> str:
    """The judge's word on real pictures is on those of test, which stand on the other side."""
    return TARGET if name == REAL and metric.column != "near" and metric.key != "kid" else metric.side


def _values(metric: Metric, frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """(n,) of the metric's own side; empty where it was not measured."""
    values = frame.loc[frame["side"] == _side_of(metric, name), metric.column].to_numpy(float)
    if np.isnan(values).any():
        return np.empty(0)
    return (values >= metric.threshold).astype(float) if metric.share else values


def _side(frames: Sequence[pd.DataFrame], side: str, metric: Metric, name: str) -> Side:
    rows = [frame[frame["side"] == side] for frame in frames]
    values = np.stack([part[metric.column].to_numpy(float) for part in rows])
    influence = (values >= metric.threshold).astype(float) if metric.share else values
    return Side(influence, clusters_of(rows[0]["project"].tolist()))


def read(workspace: Workspace, cells: Sequence[Cell]) -> list[Board]:
    """The boards of all pairs and directions that a cell has finished. Raises BamkitError where one is stale."""
    by_pair: dict[tuple[str, str], dict[str, list[_Seed]]] = {}
    for cell in cells:
        require_current(workspace, stale_evaluation(workspace, cell.name))
        by_pair.setdefault(cell.domains, {}).setdefault(cell.method, []).append(_Seed.read(workspace, cell))
    return [
        _board(domains, direction, methods)
        for domains, methods in by_pair.items()
        for direction in next(iter(methods.values()))[0].about["n"]
    ]


@dataclass
class _Seed:
    """One cell's evaluation."""

    seed: int
    rows: pd.DataFrame
    """checkpoints.csv."""
    about: dict[str, Any]
    """metrics.json."""

    @classmethod
    def read(cls, workspace: Workspace, cell: Cell) -> _Seed:
        folder = folder_of(workspace, cell.name)
        with naming_unreadable(cell.name, " --checkpoints"):
            rows = read_csv(folder / CHECKPOINTS, COLUMNS)[list(COLUMNS)]
            return cls(cell.seed, rows, read_metrics(folder / METRICS))

    def of(self, direction: str) -> pd.DataFrame:
        """The rows of a direction, in an order that all cells share."""
        return self.rows[self.rows["direction"] == direction].sort_values(["side", "mid"], kind="stable")


def _board(domains: tuple[str, str], direction: str, methods: Mapping[str, Sequence[_Seed]]) -> Board:
    frames: dict[str, list[pd.DataFrame]] = {}
    candidates: dict[str, list[pd.DataFrame]] = {}
    for method, seeds in methods.items():
        own = [seed.of(direction) for seed in seeds]
        model = [rows[rows["method"] == TRANSLATION] for rows in own]
        frames[method], candidates[method] = [rows[rows["chosen"]] for rows in model], model
        for name in (*BASELINES, REAL):
            frames.setdefault(name, [own[0][own[0]["method"] == name]])
    seeds_of = {method: [seed.seed for seed in seeds] for method, seeds in methods.items()}
    doubts = {method: _doubts(seeds, direction) for method, seeds in methods.items()}
    return Board(domains, direction, frames, candidates, seeds_of, doubts)


def _doubts(seeds: Sequence[_Seed], direction: str) -> list[str]:
    """`62 to 71 % only re-lit (3 of 3 seeds)`."""
    found: dict[str, list[int]] = {}
    for seed in seeds:
        for doubt in doubts_of(estimates.table(seed.about["figures"]), direction):
            share, _, what = doubt.short.partition(" % ")
            found.setdefault(what, []).append(round(float(share)))
    return [
        f"{min(shares)}{f' to {max(shares)}' if max(shares) > min(shares) else ''} % {what} "
        f"({len(shares)} of {len(seeds)} seeds)"
        for what, shares in found.items()
    ]
