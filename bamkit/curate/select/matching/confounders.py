"""What else tells two domains apart: their content and media scores, compared by means and by a classifier."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common import statistics
from bamkit.common.contract import ATTRIBUTES, NOT_EMOTION
from bamkit.common.errors import BamkitError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from bamkit.common.statistics.clusters import Clusters

FOLDS = 5
TREES = 60


def features(rows: pa.Table) -> NDArray[np.float64]:
    """float64 (n, 16): the content and media scores; NaN where there is none."""
    columns = [rows[f"{name}_score"].to_numpy(zero_copy_only=False) for name in NOT_EMOTION]
    return np.column_stack(columns).astype(np.float64)


def coarse_labels(rows: pa.Table) -> NDArray[np.int64]:
    """int64 (n,): a bit mask of the content and media attributes labelled positive."""
    import pyarrow.compute as pc

    mask = np.zeros(rows.num_rows, dtype=np.int64)
    for bit, name in enumerate(NOT_EMOTION):
        positive = pc.fill_null(pc.equal(rows[name], "positive"), False)
        mask |= positive.to_numpy(zero_copy_only=False).astype(np.int64) << bit
    return mask


def score_shift(a: pa.Table, b: pa.Table, attributes: tuple[str, ...] = ATTRIBUTES) -> dict[str, float]:
    """The standardised mean difference of each attribute's score, a minus b."""
    columns = [f"{name}_score" for name in attributes]
    return {
        name: statistics.standardised_mean_difference(a[column].to_numpy(), b[column].to_numpy())
        for name, column in zip(attributes, columns, strict=True)
    }


def separability(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    seed: int = 0,
    pairs: NDArray[np.int64] | None = None,
    projects: Clusters = None,
) -> tuple[float, float, float]:
    """How well boosted trees tell the rows of `a` from those of `b` on rows they have not seen: AUC and its interval.

    0.5 means that they cannot. Five-fold cross-validated; the interval (95 %) takes the five models as given. `pairs`
    numbers the rows of a, then b: those of one number stay in one fold (else a matched image learnt by the trees would
    make them wrong about its partner, and the AUC would fall below 0.5). `projects` numbers them likewise: the interval
    is clustered by project and, without pairs, no project is torn between folds, as its images are alike. (NaN, 0, 1)
    where a side has fewer rows than folds, or both together fewer projects.
    """
    varies = np.array([np.unique(column[np.isfinite(column)]).size > 1 for column in np.vstack([a, b]).T])
    if min(len(a), len(b)) < FOLDS or not varies.any():
        return math.nan, 0.0, 1.0
    groups = projects if pairs is None else pairs
    if groups is not None and np.unique(groups).size < FOLDS:
        return math.nan, 0.0, 1.0
    a, b = a[:, varies], b[:, varies]
    scores, labels = _cross_validated(a, b, seed, groups), np.repeat([True, False], [len(a), len(b)])
    area = statistics.auc(labels, scores, projects)
    return area.value, area.low, area.high


def propensities(
    target: NDArray[np.float64], pool: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The logit of the chance to come from the target, for the rows of both; each judged by trees that never saw it.

    Trees judge their own training rows too well, which would pull the target's rows away from their likes.
    """
    known = np.isfinite(target).any(axis=0) & np.isfinite(pool).any(axis=0)
    target, pool = target[:, known], pool[:, known]
    if not known.any():
        raise BamkitError("images without content and media scores cannot be matched")
    if min(len(target), len(pool)) < FOLDS:
        return np.zeros(len(target)), np.zeros(len(pool))
    both = _cross_validated(target, pool, seed)
    return both[: len(target)], both[len(target) :]


def _cross_validated(
    a: NDArray[np.float64], b: NDArray[np.float64], seed: int, groups: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    trees = HistGradientBoostingClassifier(max_iter=TREES, max_leaf_nodes=8, early_stopping=False, random_state=seed)
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = kind(FOLDS, shuffle=True, random_state=seed)
    labels = np.repeat([1, 0], [len(a), len(b)])
    # The order in which threads add up gradients must not decide which images are chosen.
    with threadpool_limits(1):
        predicted = cross_val_predict(trees, np.vstack([a, b]), labels, cv=folds, groups=groups, method="predict_proba")
    chance: NDArray[np.float64] = np.clip(predicted[:, 1], 1e-6, 1 - 1e-6)
    logits: NDArray[np.float64] = np.log(chance / (1 - chance))
    return logits
