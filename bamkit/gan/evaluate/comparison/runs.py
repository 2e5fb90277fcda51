"""Evaluated runs side by side, paired where they can be, and the spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bamkit.common.errors import BamkitError
from bamkit.common.lineage import require_current, stale_evaluation
from bamkit.common.pages.notebook import as_html, notes
from bamkit.common.provenance import canonical
from bamkit.common.statistics import DEVIATION, Estimate, bootstrap_mean, cases_text, clusters_of
from bamkit.common.workspace import Workspace
from bamkit.gan.evaluate import estimates
from bamkit.gan.evaluate.estimates import METHOD_NAMES, METRIC_NAMES, NOT_MEASURED
from bamkit.gan.evaluate.measures import TRANSLATION
from bamkit.gan.evaluate.result import METRICS, PICTURES, folder_of, naming_unreadable, read_metrics, read_pictures
from bamkit.gan.train import checkpoint

PAIRED = {"translation ssim": "SSIM", "translation edges": "edges kept", "translation lpips": "LPIPS",
          "translation probability": "target's probability",
          "translation probability by form": "target's probability by form alone"}  # fmt: skip
"""The columns of pictures.csv in which runs are compared picture by picture, and the names people read."""


@dataclass
class EvaluatedRun:
    """What an earlier `bamkit evaluate` wrote about a run."""

    name: str
    about: dict[str, Any]
    """metrics.json."""
    figures: pd.DataFrame
    """Its figures, as a table of estimates."""
    pictures: pd.DataFrame
    """Of pictures.csv: direction, mid, project and what PAIRED names of each picture, NaN where unknown."""
    config: dict[str, Any] | None
    """The run's training settings; None where there is no run.json."""

    def find(self, metric: str, direction: str, method: str = TRANSLATION) -> Estimate | None:
        """The estimate pooled over contents; None if it was not measured."""
        return estimates.find(self.figures, metric, direction, method)


@dataclass
class Comparison:
    """Runs side by side."""

    runs: list[EvaluatedRun]
    rows: pd.DataFrame
    """One row a direction and run, then the floors; one column a metric, as text with intervals."""
    seeds: pd.DataFrame
    """One row a direction and group of runs that differ only in their seed: mean and deviation of every metric."""
    differences: pd.DataFrame
    """Every further run against the first, picture by picture, with intervals bootstrapped over projects."""
    warnings: list[str] = field(default_factory=list)

    @property
    def directions(self) -> list[str]:
        return list(dict.fromkeys(direction for run in self.runs for direction in run.about["n"]))

    def side_by_side(self, direction: str) -> pd.DataFrame:
        """One row a metric, one column a run or floor: what fits a page."""
        own = _of(self.rows, direction).set_index("run").T
        return own.fillna(NOT_MEASURED).reset_index(names="")

    def spread(self, direction: str) -> pd.DataFrame:
        """The rows of `seeds` of a direction, without empty columns."""
        return _of(self.seeds, direction).dropna(axis="columns", how="all")

    def paired(self, direction: str) -> pd.DataFrame:
        """The rows of `differences` of a direction, the difference and its interval as one text."""
        own = _of(self.differences, direction)
        bounds = own.reindex(columns=["difference", "low", "high", "n"]).itertuples(index=False)
        texts = [str(Estimate(value, low, high, n)) for value, low, high, n in bounds]
        cases = [
            cases_text(n, None if pd.isna(m) else int(m), "pictures")
            for n, m in zip(own.get("n", ()), own.get("projects", ()), strict=True)
        ]
        return own.drop(columns=["low", "high", "projects"], errors="ignore").assign(difference=texts, n=cases)

    def _repr_html_(self) -> str:
        tables = [part for name in self.directions for part in (f"{name}:", self.side_by_side(name))]
        return as_html(*tables, notes(self.warnings))

    def settings(self) -> pd.DataFrame:
        """One row a training setting in which the runs differ (and checkpoints and strengths), one column a run.

        NOT_MEASURED where a run does not say.
        """
        known = [run.config or {} for run in self.runs]
        values = {name: [config.get(name) for config in known] for name in dict.fromkeys(k for c in known for k in c)}
        values["checkpoint"] = [
            ", ".join(sorted(set(map(str, run.about["checkpoints"].values())))) for run in self.runs
        ]
        values["strength"] = [run.about.get("strength") for run in self.runs]
        rows = [
            {"setting": name, **{run.name: _shown(value) for run, value in zip(self.runs, of, strict=True)}}
            for name, of in values.items()
            if len(set(map(canonical, of))) > 1
        ]
        return pd.DataFrame(rows, columns=["setting", *(run.name for run in self.runs)])

    def about(self) -> dict[str, Any]:
        """The content of compare.json."""
        return {
            "kind": "comparison",
            "runs": {
                run.name: {"run_id": run.about["run_id"], "checkpoints": run.about["checkpoints"]} for run in self.runs
            },
            "features": self.runs[0].about["features"],
            "judge": (self.runs[0].about["judge"] or {}).get("sha256"),
            "warnings": self.warnings,
            "settings": estimates.records(self.settings()),
            "rows": estimates.records(self.rows),
            "seeds": estimates.records(self.seeds),
            "differences": estimates.records(self.differences),
        }


def _shown(value: Any) -> str:
    return NOT_MEASURED if value is None or value == "" else str(value)


def _of(frame: pd.DataFrame, direction: str) -> pd.DataFrame:
    return frame if frame.empty else frame[frame["direction"] == direction].drop(columns="direction")


