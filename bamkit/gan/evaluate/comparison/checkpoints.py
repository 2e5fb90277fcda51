"""The kept checkpoints of a run on one split, picture by picture: what choosing one by those pictures would give.

A checkpoint is to be chosen on the validation split. Published figures often come from the one that was best on test,
which flatters; `bamkit study` shows both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bamkit.common.shards import ShardReader
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import Workspace
from bamkit.gan.evaluate.estimates import REAL
from bamkit.gan.evaluate.features import EvenRows, unit_scale
from bamkit.gan.evaluate.inputs.folder_domain import FolderReader
from bamkit.gan.evaluate.inputs.translations import Direction, open_run
from bamkit.gan.evaluate.measures import (
    BATCH,
    FORM,
    IDENTITY,
    JUDGE,
    METHODS,
    TRANSLATION,
    ImageSet,
    Networks,
    pictures_of,
    similarity,
)
from bamkit.gan.evaluate.metrics.distribution import mmd_shares
from bamkit.gan.evaluate.metrics.manifold import manifold, reach
from bamkit.gan.evaluate.metrics.vectors import Vectors
from bamkit.gan.evaluate.result import DirectionResult, Evaluation, published
from bamkit.gan.evaluate.verdicts import Verdict, verdict_of
from bamkit.gan.train import checkpoint
from bamkit.gan.train.methods.terms import method_of
from bamkit.gan.train.monitor.run_page import read_tables
from bamkit.gan.translate.run import translate_run
from bamkit.gan.translate.settings import TranslateConfig

CHECKPOINTS = "checkpoints.csv"
OUTPUT, TARGET = "output", "target"
"""The side of a row: a picture that a method gives, or a real one of the target that outputs are compared with."""
COLUMNS: dict[str, Any] = {
    "direction": str, "method": str, "step": int, "chosen": bool, "side": str, "mid": "Int64", "project": float,
    "reached": float, "probability": float, "probability by form": float, "ssim": float, "edges": float,
    "lpips": float, "kid": float, "near": float,
}  # fmt: skip
"""One row a picture, and how a column is read. `step`: of the checkpoint, 0 for a baseline; `chosen`: whether the run's
translations are made with it. `kid`: the picture's share of the distance (`mmd_shares`); `near`: whether an output lies
near a real picture (precision), or a real picture near an output (recall). Empty: not measured."""
NEIGHBOURS = 5


def measure_checkpoints(workspace: Workspace, evaluation: Evaluation) -> pd.DataFrame:
    """Every kept and validated checkpoint of a run on the split of its evaluation, and the baselines: COLUMNS.

    Each translates the split once more, into a temporary folder; real pictures are not looked at again.
    """
    run, frames = evaluation.run, []
    of_run, used = str(run.about.get("run", run.name)), int(run.about.get("step") or 0)
    reals = [_Real(evaluation, result) for result in evaluation.results]
    for result, real in zip(evaluation.results, reals, strict=True):
        for method in METHODS:
            step = used if method == TRANSLATION else 0
            images, verdict = result.measured.images[method], result.verdicts.get(method)
            measured = _similarities(result, method)
            frames += real.rows(result.direction, method, step, images, verdict, measured)
        frames += real.own_rows(result)
    others = [step for step in _candidates(workspace.run(of_run)) if step != used]
    with Progress(f"checkpoints of {of_run}", len(others), "checkpoints") as progress:
        for number, step in enumerate(others, 1):
            frames += _translated(workspace, evaluation, reals, of_run, step)
            progress.update(number)
    return pd.concat(frames, ignore_index=True).reindex(columns=list(COLUMNS))


def _candidates(run: Path) -> list[int]:
    """The steps of the kept checkpoints that were validated: those which a clock has kept are no candidates.

    All that are kept, where none was validated.
    """
    kept, method = checkpoint.steps(run), method_of(checkpoint.read_run(run).get("config") or {})
    validated = set(read_tables(run, method)[1]["step"].tolist())
    return [step for step in kept if step in validated] if validated else kept


def _translated(
    workspace: Workspace, evaluation: Evaluation, reals: Sequence[_Real], name: str, step: int
) -> list[pd.DataFrame]:
    frames = []
    with tempfile.TemporaryDirectory(prefix="bamkit-checkpoint-") as place:
        folder = Path(place) / "translations"
        config = TranslateConfig(checkpoint=f"step-{step:08}", mark=False, device=evaluation.options.device)
        translate_run(workspace, name, split=evaluation.run.split, output=folder, config=config)
        run = open_run(workspace, evaluation.run.name, evaluation.run.split, folder)
        directions = {each.name: each for each in run.directions}
        for result, real in zip(evaluation.results, reals, strict=True):
            direction = directions[result.direction.name]
            images, similarities = _measure(direction, evaluation.networks)
            judges, target = evaluation.networks.judges, direction.target.attribute
            verdict = verdict_of(images, target, judges) if result.verdicts else None
            frames += real.rows(direction, TRANSLATION, step, images, verdict, similarities, chosen=False)
    return frames


def _measure(direction: Direction, networks: Networks) -> tuple[ImageSet, dict[str, np.ndarray]]:
    """What `measures.measure` says of the translations, without the baselines beside them."""
    images = ImageSet(networks.extractor.dimensions)
    columns: dict[str, list[float]] = {}
    for start in range(0, len(direction), BATCH):
        pairs = [pictures_of(direction, index) for index in range(start, min(start + BATCH, len(direction)))]
        for pair in pairs:
            for name, value in similarity(pair[IDENTITY], pair[TRANSLATION], networks.lpips).items():
                columns.setdefault(name, []).append(value)
        outputs = [pair[TRANSLATION] for pair in pairs]
        images.append(outputs, *networks(outputs))
    return images, {name: np.array(values) for name, values in columns.items()}


def _similarities(result: DirectionResult, method: str) -> dict[str, np.ndarray]:
    """By measure, what the evaluation found; of the source itself 1, 1 and 0 by definition."""
    names = ("ssim", "edges", "lpips")
    pictures = result.measured.pictures
    if method == IDENTITY:
        ideal = {"ssim": 1.0, "edges": 1.0, "lpips": 0.0}
        return {name: np.full(len(pictures), ideal[name]) for name in names if f"{TRANSLATION} {name}" in pictures}
    return {name: result.measured.column(f"{method} {name}") for name in names if f"{method} {name}" in pictures}


class _Real:
    """The target's real test pictures of one direction, and what outputs are compared with them by."""

    def __init__(self, evaluation: Evaluation, result: DirectionResult) -> None:
        target, split = result.direction.target, evaluation.run.split
        self.test, self.train = evaluation.real[target.name, split], evaluation.real[target.name, "train"]
        reference = self.train if len(self.train) else self.test
        self.scale = 1.0 if published(evaluation.networks.extractor) else unit_scale(reference.features)
        self.vectors = self._scaled(self.test.features)
        self.reach = reach(self.vectors, NEIGHBOURS) if len(self.vectors) > NEIGHBOURS else None
        self.about = _who(target.shards(split))

    def rows(
        self, direction: Direction, method: str, step: int, images: ImageSet, verdict: Verdict | None,
        similarities: Mapping[str, np.ndarray], chosen: bool = True,
    ) -> list[pd.DataFrame]:  # fmt: skip
        """The rows of a method's outputs, and of the real pictures beside them."""
        head = {"direction": direction.name, "method": method, "step": step, "chosen": chosen}
        about = {"mid": direction.mids(), "project": pd.array(direction.projects(), "Int64")}
        output, target = self._compared(images.features)
        kept = {name: similarities[name] for name in ("ssim", "edges", "lpips") if name in similarities}
        return [
            pd.DataFrame({**head, "side": OUTPUT, **about, **_judged(verdict), **kept, **output}),
            pd.DataFrame({**head, "side": TARGET, **self.about, **target}),
        ]

    def own_rows(self, result: DirectionResult) -> list[pd.DataFrame]:
        """Of real pictures: as many training ones as there are outputs in their place, and the judge's word on test."""
        train = EvenRows(self.train.features, len(result.direction))
        output, target = self._compared(train)
        head = {"direction": result.direction.name, "method": REAL, "step": 0, "chosen": True}
        judged = _judged(result.verdicts.get(REAL))
        about = {name: column[train.rows] for name, column in _who(result.direction.target.shards("train")).items()}
        return [
            pd.DataFrame({**head, "side": OUTPUT, **about, **output}),
            pd.DataFrame({**head, "side": TARGET, **self.about, **judged, **target}),
        ]

    def _compared(self, features: Vectors) -> tuple[dict[str, Any], dict[str, Any]]:
        """The columns `kid` and `near` of outputs and of the real pictures; {} where there are too few."""
        output, target = self._scaled(features), self.vectors
        columns: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        if min(len(output), len(target)) < 4:
            return columns
        columns[0]["kid"], columns[1]["kid"] = mmd_shares(output, target)
        if self.reach is not None and len(output) > NEIGHBOURS:
            found = manifold(target, output, NEIGHBOURS, self.reach)
            columns[0]["near"], columns[1]["near"] = found.precision.astype(float), found.recall.astype(float)
        return columns

    def _scaled(self, features: Vectors) -> np.ndarray:
        return np.asarray(features[0 : len(features)], dtype=np.float64) * self.scale


def _who(shards: ShardReader | FolderReader) -> dict[str, Any]:
    """The columns `mid` and `project` of real pictures."""
    return {name: pd.array(shards.column(of), "Int64") for name, of in (("mid", "mid"), ("project", "project_id"))}


def _judged(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {}
    columns: dict[str, Any] = {"reached": verdict.reached.astype(float), "probability": verdict.by[JUDGE]}
    return columns | ({"probability by form": verdict.by[FORM]} if FORM in verdict.by else {})
