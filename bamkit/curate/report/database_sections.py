"""The report's sections on the database: score distributions, co-occurrence, the crowd beside the scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common import statistics, tables
from bamkit.common.contract import ATTRIBUTES, EMOTION, LABELS, short
from bamkit.common.figures import EMOTION_COLOURS
from bamkit.curate.audit.domain import DomainTables
from bamkit.curate.database.counts import HISTOGRAM_EDGES, Counts
from bamkit.curate.database.crowd import CAVEAT, Crowd
from bamkit.curate.report import plots
from bamkit.curate.report.builder import ReportBuilder, number_interval, percent
from bamkit.curate.report.domain_sections import emotions_of

if TYPE_CHECKING:
    import pyarrow as pa

RARE = 5
"""Lift is not shown where fewer than this many images are expected by chance: such ratios are noise."""


def histograms(counts: Counts) -> pa.Table:
    """attribute, low, high, images: the bins of every attribute's scores."""
    names = list(counts.scores)
    n = HISTOGRAM_EDGES.size - 1
    return tables.from_columns(
        {
            "attribute": [name for name in names for _ in range(n)],
            "low": np.tile(HISTOGRAM_EDGES[:-1], len(names)),
            "high": np.tile(HISTOGRAM_EDGES[1:], len(names)),
            "images": np.concatenate([counts.scores[name].histogram for name in names]),
        }
    )


def scores(report: ReportBuilder, counts: Counts, domains: Sequence[DomainTables]) -> None:
    """The score distributions of the four emotions, with the place where each training set ends."""
    report.page.section(
        "Scores of the emotions",
        f"How the {counts.scored:,} scored images are spread over each emotion's score. Scores are negative and higher "
        "means surer; they behave like log-probabilities. A dashed line shows where a training set ends: all its "
        "images lie to the right.",
    )
    report.keep("score-histograms", histograms(counts))
    ranked = emotions_of(domains)
    draw, parts = [], []
    for name in EMOTION:
        attribute = f"emotion_{name}"
        if attribute not in counts.scores:
            continue
        bins = counts.scores[attribute].histogram
        marks = [(worst, d.name) for d in ranked[attribute] if (worst := _worst(d)) is not None]
        draw.append(
            lambda axes, bins=bins, name=name, marks=marks: plots.histogram(
                axes, HISTOGRAM_EDGES, bins, name, EMOTION_COLOURS[name], marks
            )
        )
        low, middle, high = statistics.quantiles_of_histogram(bins, HISTOGRAM_EDGES, [0.05, 0.5, 0.95])
        alt = f"Histogram of {name} scores: median {middle:.1f}, 90 % between {low:.1f} and {high:.1f}."
        parts.append((plots.single(draw[-1], (4.2, 2.5)), alt))
    if draw:
        report.panels(
            "scores", plots.panels(draw), parts, "Images in bins of a quarter; the lowest half percent is cut off."
        )
    rows = [_summary_row(counts, attribute) for attribute in counts.scores]
    report.page.details("Score ranges of all attributes", rows)


def _worst(domain: DomainTables) -> float | None:
    import pyarrow.compute as pc

    return pc.min(domain.split("train")["score"]).as_py()


def _summary_row(counts: Counts, attribute: str) -> dict[str, object]:
    one = counts.scores[attribute]
    low, middle, high = statistics.quantiles_of_histogram(one.histogram, HISTOGRAM_EDGES, [0.05, 0.5, 0.95])
    return {
        "attribute": attribute,
        "n": one.n,
        "lowest": one.minimum,
        "5 %": round(float(low), 2),
        "median": round(float(middle), 2),
        "95 %": round(float(high), 2),
        "highest": one.maximum,
        "mean": one.mean,
        "not a number": one.missing + one.text,
    }


def label_counts(report: ReportBuilder, counts: Counts) -> None:
    """How often each label occurs in the whole database."""
    rows = [
        {"attribute": name, **{label: counts.labels[name].get(label, 0) for label in LABELS}}
        for name in ATTRIBUTES
        if name in counts.labels
    ]
    report.keep("database-labels", tables.from_rows(rows))
    shown = [{**row, "positive share": percent(row["positive"] / max(1, counts.labelled), 2)} for row in rows]
    report.page.details(f"Labels in the database ({counts.label_source})", shown)