def compare(workspace: Workspace, names: Sequence[str] = ()) -> Comparison:
    """Compare runs by their evaluations (all evaluated ones if none is named); writes nothing.

    Raises BamkitError where fewer than two were evaluated, or an evaluation is stale.
    """
    names = list(dict.fromkeys(names)) or evaluated(workspace)
    if len(names) < 2:
        have = ", ".join(names) or "none"
        others = [name for name in workspace.run_names() if name not in names]
        trained = f"bamkit train --name {names[0]}-2" if names else "bamkit train"
        raise BamkitError(
            f"comparing takes at least two evaluated runs; there is {have}",
            f"bamkit evaluate {others[0]}" if others else trained,
        )
    require_current(workspace, [stale for name in names for stale in stale_evaluation(workspace, name)])
    runs = [read(workspace, name) for name in names]
    directions = list(dict.fromkeys(direction for run in runs for direction in run.about["n"]))
    rows = [row for direction in directions for row in _rows(runs, direction)]
    seeds = [row for direction in directions for row in _seeds(runs, direction)]
    differences = [row for direction in directions for row in _differences(runs, direction)]
    return Comparison(runs, _filled(rows), _filled(seeds), pd.DataFrame(differences), _warnings(runs))


def evaluated(workspace: Workspace) -> list[str]:
    """Runs with a metrics.json, by name."""
    return sorted(
        path.parent.name.removeprefix("evaluate-") for path in workspace.reports.glob(f"evaluate-*/{METRICS}")
    )


def read(workspace: Workspace, name: str) -> EvaluatedRun:
    """The evaluation of a run. Raises BamkitError if it was not evaluated, or its files cannot be read."""
    folder = folder_of(workspace, name)
    if not (folder / METRICS).is_file():
        raise BamkitError(f"run {name} was not evaluated yet", f"bamkit evaluate {name}")
    with naming_unreadable(name):
        about = read_metrics(folder / METRICS)
        figures = estimates.table(about["figures"])
        pictures = read_pictures(folder / PICTURES, PAIRED)
    trained = (workspace.run(name) / "run.json").is_file()
    config = checkpoint.read_run(workspace.run(name)).get("config") if trained else None
    return EvaluatedRun(name, about, figures, pictures, config)


def _rows(runs: list[EvaluatedRun], direction: str) -> list[dict[str, Any]]:
    here = [run for run in runs if direction in run.about["n"]]
    shown = [(run, TRANSLATION, run.name) for run in here]
    shown += [(here[0], method, f"({name})") for method, name in METHOD_NAMES.items() if method != TRANSLATION]
    return [
        {"direction": direction, "run": label}
        | {name: str(run.find(metric, direction, method) or "") or None for metric, name in METRIC_NAMES.items()}
        for run, method, label in shown
    ]


def _filled(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Without the columns that no row fills."""
    return pd.DataFrame(rows, dtype=object).dropna(axis="columns", how="all")


def _seeds(runs: list[EvaluatedRun], direction: str) -> list[dict[str, Any]]:
    """Mean and deviation (n - 1) over runs whose settings differ in nothing but the seed."""
    groups: dict[str, list[EvaluatedRun]] = {}
    for run in runs:
        if run.config is not None and direction in run.about["n"]:
            same = {**{k: v for k, v in run.config.items() if k != "seed"}, "splits": run.about["split_ids"]}
            groups.setdefault(canonical(same), []).append(run)
    rows = []
    for group in groups.values():
        if len(group) < 2:
            continue
        row: dict[str, Any] = {
            "direction": direction,
            "runs": ", ".join(run.name for run in group),
            "seeds": len(group),
        }
        for metric, label in METRIC_NAMES.items():
            measured = [run.find(metric, direction) for run in group]
            values = np.array([estimate.value for estimate in measured if estimate is not None])
            if len(values) == len(group):
                mean, deviation = float(values.mean()), float(values.std(ddof=1))
                row[label] = str(Estimate(mean, mean - deviation, mean + deviation, len(values), DEVIATION))
        rows.append(row)
    return rows


def _differences(runs: list[EvaluatedRun], direction: str) -> list[dict[str, Any]]:
    first, *others = runs
    rows: list[dict[str, Any]] = []
    for run in others:
        ours, theirs = (each.pictures[each.pictures["direction"] == direction] for each in (first, run))
        pairs = ours.merge(theirs, on="mid", suffixes=("", " of the other"))
        for column, name in PAIRED.items():
            values = (pairs[f"{column} of the other"] - pairs[column]).dropna()
            if len(values):
                projects = clusters_of(pairs.loc[values.index, "project"].tolist())
                estimate = bootstrap_mean(values.to_numpy(float), projects)
                rows.append(
                    {
                        "direction": direction,
                        "run": run.name,
                        "against": first.name,
                        "metric": name,
                        "difference": estimate.value,
                        "low": estimate.low,
                        "high": estimate.high,
                        "n": estimate.n,
                        "projects": estimate.clusters,
                    }
                )
    return rows


def _warnings(runs: list[EvaluatedRun]) -> list[str]:
    """What makes figures mean little, run by run, and what keeps them from being comparable."""
    texts = [
        f"{run.name}, {direction}: {sentence}"
        for run in runs
        for direction, sentences in run.about.get("doubts", {}).items()
        for sentence in sentences
    ]
    judge = {run.name: (run.about["judge"] or {}).get("sha256") for run in runs}
    features = {run.name: run.about["features"].get("sha256") for run in runs}
    for basis, values in (
        ("different judges", judge),
        ("different features", features),
        ("different splits of the workspace", {run.name: canonical(run.about["split_ids"]) for run in runs}),
        ("translations of different splits", {run.name: run.about["split"] for run in runs}),
    ):
        if len(set(values.values())) > 1:
            texts.append(f"These evaluations rest on {basis}: evaluate all of the runs again before comparing them.")
    return texts
