"""The judge's card: what it was trained on, how good it is, and what it is not good for."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bamkit.common.contract import EMOTION, short
from bamkit.common.pages.figures import EMOTION_COLOURS, new, style, svg
from bamkit.common.pages.page import FAINT, Page
from bamkit.common.provenance import digest, versions
from bamkit.common.statistics import (
    Bin,
    Estimate,
    auc,
    average_precision,
    calibration,
    count_clusters,
    expected_calibration_error,
    subset,
)
from bamkit.gan.judge.identity import PARTS

if TYPE_CHECKING:
    from bamkit.common.statistics.clusters import Clusters
    from bamkit.gan.judge.model import Judge, Network

FRACTIONS = ("chance", "calibration error")
LIMITS = (
    "It knows BAM's labels, not people's feelings: ask people too (bamkit evaluate --user-study).",
    "It judges at even odds, as if either answer were equally likely; calibration is measured on its own mixture.",
    "It judges small versions of the pictures; what shows only at full size it does not see.",
    "It can be fooled by a generator trained against it. Do not choose checkpoints by it and report it too.",
)


def card_of(
    network: Network,
    logits: np.ndarray,
    labels: np.ndarray,
    part: np.ndarray,
    projects: Clusters,
    about: dict[str, Any],
) -> dict[str, Any]:
    """The card as plain values. logits, labels: (n, k), nan for unknown labels; part: (n,) index into PARTS.

    `projects`: (n,) the number of each picture's project, None where none is known: intervals are clustered by it.
    """
    shape = network.shape
    slope, offset = network.slope.cpu().numpy(), network.offset.cpu().numpy()
    held = part == 2
    measured = {}
    for index, name in enumerate(shape.attributes):
        column = labels[:, index]
        counts = {
            name_of_part: {
                "positive": int((column[part == p] == 1).sum()),
                "negative": int((column[part == p] == 0).sum()),
            }
            for p, name_of_part in enumerate(PARTS)
        }
        scores = logits[held, index] * slope[index] + offset[index]
        clusters = subset(projects, held)
        measured[name] = {"counts": counts, **_measured(labels[held, index], scores, clusters)}
    return {
        "kind": "judge",
        "attributes": list(shape.attributes),
        "backbone": shape.backbone,
        "size": shape.size,
        "weights": about["weights"],
        "images": {PARTS[p]: int((part == p).sum()) for p in range(len(PARTS))},
        "projects": {PARTS[p]: count_clusters(subset(projects, part == p)) for p in range(len(PARTS))},
        "trained_on": {"splits": about["splits"], "known_sha256": about["known_sha256"]},
        "known_sha256": about["known_sha256"],
        "excluded": about["excluded"],
        "not_judged": about["without_labels"],
        "held_out": measured,
        "epoch": about["epoch"],
        "config": about["config"],
        "config_id": digest(about["config"]),
        "limits": list(LIMITS),
        "versions": versions(("torch", "torchvision", "numpy", "pillow")),
    }


def _measured(labels: np.ndarray, scores: np.ndarray, projects: Clusters) -> dict[str, Any]:
    """Average precision and AUC with their intervals, and calibration, of one attribute on the held-out part."""
    known = ~np.isnan(labels)
    truth, scores = labels[known] > 0.5, scores[known].astype(np.float64)
    projects = subset(projects, known)
    probabilities = 1 / (1 + np.exp(-scores))
    bins = calibration(truth, probabilities, np.arange(11) / 10, probabilities, projects)
    return {
        "n": int(known.sum()),
        "projects": count_clusters(projects),
        "prevalence": _plain(float(truth.mean())) if len(truth) else None,
        "average_precision": average_precision(truth, scores, projects).as_dict(),
        "auc": auc(truth, scores, projects).as_dict(),
        "brier": _plain(float(np.mean((probabilities - truth) ** 2)) if len(truth) else math.nan),
        "calibration_error": _plain(expected_calibration_error(bins)),
        "reliability": [_reliability_row(each) for each in bins if each.observed.n],
    }


def _reliability_row(each: Bin) -> dict[str, Any]:
    observed = each.observed
    return {
        "low": each.low, "high": each.high, "n": observed.n, "predicted": each.expected, "observed": observed.value
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def held_out(card: dict[str, Any]) -> pd.DataFrame:
    """How good the judge is on the held-out part: one row an attribute, emotions first."""
    order = sorted(card["attributes"], key=lambda name: (short(name) not in EMOTION, name))
    rows = []
    for name in order:
        measured = card["held_out"][name]
        rows.append(
            {
                "attribute": name,
                "n": measured["n"],
                "projects": measured.get("projects"),
                "positive": measured["counts"]["held out"]["positive"],
                "average precision": str(Estimate.from_dict(measured["average_precision"])),
                "chance": measured["prevalence"],
                "AUC": str(Estimate.from_dict(measured["auc"])),
                "calibration error": measured["calibration_error"],
            }
        )
    return pd.DataFrame(rows).astype({"projects": "Int64", "chance": float, "calibration error": float}).round(3)


def write_card_page(judge: Judge, folder: Path, form: Judge | None = None) -> None:
    """The card as index.html, with that of the judge of form, where jinja2 and matplotlib are installed."""
    if not all(importlib.util.find_spec(package) for package in ("jinja2", "matplotlib")):
        return
    card = judge.card
    images = ", ".join(f"{count:,} {part}" for part, count in card["images"].items())
    page = Page(
        "The judge", f"{card['backbone']} at {card['size']} px, {card['weights']['training']}. Images: {images}."
    )
    page.section("How good it is", "On the held-out part, which no weight, epoch or calibration was chosen on.")
    page.table(
        held_out(card).assign(**{name: lambda rows, n=name: rows[n].map("{:.3f}".format) for name in FRACTIONS}),
        caption="n: held-out pictures with a label, of so many projects, by which intervals are clustered. Chance: the "
        "average precision of a random order.",
    )
    emotions = [name for name in card["attributes"] if name.startswith("emotion_")]
    if emotions:
        page.figures(
            [(_reliability(card, name), f"Reliability of {short(name)}") for name in emotions],
            "Predicted probability and observed share, by tenths; a calibrated judge is on the line. The table above "
            "has the errors.",
        )
    if form is not None:
        page.section(
            "The judge of form alone",
            "Fitted to the same pictures, it sees directions of edges only: no colour, brightness or contrast.",
        )
        page.table(held_out(form.card))
    page.section("What it was trained on", "Projects and near-duplicates are never torn between the three parts.")
    page.table([{"split": name, "split id": value or "none"} for name, value in card["trained_on"]["splits"].items()])
    excluded = ", ".join(f"{count} {reason}" for reason, count in card["excluded"].items() if count)
    page.text(f"Left out, as other splits or selections of the workspace have them: {excluded or 'nothing'}.")
    if card["not_judged"]:
        page.details("Not judged", [{"attribute": name, "why": why} for name, why in card["not_judged"].items()])
    page.section("What it is not good for")
    for text in card["limits"]:
        page.text(text)
    rows = [("weights", judge.sha256), ("known.parquet", card["known_sha256"])]
    if card["weights"]["sha256"]:
        rows.append(("pretrained weights", card["weights"]["sha256"]))
    page.section("Hashes and versions")
    page.table([{"what": name, "value": value} for name, value in [*rows, *card["versions"].items()]])
    page.write(folder / "index.html")


def _reliability(card: dict[str, Any], name: str) -> bytes:
    """The reliability diagram of one emotion; the dots' area grows with their n."""
    measured = card["held_out"][name]
    rows = pd.DataFrame(measured["reliability"], columns=["predicted", "observed", "n"])
    figure = new(3.0, 2.6)
    with style():
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], linewidth=1, color=FAINT, linestyle=":")
        sizes = 12 + 100 * rows["n"] / max(1, measured["n"])
        axes.scatter(rows["predicted"], rows["observed"], s=sizes, color=EMOTION_COLOURS[short(name)])
        axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), title=short(name), xlabel="predicted", ylabel="observed")
    return svg(figure)