def cooccurrence(report: ReportBuilder, counts: Counts) -> None:
    """Which attributes are positive together: 20 x 20 lift and PMI."""
    joint = counts.cooccurrence
    single = np.diag(joint)
    lift = statistics.lift(joint, single[:, None], single[None, :], counts.labelled)
    pmi = statistics.pmi(joint, single[:, None], single[None, :], counts.labelled)
    expected = single[:, None] * single[None, :] / max(1, counts.labelled)
    i, j = np.tril_indices(len(ATTRIBUTES), -1)
    table = {
        "a": [ATTRIBUTES[one] for one in i],
        "b": [ATTRIBUTES[one] for one in j],
        "images": joint[i, j],
        "expected": expected[i, j],
        "lift": lift[i, j],
        "pmi": pmi[i, j],
    }
    rows = report.keep("cooccurrence", tables.from_columns(table)).to_pylist()
    report.page.section(
        "What occurs together",
        f"Lift: how many times more often two attributes are positive in one of the {counts.labelled:,} labelled "
        "images than chance would have it; 1 is independence, and log2 of it is the pointwise mutual information. "
        f"Pairs of which chance would give fewer than {RARE} images are left blank.",
    )
    known = np.where(expected >= RARE, np.maximum(pmi, -9.0), np.nan)  # never together: as blue as it gets
    np.fill_diagonal(known, np.nan)
    texts = np.vectorize(lambda value: "" if np.isnan(value) else f"{value:.1f}" if value < 9.95 else f"{value:.0f}")(
        lift
    )
    labels = [plots.words(name) for name in ATTRIBUTES]
    figure = plots.single(
        lambda axes: plots.heat_map(
            axes, known, labels, texts, 4.0, "lift\nred: more often together than by chance\nblue: less often"
        ),
        (7.6, 7.2),
    )
    strong = sorted((r for r in rows if r["expected"] >= RARE and r["images"]), key=lambda r: -r["lift"])[:3]
    said = ", ".join(f"{plots.words(r['a'])} with {plots.words(r['b'])} {r['lift']:.1f}" for r in strong)
    report.figure(
        "cooccurrence", figure, f"Heat map of the lift of all pairs of attributes. Highest: {said}.", wide=True
    )
    shown = sorted(rows, key=lambda row: -row["images"])
    report.page.details("All 190 pairs", [{**r, "a": short(r["a"]), "b": short(r["b"])} for r in shown])


def crowd_agreement(report: ReportBuilder, crowd: Crowd) -> None:
    """The crowd's labels against the scores."""
    page = report.page
    page.section("The crowd beside the scores", f"{crowd.n:,} crowd labels of images that also have a score.")
    page.note(CAVEAT)
    agreement = report.keep("crowd-agreement", crowd.agreement).to_pylist()
    calibration = report.keep("crowd-calibration", crowd.calibration).to_pylist()
    dots = [{**r, "low": r["average_precision_low"], "high": r["average_precision_high"]} for r in agreement]
    figure = plots.single(
        lambda axes: plots.intervals(
            axes,
            dots,
            "average_precision",
            "average precision (95 % intervals; grey tick: share of positives)",
            "prevalence",
        ),
        (7.6, 0.9 + 0.25 * len(dots)),
    )
    best = max(agreement, key=lambda row: row["average_precision"])
    value = f"{plots.words(best['attribute'])} {best['average_precision']:.2f}"
    alt = f"Average precision of each attribute's score; best {value}."
    report.figure("crowd-average-precision", figure, alt, wide=True)
    draw = [
        partial(plots.reliability, rows=bins, title=plots.words(name), tint=plots.GROUP_COLOURS[name.split("_", 1)[0]])
        for name, bins in _by_attribute(calibration).items()
    ]
    report.figure(
        "crowd-calibration",
        plots.small_multiples(draw, 5),
        "Reliability diagrams of all attributes: share of crowd positives by score.",
        "Share of crowd positives (vertical) by score (horizontal), with 95 % Wilson intervals; dashed is exp(score), "
        "where the dots would lie if the scores were the log-probabilities they look like.",
        wide=True,
    )
    page.details("Agreement of each attribute", [_agreement_row(row) for row in agreement])


def _by_attribute(rows: list[dict]) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for row in rows:
        found.setdefault(row["attribute"], []).append(row)
    return found


def _agreement_row(row: dict) -> dict[str, object]:
    def shown(name: str) -> str:
        return number_interval(row[name], row[f"{name}_low"], row[f"{name}_high"])

    return {
        "attribute": row["attribute"],
        "n": row["n"],
        "positives": row["positives"],
        "unsure": row["unsure"],
        f"precision above {row['threshold']:g}": shown("precision"),
        "recall": shown("recall"),
        "average precision": shown("average_precision"),
        "AUC": shown("auc"),
        "calibration gap": round(row["calibration_error"], 3),
        "90 % precise above": row["precision_90_above"],
        "recall there": row["precision_90_recall"],
    }
