"""The model card of an exported run: what it learned from, how, how well it does, where it fails, what it is for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bamkit
from bamkit.common.licences import licence
from bamkit.common.lineage import split_about, stale_evaluation
from bamkit.common.pages.cards import render
from bamkit.common.provenance import sha256_file
from bamkit.common.shards import read_tables
from bamkit.common.statistics import Estimate
from bamkit.common.workspace import Workspace
from bamkit.gan.evaluate import estimates
from bamkit.gan.evaluate.result import METRICS, PICTURES, folder_of, read_metrics, read_pictures
from bamkit.gan.train.checkpoint import Generators
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.translate.generator import has_strength

FAILURES = ("far from both domains", "copies", "inverted", "alike", "re-lit")
"""The metrics of bamkit evaluate that count failures; the rest says how well it went."""
WORST = 5
"""Pictures named of each direction."""
IDS = ("selection_id", "split_id", "files_id")
"""What names the pictures of a domain in run.json."""
LIBRARIES = {"onnx": "onnx", "safetensors": "safetensors"}


def model_card(
    workspace: Workspace, about: Mapping[str, Any], generators: Generators, weights: Mapping[str, str], to: str,
    files: Sequence[Path],
) -> str:  # fmt: skip
    """README.md for an export of a run. `about`: run.json; `weights`: direction -> hash; `files`: those written."""
    name = str(about.get("name", generators.run_id))
    evaluation = _evaluation(workspace, name, generators.run_id)
    return render(
        "model_card.md.j2",
        name=name,
        version=bamkit.__version__,
        library=LIBRARIES.get(to, "pytorch"),
        to=to,
        run_id=generators.run_id,
        checkpoint=generators.checkpoint_name,
        step=generators.step,
        names=generators.names,
        multiple=generators.config.multiple,
        weights=weights,
        files=[{"name": path.name, "sha256": sha256_file(path)} for path in files],
        imported="imported" in about,
        ids=IDS,
        domains=[_domain(workspace, about.get(side) or {}) for side in ("from", "to")],
        settings=_settings(generators.config),
        steps=about.get("steps") or 0,
        generator=generators.config.generator,
        tag=generators.config.method,
        method=METHODS[generators.config.method],
        strength=has_strength(generators.a_to_b),
        device=about.get("device", ""),
        versions=", ".join(f"{package} {number}" for package, number in (about.get("versions") or {}).items()),
        split=evaluation.get("split", ""),
        evaluated=[_figures(workspace, name, evaluation, direction) for direction in evaluation.get("n", {})],
        caveats=[*_caveats(workspace, name, evaluation, generators.checkpoint_name), *evaluation.get("warnings", ())],
        judge=evaluation.get("judge") or {},
        features=str((evaluation.get("features") or {}).get("description", "")).rstrip("."),
    )


def _domain(workspace: Workspace, side: Mapping[str, Any]) -> dict[str, Any]:
    """One domain as run.json knows it; of a folder its name, not where it lies on that machine."""
    build = side.get("build") or {}
    return {
        "name": side.get("name", "?"),
        "folder": Path(str(side.get("where", ""))).name if side.get("kind") == "folder" else "",
        "pictures": side.get("pictures"),
        "ids": {key: side[key] for key in IDS if side.get(key)},
        "build": ", ".join(f"{key} {value}" for key, value in sorted(build.items())),
        "licences": _licences(workspace, side),
    }


def _licences(workspace: Workspace, side: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The licences of the training pictures, the most frequent first; [] where that very split is not here."""
    name = str(side.get("name", ""))
    if not side.get("split_id") or split_about(workspace, name).get("split_id") != side["split_id"]:
        return []
    texts = read_tables(workspace.shards(name, "train"), ["license"])["license"].to_pylist()
    counted = Counter(licence(text).spdx or licence(text).text or "no licence" for text in texts)
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _settings(config: TrainConfig) -> list[tuple[str, Any]]:
    """What differs from the study's settings, and what tells one architecture from another."""
    usual, named = TrainConfig().as_dict(), ("generator", "width", "blocks", "size", "crop", "batch", "epochs", "seed")
    return [(key, value) for key, value in config.as_dict().items() if key in named or value != usual.get(key)]


def _evaluation(workspace: Workspace, name: str, run_id: str) -> dict[str, Any]:
    """metrics.json of the run's evaluation on test pictures; {} where there is none of this very training."""
    try:
        found = read_metrics(folder_of(workspace, name) / METRICS)
    except (OSError, ValueError):  # not there, or damaged: evaluate writes it anew
        return {}
    return found if found["run_id"] == run_id else {}


def _caveats(workspace: Workspace, name: str, evaluation: Mapping[str, Any], checkpoint: str) -> list[str]:
    if not evaluation:
        return []
    others = sorted({str(other) for other in evaluation["checkpoints"].values() if other and other != checkpoint})
    told = [f"The figures are of checkpoint {', '.join(others)}, not of {checkpoint}."] if others else []
    return told + [f"{stale.message}." for stale in stale_evaluation(workspace, name)]


def _figures(workspace: Workspace, name: str, evaluation: Mapping[str, Any], direction: str) -> dict[str, Any]:
    """The tables of one direction."""
    figures = estimates.table(evaluation["figures"])
    summary = estimates.summary(figures, direction)
    failing = summary["metric"].isin([estimates.METRIC_NAMES[metric] for metric in FAILURES])
    return {
        "direction": direction,
        "cases": estimates.cases(figures, direction) or f"{evaluation['n'][direction]:,} pictures",
        "columns": list(summary.columns),
        "rows": summary[~failing].to_dict("split")["data"],
        "failures": summary[failing].to_dict("split")["data"],
        "worst": _worst(workspace, name, direction, estimates.find(figures, "inverted", direction)),
    }


def _worst(workspace: Workspace, name: str, direction: str, inverted: Estimate | None) -> list[int]:
    """The mids of pictures whose light and dark were inverted most; `inverted`: the share that were."""
    if inverted is None or math.isnan(inverted.value):
        return []
    path, light = folder_of(workspace, name) / PICTURES, "translation light"
    try:
        pictures = read_pictures(path, [light])
    except (OSError, ValueError):  # not there, or damaged: the shares above still hold
        return []
    chosen = pictures[pictures["direction"] == direction].dropna(subset=light).sort_values(light, kind="stable")
    mids = chosen["mid"].head(round(inverted.value * inverted.n))
    return [int(mid) for mid in mids.dropna()[:WORST]]
