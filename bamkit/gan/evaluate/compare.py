"""`bamkit compare`: evaluated runs side by side, paired where they can be, and the spread over seeds."""

from __future__ import annotations

import csv
import importlib.util
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bamkit.common.console import cell
from bamkit.common.errors import BamkitError
from bamkit.common.provenance import canonical
from bamkit.common.statistics import bootstrap_mean
from bamkit.common.workspace import Workspace, write_text
from bamkit.gan.evaluate.figures import Figure
from bamkit.gan.evaluate.measures import TRANSLATION
from bamkit.gan.evaluate.run import COLUMNS, NAMES, write_csv

PAIRED = {"translation ssim": "SSIM", "translation edges": "edges kept", "translation lpips": "LPIPS",
          "translation probability": "target's probability"}  # fmt: skip


@dataclass
class Evaluated:
    """What an earlier `bamkit evaluate` wrote about a run."""

    name: str
    about: dict[str, Any]
    pictures: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]
    """Of pictures.csv, by direction: the (n,) mids, and what PAIRED names of each picture, nan where unknown."""
    config: dict[str, Any] | None
    """The run's training settings; None where there is no run.json."""

    def figure(self, metric: str, direction: str, method: str = TRANSLATION) -> Figure | None:
        """The figure pooled over attributes; None if it was not measured."""
        for one in self.about["figures"]:
            pooled = not one.get("attribute", "").startswith("content_")
            if (one["metric"], one["direction"], one["method"]) == (metric, direction, method) and pooled:
                return Figure(**{k: float("nan") if v is None else v for k, v in one.items()})
        return None


@dataclass
class Comparison:
    """Runs side by side."""

    runs: list[Evaluated]
    rows: list[dict[str, Any]]
    """One row a direction and run, then the floors; one column a metric, as text with intervals."""
    seeds: list[dict[str, Any]]
    """One row a direction and group of runs that differ only in their seed: mean and deviation of every metric."""
    differences: list[dict[str, Any]]
    """Every further run against the first, picture by picture, with bootstrap intervals."""
    warnings: list[str] = field(default_factory=list)

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
            "rows": self.rows,
            "seeds": self.seeds,
            "differences": self.differences,
        }


def compare(workspace: Workspace, names: Sequence[str] = ()) -> Comparison:
    """Compare runs by their evaluations (all evaluated ones if none is named); writes nothing.

    Raises BamkitError where fewer than two were evaluated.
    """
    names = list(dict.fromkeys(names)) or evaluated(workspace)
    if len(names) < 2:
        have = ", ".join(names) or "none"
        raise BamkitError(f"comparing takes at least two evaluated runs; there is {have}", "bamkit evaluate RUN")
    runs = [read(workspace, name) for name in names]
    directions = list(dict.fromkeys(d for run in runs for d in run.about["n"]))
    rows = [row for direction in directions for row in _rows(runs, direction)]
    seeds = [row for direction in directions for row in _seeds(runs, direction)]
    differences = [row for direction in directions for row in _differences(runs, direction)]
    return Comparison(runs, _trimmed(rows), _trimmed(seeds), differences, _warnings(runs))


def evaluated(workspace: Workspace) -> list[str]:
    """Runs with a metrics.json, by name."""
    return sorted(
        path.parent.name.removeprefix("evaluate-") for path in workspace.reports.glob("evaluate-*/metrics.json")
    )


def read(workspace: Workspace, name: str) -> Evaluated:
    """The evaluation of a run. Raises BamkitError if it was not evaluated, or its files cannot be read."""
    folder = workspace.reports / f"evaluate-{name}"
    if not (folder / "metrics.json").is_file():
        raise BamkitError(f"run {name} was not evaluated yet", f"bamkit evaluate {name}")
    try:
        about = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        pictures = _pictures(folder / "pictures.csv")
        run = workspace.run(name) / "run.json"
        config = json.loads(run.read_text(encoding="utf-8")).get("config") if run.is_file() else None
    except (OSError, ValueError, KeyError) as error:
        raise BamkitError(f"the evaluation of {name} cannot be read: {error}", f"bamkit evaluate {name}") from error
    return Evaluated(name, about, pictures, config)


