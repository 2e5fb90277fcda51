"""Agreement between raters beyond chance."""

from __future__ import annotations

import numpy as np


def fleiss_kappa(counts: np.ndarray) -> float:
    """Agreement of a fixed number of raters beyond chance (Fleiss 1971, eq. 7), at most 1.

    counts: (items, categories), how many raters put each item into each category; every row has the same sum >= 2.
    nan where all answers fall into one category (chance agreement is then 1). Raises ValueError on uneven rows.
    """
    counts = np.asarray(counts, dtype=np.float64)
    raters = counts.sum(axis=1)
    if len(counts) == 0 or raters[0] < 2 or not np.all(raters == raters[0]):
        raise ValueError("Fleiss' kappa needs the same number of raters, at least 2, for every item")
    n = raters[0]
    observed = ((counts**2).sum(axis=1) - n).mean() / (n * (n - 1))
    expected = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")


def krippendorff_alpha(answers: np.ndarray) -> float:
    """Krippendorff's alpha for nominal data (2011, section C), which allows missing answers; at most 1.

    answers: (raters, items) float, nan where a rater did not answer. Items with fewer than two answers say nothing and
    are left out. nan where no item has two answers or all answers are the same.
    """
    answers = np.asarray(answers, dtype=np.float64)
    categories = np.unique(answers[~np.isnan(answers)])
    counts = (
        np.stack([(answers == category).sum(axis=0) for category in categories], axis=1) if len(categories) else None
    )
    if counts is None:
        return float("nan")
    counts = counts[counts.sum(axis=1) >= 2].astype(np.float64)
    total = counts.sum()
    if not total:
        return float("nan")
    raters = counts.sum(axis=1)
    disagreement = float(((raters**2 - (counts**2).sum(axis=1)) / (raters - 1)).sum() / total)
    marginal = counts.sum(axis=0)
    expected = float((total**2 - (marginal**2).sum()) / (total * (total - 1)))
    return 1 - disagreement / expected if expected else float("nan")
