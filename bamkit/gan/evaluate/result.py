"""The result of an evaluation, and the files it is written to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bamkit.common.errors import BamkitError
from bamkit.common.pages.notebook import as_html, notes
from bamkit.common.provenance import is_provenance, sha256_file, versions
from bamkit.common.statistics import Estimate, count_clusters
from bamkit.common.workspace import Workspace, atomic_path, write_text
from bamkit.gan.evaluate import estimates
from bamkit.gan.evaluate.features import Extractor, Inception
from bamkit.gan.evaluate.inputs.translations import Direction, Run
from bamkit.gan.evaluate.measures import FORM, JUDGE, METHODS, SECOND, TRANSLATION, ImageSet, Measured, Networks
from bamkit.gan.evaluate.outputs.doubts import Doubt
from bamkit.gan.evaluate.outputs.failures import Failures
from bamkit.gan.evaluate.settings import EvaluateOptions
from bamkit.gan.evaluate.verdicts import Verdict

METRICS, METRICS_TABLE, PICTURES, PAGE = "metrics.json", "metrics.csv", "pictures.csv", "index.html"
PROBABILITIES = {JUDGE: "probability", FORM: "probability by form", SECOND: "probability by the second judge"}
"""The columns of pictures.csv, behind the method's name."""
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "torch-fidelity", "lpips")


@dataclass
class DirectionResult:
    """One direction, evaluated: all that the page shows."""

    measured: Measured
    rows: list[estimates.Row]
    failures: Failures
    doubts: list[Doubt]
    """What makes a share reached mean little."""
    improvement: np.ndarray
    """(n,) one number a picture: how well it went."""
    improvement_name: str
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """By method and of the real pictures, with a judge that knows the target."""

    @property
    def direction(self) -> Direction:
        return self.measured.direction

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        """(n,) the target's probability by method; {} without a judge that knows the target."""
        return {method: self.verdicts[method].by[JUDGE] for method in METHODS if method in self.verdicts}

    @property
    def pictures(self) -> pd.DataFrame:
        """One row a picture: what was measured and judged of it."""
        judged = {
            f"{method} {name}": self.verdicts[method].by[judge].astype(float)
            for judge, name in PROBABILITIES.items()
            for method in METHODS
            if method in self.verdicts and judge in self.verdicts[method].by
        }
        pictures = self.measured.pictures.assign(**judged)
        pictures.insert(0, "direction", self.direction.name)
        return pictures


@dataclass
class Evaluation:
    """A run, evaluated."""

    run: Run
    options: EvaluateOptions
    networks: Networks
    real: dict[tuple[str, str], ImageSet]
    """The real pictures, by domain and split."""
    results: list[DirectionResult]
    missing: list[str]
    """What could not be measured, and what would make it possible."""
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def figures(self) -> pd.DataFrame:
        """Every figure: a table with the columns estimates.COLUMNS."""
        return estimates.table(row for result in self.results for row in result.rows)

    @property
    def pictures(self) -> pd.DataFrame:
        """What was measured of every picture, the directions one below the other."""
        return pd.concat([result.pictures for result in self.results], ignore_index=True)

    def find(self, metric: str, direction: str, method: str = TRANSLATION) -> Estimate | None:
        """The estimate of that metric, pooled over contents; None if it was not measured."""
        return estimates.find(self.figures, metric, direction, method)

    def summary(self, direction: str) -> pd.DataFrame:
        """One row a metric, one column a method, as text with intervals; what was not measured is left out."""
        return estimates.summary(self.figures, direction)

    def _repr_html_(self) -> str:
        names = [result.direction.name for result in self.results]
        tables = [part for name in names for part in (f"{name}:", self.summary(name))]
        return as_html(*tables, notes([*self.missing, *self.warnings]))

    def about(self) -> dict[str, Any]:
        """The content of metrics.json."""
        extractor, judge, lpips = self.networks.extractor, self.networks.judge, self.networks.lpips
        return {
            "kind": "evaluation",
            "run": self.run.name,
            "run_id": self.run.run_id,
            "split": self.run.split,
            "checkpoints": {r.direction.name: r.direction.checkpoint for r in self.results},
            **({"strength": self.run.about["strength"]} if "strength" in self.run.about else {}),
            "n": {r.direction.name: len(r.direction) for r in self.results},
            "projects": {r.direction.name: count_clusters(r.measured.projects) for r in self.results},
            "doubts": {r.direction.name: [doubt.sentence for doubt in r.doubts] for r in self.results},
            "left_out": {r.direction.name: r.direction.left_out for r in self.results},
            "split_ids": {domain.name: domain.split_id for domain in self.run.domains},
            "translations_sha256": sha256_file(self.run.directions[0].after.paths[0]),
            "features": {
                "name": extractor.name,
                "description": extractor.description,
                "sha256": extractor.sha256,
                "dimensions": extractor.dimensions,
                "scaled_to_unit": not published(extractor),
            },
            "judge": judge.summary() if judge else None,
            "further_judges": {name: further.summary() for name, further in self.networks.further.items()},
            "lpips": {"network": "alex", "version": "0.1", "sha256": lpips.sha256} if lpips else None,
            "seed": self.options.seed,
            "warnings": self.warnings,
            "missing": self.missing,
            "figures": [_without_empty(row) for row in estimates.records(self.figures)],
            "versions": versions(PACKAGES),
        }