def _pictures(path: Path) -> dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]:
    """What Evaluated.pictures holds: as arrays, so that large evaluations need no more memory than their numbers."""
    found: dict[str, dict[str, array[float]]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            columns = found.setdefault(row["direction"], {name: array("d") for name in ("mid", *PAIRED)})
            for name, values in columns.items():
                values.append(float(row.get(name) or "nan"))
    return {
        direction: (np.array(columns.pop("mid"), np.int64), {name: np.array(v) for name, v in columns.items()})
        for direction, columns in found.items()
    }


def _rows(runs: list[Evaluated], direction: str) -> list[dict[str, Any]]:
    found = [
        {"direction": direction, "run": run.name, **{label: run.figure(m, direction) for m, label in COLUMNS.items()}}
        for run in runs
        if direction in run.about["n"]
    ]
    for method, told in NAMES.items():
        if method != TRANSLATION:
            first = next(run for run in runs if direction in run.about["n"])
            floors = {label: first.figure(metric, direction, method) for metric, label in COLUMNS.items()}
            found.append({"direction": direction, "run": f"({told})", **floors})
    return [{k: str(v) if isinstance(v, Figure) else v for k, v in row.items()} for row in found]


def _trimmed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the columns that no row fills."""
    kept = [key for key in dict.fromkeys(k for row in rows for k in row) if any(row.get(key) for row in rows)]
    return [{key: row.get(key) or None for key in kept} for row in rows]


def transposed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a metric, one column a run: what fits a page."""
    labels = [key for key in rows[0] if key not in ("direction", "run")]
    return [{"": label, **{row["run"]: row.get(label) for row in rows}} for label in labels]


def _seeds(runs: list[Evaluated], direction: str) -> list[dict[str, Any]]:
    """Mean, deviation (n - 1) and range over runs whose settings differ in nothing but the seed."""
    groups: dict[str, list[Evaluated]] = {}
    for run in runs:
        if run.config is not None and direction in run.about["n"]:
            same = {**{k: v for k, v in run.config.items() if k != "seed"}, "splits": run.about["split_ids"]}
            groups.setdefault(canonical(same), []).append(run)
    found = []
    for group in groups.values():
        if len(group) < 2:
            continue
        row: dict[str, Any] = {
            "direction": direction,
            "runs": ", ".join(run.name for run in group),
            "seeds": len(group),
        }
        for metric, label in COLUMNS.items():
            values = [one.value for run in group if (one := run.figure(metric, direction)) is not None]
            if len(values) == len(group):
                row[label] = f"{cell(float(np.mean(values)))} ± {cell(float(np.std(values, ddof=1)))}"
        found.append(row)
    return found


def _differences(runs: list[Evaluated], direction: str) -> list[dict[str, Any]]:
    first, found = runs[0], []
    for run in runs[1:]:
        if not all(direction in one.pictures for one in (first, run)):
            continue
        (mids, ours), (their_mids, theirs) = first.pictures[direction], run.pictures[direction]
        _, here, there = np.intersect1d(mids, their_mids, return_indices=True)
        for column, told in PAIRED.items():
            differences = theirs[column][there] - ours[column][here]
            values = differences[~np.isnan(differences)]
            if len(values):
                estimate = bootstrap_mean(values)
                found.append(
                    {
                        "direction": direction,
                        "run": run.name,
                        "against": first.name,
                        "metric": told,
                        "difference": estimate.value,
                        "low": estimate.as_dict()["low"],
                        "high": estimate.as_dict()["high"],
                        "n": estimate.n,
                    }
                )
    return found


def _warnings(runs: list[Evaluated]) -> list[str]:
    """What keeps the figures from being comparable."""
    texts = []
    judge = {run.name: (run.about["judge"] or {}).get("sha256") for run in runs}
    features = {run.name: run.about["features"]["sha256"] for run in runs}
    for told, values in (
        ("different judges", judge),
        ("different features", features),
        ("different splits of the workspace", {run.name: canonical(run.about["split_ids"]) for run in runs}),
        ("translations of different splits", {run.name: run.about["split"] for run in runs}),
    ):
        if len(set(values.values())) > 1:
            texts.append(f"These evaluations rest on {told}: evaluate all of the runs again before comparing them.")
    return texts


def write(found: Comparison, folder: Path) -> None:
    """Write compare.json, compare.csv and, where jinja2 is installed, index.html to `folder`."""
    write_text(folder / "compare.json", json.dumps(found.about(), indent=1, ensure_ascii=False) + "\n")
    write_csv(folder / "compare.csv", list(found.rows[0]), found.rows)
    if importlib.util.find_spec("jinja2") is None:
        return
    from bamkit.common.pages import Page

    page = Page("Runs side by side", ", ".join(run.name for run in found.runs))
    for text in found.warnings:
        page.note(text)
    for direction in dict.fromkeys(row["direction"] for row in found.rows):
        page.section(direction)
        own = [row for row in found.rows if row["direction"] == direction]
        page.table(transposed(own), caption="In brackets: the floors. LPIPS, KID and FID: lower is better.")
        spread = [
            {k: v for k, v in row.items() if k != "direction"} for row in found.seeds if row["direction"] == direction
        ]
        if spread:
            page.heading("Over seeds")
            page.table(spread, caption="Mean ± standard deviation over runs that differ in nothing but their seed.")
        paired = [
            {k: v for k, v in row.items() if k != "direction"}
            for row in found.differences
            if row["direction"] == direction
        ]
        if paired:
            page.heading("Picture by picture")
            page.table(paired, caption="Mean difference on the same pictures, with its 95 % bootstrap interval.")
    page.write(folder / "index.html")


def compare_and_write(workspace: Workspace, names: Sequence[str] = ()) -> tuple[Comparison, Path]:
    """`compare`, then `write` to reports/compare."""
    found = compare(workspace, names)
    folder = workspace.reports / "compare"
    write(found, folder)
    return found, folder
