"""How good a classifier's scores are, and how far its probabilities can be believed."""

from __future__ import annotations

import numpy as np


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve as a step function: sum of (R_k - R_(k-1)) P_k over distinct scores.

    labels: (n,) bool; scores: (n,), higher is surer. nan where there is no positive. A random order gives about the
    share of positives.
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    if not labels.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits, ranked = np.cumsum(labels[order]), scores[order]
    last = np.append(np.diff(ranked) != 0, True)  # ties are taken together
    precision, recall = hits[last] / (np.flatnonzero(last) + 1), hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    nan where one class is absent.
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared error of probabilities against 0/1 labels (Brier 1950), in [0, 1]; nan for none."""
    errors = np.asarray(probabilities, dtype=np.float64) - np.asarray(labels, dtype=np.float64)
    return float(np.mean(errors**2)) if len(errors) else float("nan")


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """The reliability table: for each non-empty equal-width bin of probability its `low`, `high`, `n`, the mean
    `predicted` probability and the `observed` share of positives.
    """
    labels, probabilities = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    which = np.clip((probabilities * bins).astype(int), 0, bins - 1)
    rows = []
    for index in np.unique(which):
        inside = which == index
        rows.append(
            {
                "low": float(index / bins),
                "high": float((index + 1) / bins),
                "n": int(inside.sum()),
                "predicted": float(probabilities[inside].mean()),
                "observed": float(labels[inside].mean()),
            }
        )
    return rows


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015): the bins' |observed - predicted| weighted by n; nan for none."""
    rows = reliability(labels, probabilities, bins)
    total = sum(row["n"] for row in rows)
    return sum(row["n"] * abs(row["observed"] - row["predicted"]) for row in rows) / total if total else float("nan")


def platt(labels: np.ndarray, logits: np.ndarray, steps: int = 100) -> tuple[float, float]:
    """Slope and offset (a, b) such that sigmoid(a * logit + b) is calibrated on these cases (Platt 1999).

    Targets are Platt's (n+ + 1)/(n+ + 2) and 1/(n- + 2), which keep the fit finite on separable data; Newton's method
    with step halving as in Lin, Lin and Weng (2007). The slope is kept at or above 0.05: calibration must not reverse
    the order. (1, 0) where a class is absent.
    """
    labels, logits = np.asarray(labels, dtype=bool), np.asarray(logits, dtype=np.float64)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return 1.0, 0.0
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(a: float, b: float) -> float:
        z = a * logits + b
        return float(np.sum(np.logaddexp(0, z) - target * z))

    a, b = 0.0, float(np.log((positives + 1) / (negatives + 1)))
    value = loss(a, b)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(a * logits + b)))
        residual, weight = p - target, p * (1 - p)
        gradient = np.array([residual @ logits, residual.sum()])
        hessian = np.array([[weight @ logits**2, weight @ logits], [weight @ logits, weight.sum()]]) + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-8 and loss(a - size * step[0], b - size * step[1]) > value - 1e-4 * size * gradient @ step:
            size /= 2
        a, b = a - size * step[0], b - size * step[1]
        value, before = loss(a, b), value
        if before - value < 1e-10:
            break
    if a < 0.05:
        return 0.05, float(np.log((positives + 1) / (negatives + 1)) - 0.05 * logits.mean())
    return float(a), float(b)
