"""The report's sections on the database: score distributions, co-occurrence, the crowd beside the scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from bamkit.common import statistics
from bamkit.common.contract import ATTRIBUTES, EMOTION, LABELS, short
from bamkit.common.pages.figures import EMOTION_COLOURS
from bamkit.common.terminal.console import interval, percent
from bamkit.curate.audit.domain import DomainTables
from bamkit.curate.database.accumulator import HISTOGRAM_EDGES, Counts
from bamkit.curate.database.crowd import CAVEAT, Crowd
from bamkit.curate.report import plots
from bamkit.curate.report.builder import ReportBuilder

RARE = 5
"""Lift is not shown where fewer than this many images are expected by chance: such ratios are noise."""


def histograms(counts: Counts) -> pd.DataFrame:
    """attribute, low, high, images: the bins of every attribute's scores."""
    n = HISTOGRAM_EDGES.size - 1
    return pd.DataFrame(
        {
            "attribute": np.repeat(list(counts.scores), n),
            "low": np.tile(HISTOGRAM_EDGES[:-1], len(counts.scores)),
            "high": np.tile(HISTOGRAM_EDGES[1:], len(counts.scores)),
            "images": np.concatenate([summary.histogram for summary in counts.scores.values()]),
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
    ranges = _score_ranges(counts)
    draw, parts = [], []
    for name in EMOTION:
        attribute = f"emotion_{name}"
        if attribute not in counts.scores:
            continue
        ends = [(pc.min(d.split("train")["score"]).as_py(), d.name) for d in domains if d.ranked_by == attribute]
        draw.append(
            partial(
                plots.histogram, edges=HISTOGRAM_EDGES, counts=counts.scores[attribute].histogram, title=name,
                colour=EMOTION_COLOURS[name], marks=[mark for mark in ends if mark[0] is not None],
            )
        )  # fmt: skip
        low, middle, high = ranges.loc[ranges["attribute"] == attribute, ["5 %", "median", "95 %"]].iloc[0]
        alt = f"Histogram of {name} scores: median {middle:.1f}, 90 % between {low:.1f} and {high:.1f}."
        parts.append((plots.single(draw[-1], (4.2, 2.5)), alt))
    if draw:
        report.panels(
            "scores", plots.panels(draw), parts, "Images in bins of a quarter; the lowest half percent is cut off."
        )
    report.page.details("Score ranges of all attributes", ranges)


def _score_ranges(counts: Counts) -> pd.DataFrame:
    summaries = pd.DataFrame([vars(summary) for summary in counts.scores.values()])
    quantiles = [
        statistics.quantiles_of_histogram(histogram, HISTOGRAM_EDGES, [0.05, 0.5, 0.95]).round(2)
        for histogram in summaries["histogram"]
    ]
    ranges = pd.DataFrame(quantiles, columns=["5 %", "median", "95 %"])
    ranges.insert(0, "lowest", summaries["minimum"].round(2))
    unusable = (summaries["missing"] + summaries["text"]).rename("not a number")
    rest = summaries[["maximum", "mean"]].round(2).rename(columns={"maximum": "highest"})
    return pd.concat([summaries[["attribute", "n"]], ranges, rest, unusable], axis=1)


def label_counts(report: ReportBuilder, counts: Counts) -> None:
    """How often each label occurs in the whole database."""
    labels = pd.DataFrame(counts.labels, index=list(LABELS), columns=[n for n in ATTRIBUTES if n in counts.labels])
    table = labels.fillna(0).astype(int).T.rename_axis("attribute").reset_index()
    report.keep("database-labels", table)
    shares = table["positive"] / max(1, counts.labelled)
    shown = table.assign(**{"positive share": shares.map(partial(percent, digits=2))})
    report.page.details(f"Labels in the database ({counts.label_source})", shown)


def cooccurrence(report: ReportBuilder, counts: Counts) -> None:
    """Which attributes are positive together: 20 x 20 lift and PMI."""
    joint = counts.cooccurrence
    single = np.diag(joint)
    lift = statistics.lift(joint, single[:, None], single[None, :], counts.labelled)
    pmi = statistics.pmi(joint, single[:, None], single[None, :], counts.labelled)
    expected = single[:, None] * single[None, :] / max(1, counts.labelled)
    i, j = np.tril_indices(len(ATTRIBUTES), -1)
    names = np.array(ATTRIBUTES)
    pairs = {"a": names[i], "b": names[j], "images": joint[i, j], "expected": expected[i, j]}
    table = report.keep("cooccurrence", pd.DataFrame(pairs | {"lift": lift[i, j], "pmi": pmi[i, j]}))
    report.page.section(
        "What occurs together",
        f"Lift: how many times more often two attributes are positive in one of the {counts.labelled:,} labelled "
        "images than chance would have it; 1 is independence, and log2 of it is the pointwise mutual information. "
        f"Pairs of which chance would give fewer than {RARE} images are left blank.",
    )
    known = np.where(expected >= RARE, np.maximum(pmi, -9.0), np.nan)  # never together: the darkest blue
    np.fill_diagonal(known, np.nan)
    texts = np.vectorize(lambda value: "" if np.isnan(value) else f"{value:.1f}" if value < 9.95 else f"{value:.0f}")(
        lift
    )
    labels = [plots.words(name) for name in ATTRIBUTES]
    legend = "lift\nred: more often together than by chance\nblue: less often"
    figure = plots.single(lambda axes: plots.heat_map(axes, known, labels, texts, 4.0, legend), (7.6, 7.2))
    strong = table[(table["expected"] >= RARE) & (table["images"] > 0)].nlargest(3, "lift")
    highest = ", ".join(
        f"{plots.words(r['a'])} with {plots.words(r['b'])} {r['lift']:.1f}" for r in strong.to_dict("records")
    )
    alt = f"Heat map of the lift of all pairs of attributes. Highest: {highest}."
    report.figure("cooccurrence", figure, alt, wide=True)
    shown = table.sort_values("images", ascending=False, kind="stable").round({"expected": 1, "lift": 2, "pmi": 2})
    report.page.details("All 190 pairs", shown.assign(a=shown["a"].map(short), b=shown["b"].map(short)))


def crowd_agreement(report: ReportBuilder, crowd: Crowd) -> None:
    """The crowd's labels against the scores."""
    page = report.page
    page.section("The crowd beside the scores", f"{crowd.n:,} crowd labels of images that also have a score.")
    page.note(CAVEAT)
    agreement = report.keep("crowd-agreement", crowd.agreement)
    calibration = report.keep("crowd-calibration", crowd.calibration)
    known = agreement.dropna(subset=["average_precision"])
    label = "average precision (95 % intervals; grey tick: share of positives)"
    figure = plots.single(
        lambda axes: plots.intervals(axes, known, "average_precision", label, "prevalence"),
        (5.2, 0.9 + 0.25 * len(known)),
    )
    best = known.nlargest(1, "average_precision").to_dict("records")
    highest = "".join(f"; best {plots.words(row['attribute'])} {row['average_precision']:.2f}" for row in best)
    alt = f"Average precision of each attribute's score{highest}."
    report.figure("crowd-average-precision", figure, alt)
    if len(known) < len(agreement):
        without = ", ".join(map(plots.words, agreement[agreement["positives"] == 0]["attribute"]))
        page.text(f"Not in the figure, since the crowd called none of their images positive: {without}.")
    draw = [
        partial(plots.reliability, rows=bins, title=plots.words(str(name)), tint=plots.group_colour(str(name)))
        for name, bins in calibration.groupby("attribute", sort=False)
    ]
    report.figure(
        "crowd-calibration",
        plots.small_multiples(draw, 5, ("score", "share of crowd positives")),
        "Reliability diagrams of all attributes: share of crowd positives by score.",
        "Share of crowd positives (vertical) by score (horizontal), with 95 % Wilson intervals; dashed is exp(score), "
        "where the dots would lie if the scores were the log-probabilities they look like.",
        wide=True,
    )
    page.details("Agreement of each attribute", _agreement_texts(agreement))


def _agreement_texts(agreement: pd.DataFrame) -> pd.DataFrame:
    """The agreement for people; where there is nothing to estimate from, the cell says why."""
    none = agreement["positives"] == 0

    def shown(name: str, why: str) -> pd.Series:
        texts = map(interval, agreement[name], agreement[f"{name}_low"], agreement[f"{name}_high"])
        return (
            pd.Series(list(texts), index=agreement.index).where(agreement[name].notna(), why).mask(none, "no positives")
        )

    threshold = agreement["threshold"].iloc[0]
    reached = agreement["precision_90_above"].round(2).astype(object).where(agreement["precision_90_above"].notna())
    columns = {
        f"precision above {threshold:g}": shown("precision", "no score above"),
        "recall": shown("recall", "no positives"),
        "average precision": shown("average_precision", "no positives"),
        "AUC": shown("auc", "positives only"),
        "calibration gap": agreement["calibration_error"].round(2),
        "90 % precise above": reached.fillna("nowhere").mask(none, "no positives"),
        "recall there": agreement["precision_90_recall"].round(2),
    }
    return agreement[["attribute", "n", "positives", "unsure"]].assign(**columns)