def read_metrics(path: Path) -> dict[str, Any]:
    """A metrics.json, as `Evaluation.about` writes it. Raises OSError, or ValueError for anything else."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not is_provenance(found):
        raise ValueError("it is not what bamkit evaluate writes")
    try:
        estimates.table(found["figures"])
        parts = {name: dict(found.get(name) or {}) for name in ("checkpoints", "features", "split_ids", "doubts")}
        parts["n"] = {direction: int(n) for direction, n in found["n"].items()}
        parts["doubts"] = {direction: [*map(str, said)] for direction, said in parts["doubts"].items()}
        warnings = [*map(str, found["warnings"])]
    except (TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"it is not what bamkit evaluate writes ({error})") from error
    return {"run_id": None, "split": "test", "judge": None, **found, **parts, "warnings": warnings}


def read_pictures(path: Path, measures: Iterable[str]) -> pd.DataFrame:
    """Of a pictures.csv, as `write_tables` writes it: direction, mid, project, and these measures as float64.

    What was not measured is NaN. Raises OSError, or ValueError where there is text in place of a number.
    """
    types = {"direction": str, "mid": "Int64", "project": float, **dict.fromkeys(measures, float)}
    return read_csv(path, types).reindex(columns=[*types])


@contextmanager
def naming_unreadable(run: str, options: str = "") -> Iterator[None]:
    """Turn what is raised in the block, where files of a run's evaluation are read, into a BamkitError that names it.

    `options`: more words of the `bamkit evaluate` that writes them anew.
    """
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise BamkitError(
            f"the evaluation of {run} cannot be read: {error}", f"bamkit evaluate {run}{options}"
        ) from error


def _without_empty(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value != ""}


def published(extractor: Extractor) -> bool:
    """Whether figures in papers are made with these features as they are."""
    return isinstance(extractor, Inception)


def folder_of(workspace: Workspace, run: str) -> Path:
    """Where the evaluation of a run is written."""
    return workspace.reports / f"evaluate-{run}"


def write_tables(evaluation: Evaluation, folder: Path) -> None:
    """Write metrics.csv, pictures.csv and metrics.json, in place of those of an earlier evaluation.

    metrics.json comes last, and after the page: where it lies, the evaluation is whole.
    """
    first = ["direction", "metric", "method", "attribute", "value", "low", "high", "n", "projects"]
    write_csv(folder / METRICS_TABLE, evaluation.figures[[*first, "interval", "note"]])
    write_csv(folder / PICTURES, evaluation.pictures)
    text = json.dumps(evaluation.about(), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(folder / METRICS, text + "\n")


def read_csv(path: Path, types: Mapping[str, Any]) -> pd.DataFrame:
    """The columns `types` of a table, those that are there. Raises OSError, or ValueError for values of other types."""
    try:
        return pd.read_csv(path, usecols=lambda name: name in types, dtype=types)
    except (TypeError, OverflowError) as error:  # fractions and text, where integers are expected
        raise ValueError(str(error)) from error


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, atomically; NaN and None become empty cells."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")
