"""Estimates with intervals, and the statistics behind reports, matching, audits and evaluation.

Pure functions of arrays. Intervals are two-sided and of level `confidence`; `tests/test_coverage.py` shows by
simulation how often each covers. An estimate from nothing is NaN, its interval the whole range, never zero. scipy and
scikit-learn take up to three seconds to import and are imported where they are used.
"""

from bamkit.common.statistics.calibration import Bin, calibration, expected_calibration_error
from bamkit.common.statistics.clusters import cases_text, clusters_of, count_clusters, standard_error, subset
from bamkit.common.statistics.differences import (
    BALANCED,
    lift,
    pmi,
    quantiles_of_histogram,
    standardised_difference_of_shares,
    standardised_mean_difference,
)
from bamkit.common.statistics.estimate import DEVIATION, Estimate, normal_quantile, number_text
from bamkit.common.statistics.means import bootstrap_mean, finite
from bamkit.common.statistics.proportions import (
    difference,
    difference_of_proportions,
    difference_of_shares,
    precision_recall,
    share,
    wilson,
)
from bamkit.common.statistics.ranking import auc, average_precision

__all__ = [
    "BALANCED",
    "DEVIATION",
    "Bin",
    "Estimate",
    "auc",
    "average_precision",
    "bootstrap_mean",
    "calibration",
    "cases_text",
    "clusters_of",
    "count_clusters",
    "difference",
    "difference_of_proportions",
    "difference_of_shares",
    "expected_calibration_error",
    "finite",
    "lift",
    "normal_quantile",
    "number_text",
    "pmi",
    "precision_recall",
    "quantiles_of_histogram",
    "share",
    "standard_error",
    "standardised_difference_of_shares",
    "standardised_mean_difference",
    "subset",
    "wilson",
]
