"""What the crowd said beside what the scores say.

The crowd saw images that were picked by earlier scores, so that each attribute had enough positives: its images are no
random draw from the database. Precision and average precision depend on how many positives there were to find, so they
describe these images and do not carry over to the database; the area under the ROC curve and recall suffer less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bamkit.common import statistics
from bamkit.common.contract import ATTRIBUTES, LABELS
from bamkit.common.errors import BamkitError
from bamkit.common.shards import read_about, read_table, write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.database.connection import Database
from bamkit.curate.database.engines import quote
from bamkit.curate.database.packed_labels import POSITIVE_ABOVE

if TYPE_CHECKING:
    from numpy.typing import NDArray

CAVEAT = (
    "The images shown to the crowd were not drawn at random: they were picked by earlier scores so that each attribute "
    "had enough positives. Precision, average precision and calibration therefore describe these images, not the "
    "database, and the three labels are single judgements with an error of their own."
)
FORMAT = 1
"""Raised when the tables that a workspace keeps change their meaning."""
EDGES = (-24.0, -10.0, -7.0, -5.0, -4.0, -3.0, -2.0, -1.5, -1.0, -0.5, -0.25, 0.0)
"""Score bins of the calibration: fine where the probability exp(score) changes."""


@dataclass(frozen=True)
class Crowd:
    """What there is to say about the crowd and the scores; see `agreement` and `calibration`."""

    agreement: pd.DataFrame
    calibration: pd.DataFrame

    @property
    def n(self) -> int:
        """Crowd labels of images that have a score."""
        return int(self.agreement["n"].sum())


def crowd_of(database: Database, workspace: Workspace | None = None) -> Crowd | None:
    """The crowd beside the scores of a database; None if it has no crowd labels beside scores.

    A workspace that has an index keeps both tables there, and gives them back while the database is the same.
    """
    if workspace and (kept := kept_crowd(workspace, database.fingerprint)):
        return kept
    images = scored_crowd_labels(database)
    if not images:
        return None
    found = Crowd(agreement(images), calibration(images))
    if workspace and (workspace.root / "index").is_dir():
        for path, table in zip(_kept_in(workspace), (found.agreement, found.calibration), strict=True):
            write_table(pa.Table.from_pandas(table, preserve_index=False), path, _about(database.fingerprint))
    return found


def kept_crowd(workspace: Workspace, fingerprint: str) -> Crowd | None:
    """What the workspace keeps of the crowd in the database with that fingerprint; None where it keeps nothing."""
    paths = _kept_in(workspace)
    try:
        if all(path.is_file() and read_about(path) == _about(fingerprint) for path in paths):
            return Crowd(*(read_table(path).to_pandas() for path in paths))
    except (BamkitError, ValueError):
        pass  # damaged: computed and written anew by crowd_of
    return None


def _kept_in(workspace: Workspace) -> list[Path]:
    return [workspace.root / "index" / f"crowd-{name}.parquet" for name in ("agreement", "calibration")]


def _about(fingerprint: str) -> dict[str, Any]:
    return {"kind": "crowd", "format": FORMAT, "database": {"fingerprint": fingerprint}}


@dataclass(frozen=True)
class ScoredCrowdLabels:
    """One attribute's images that have both a crowd label and a score."""

    attribute: str
    labels: NDArray[np.str_]
    """`positive`, `unsure` or `negative`, one an image."""
    scores: NDArray[np.float64]

    @property
    def positive(self) -> NDArray[np.bool_]:
        """True for `positive`; `unsure` counts as not positive."""
        positive: NDArray[np.bool_] = self.labels == "positive"
        return positive


