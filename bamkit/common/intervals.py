"""Confidence intervals for proportions and means, used by the reports (curate) and the evaluation (gan).

numpy is imported where a bootstrap is drawn, so that importing this module costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from bamkit.common.console import cell

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A figure with the number of cases behind it and its interval. `low` and `high` are nan where there is none."""

    value: float
    """The estimate itself."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    n: int
    """How many independent cases the estimate rests on."""
    method: str = ""
    """How the interval was made: `wilson`, `bootstrap` ... with its confidence in `confidence`."""
    confidence: float = 0.95
    """Coverage the interval aims at, in (0, 1)."""

    def __str__(self) -> str:
        """`0.71 [0.64, 0.77], n = 200`."""
        if math.isnan(self.low):
            return f"{cell(self.value)}, n = {self.n:,}"
        return f"{cell(self.value)} [{cell(self.low)}, {cell(self.high)}], n = {self.n:,}"

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values; nan becomes None."""
        plain = asdict(self)
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in plain.items()}


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """The proportion `successes / n` with Wilson's score interval (Wilson 1927, JASA 22).

    With z the normal quantile, the ends are (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n): they stay within
    [0, 1] and hold their coverage at small n. n = 0 gives nan with the interval [0, 1].
    Raises ValueError unless 0 <= successes <= n and 0 < confidence < 1.
    """
    if not 0 <= successes <= n or not 0 < confidence < 1:
        raise ValueError(f"no proportion: {successes} of {n} at confidence {confidence}")
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0, "wilson", confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    middle, scale = p + z * z / (2 * n), 1 + z * z / n
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else (middle - reach) / scale
    high = 1.0 if successes == n else (middle + reach) / scale
    return Estimate(p, low, high, n, "wilson", confidence)


def bootstrap_mean(
    values: Sequence[float] | np.ndarray, confidence: float = 0.95, seed: int = 0, resamples: int = 2000
) -> Estimate:
    """The mean of `values` with the percentile bootstrap interval (Efron 1979); seeded, so repeatable.

    Memory is O(n) per block of resamples, at most about half a million numbers at once. Fewer than two values give no
    interval (nan). Raises ValueError if a value is nan or confidence is not in (0, 1).
    """
    import numpy as np

    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not in (0, 1)")
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    if np.isnan(values).any():
        raise ValueError("values hold nan: leave the missing ones out")
    n = len(values)
    if n < 2:
        return Estimate(float(values[0]) if n else math.nan, math.nan, math.nan, n, "bootstrap", confidence)
    rng = np.random.default_rng(seed)
    block = max(1, min(resamples, 500_000 // n))
    means = np.empty(resamples)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        means[start:stop] = values[rng.integers(0, n, (stop - start, n))].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(values.mean()), float(low), float(high), n, "bootstrap", confidence)


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    n: int,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 500,
) -> Estimate:
    """Any statistic of n cases with the percentile bootstrap interval.

    `statistic` is called with case numbers, (n,) int: once with 0 .. n - 1, then with draws with replacement. Draws for
    which it is nan (a class that was not drawn, say) are left out; if fewer than half remain there is no interval.
    """
    import numpy as np

    value = float(statistic(np.arange(n)))
    rng = np.random.default_rng(seed)
    draws = np.array([statistic(rng.integers(0, n, n)) for _ in range(resamples if n > 1 else 0)])
    draws = draws[~np.isnan(draws)]
    if len(draws) < max(2, resamples // 2):
        return Estimate(value, math.nan, math.nan, n, "bootstrap", confidence)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high), n, "bootstrap", confidence)