def scored_crowd_labels(database: Database) -> list[ScoredCrowdLabels]:
    """All crowd labels beside the score of their attribute, in the contract's order; attributes without any left out.

    Rows whose score is not a number, or whose label is none of the three words, are left out. One join in SQL.
    """
    if not database.has_crowd:
        return []
    cases = " ".join(f"WHEN '{name}' THEN s.{quote(name)}" for name in database.score_attributes)
    # Only the score of the crowd's own attribute is carried over, not all twenty.
    sql = (
        f"SELECT c.attribute, c.label, CASE c.attribute {cases} END AS score "
        "FROM scores s JOIN crowd_labels c ON c.mid = s.mid"
    )
    columns: dict[str, tuple[list[str], list[float]]] = {name: ([], []) for name in ATTRIBUTES}
    for attribute, label, score in database.rows(sql):
        if attribute in columns and label in LABELS and isinstance(score, int | float) and math.isfinite(score):
            columns[attribute][0].append(label)
            columns[attribute][1].append(score)
    scored = []
    for name, values in columns.items():
        labels, scores = np.array(values[0]), np.array(values[1], dtype=np.float64)
        # The database promises no order of rows; equal scores must not make two reports differ.
        order = np.lexsort((labels, scores))
        if scores.size:
            scored.append(ScoredCrowdLabels(name, labels[order], scores[order]))
    return scored


def agreement(images: list[ScoredCrowdLabels], threshold: float = POSITIVE_ABOVE) -> pd.DataFrame:
    """How well the scores rank the crowd's positives, one row an attribute, each estimate with its 95 % interval.

    Columns: attribute, n, positives, unsure, prevalence; precision and recall (Wilson) of `score > threshold`;
    average_precision (Wilson for as many positives), auc (Newcombe), calibration_error (mean gap between exp(score)
    and the observed share); precision_90_above: the lowest score from which on precision stays at 0.9, the level the
    authors state for their `positive` (NaN where it is never reached), and the recall there.
    """
    return pd.DataFrame([_agreement(scored, threshold) for scored in images])


def _agreement(scored: ScoredCrowdLabels, threshold: float) -> dict[str, object]:
    positive, scores = scored.positive, scored.scores
    precision, recall = statistics.precision_recall(positive, scores > threshold)
    ranking = statistics.average_precision(positive, scores)
    area = statistics.auc(positive, scores)
    above, recall_there = threshold_for_precision(positive, scores, 0.9)
    return {
        "attribute": scored.attribute,
        "n": int(scores.size),
        "positives": int(positive.sum()),
        "unsure": int((scored.labels == "unsure").sum()),
        "prevalence": float(positive.mean()),
        "threshold": threshold,
        "predicted": precision.n,
        "precision": precision.value,
        "precision_low": precision.low,
        "precision_high": precision.high,
        "recall": recall.value,
        "recall_low": recall.low,
        "recall_high": recall.high,
        "average_precision": ranking.value,
        "average_precision_low": ranking.low,
        "average_precision_high": ranking.high,
        "auc": area.value,
        "auc_low": area.low,
        "auc_high": area.high,
        "calibration_error": statistics.expected_calibration_error(_bins(scored)),
        "precision_90_above": above,
        "precision_90_recall": recall_there,
    }


def threshold_for_precision(
    positive: NDArray[np.bool_], scores: NDArray[np.float64], precision: float
) -> tuple[float, float]:
    """The lowest s such that the images scored >= s have at least `precision`, and their recall; else NaN, NaN."""
    if not positive.any():
        return math.nan, math.nan
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)
    good = last[hits[last] / (last + 1) >= precision]
    if not good.size:
        return math.nan, math.nan
    return float(ranked[good[-1]]), float(hits[good[-1]] / positive.sum())


def _bins(scored: ScoredCrowdLabels) -> list[statistics.Bin]:
    return statistics.calibration(scored.positive, scored.scores, EDGES, np.exp(np.minimum(scored.scores, 0.0)))


def calibration(images: list[ScoredCrowdLabels]) -> pd.DataFrame:
    """Share of crowd positives by score bin: attribute, low_score, high_score, expected, observed, low, high, n.

    `expected` is the mean of exp(score), the probability the scores claim if they are log-probabilities, as they seem
    to be. Bins are [low_score, high_score); low and high are the Wilson interval of `observed`.
    """
    rows = [
        {
            "attribute": scored.attribute,
            "low_score": bin_.low,
            "high_score": bin_.high,
            "expected": bin_.expected,
            "observed": bin_.observed.value,
            "low": bin_.observed.low,
            "high": bin_.observed.high,
            "n": bin_.observed.n,
        }
        for scored in images
        for bin_ in _bins(scored)
    ]
    return pd.DataFrame(rows)
