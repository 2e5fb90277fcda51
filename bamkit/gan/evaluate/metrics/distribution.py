"""Distances between two sets of feature vectors: KID and FID, and the streaming moments behind FID."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bamkit.gan.evaluate.metrics.vectors import Vectors

BLOCK = 512


class Moments:
    """Mean and covariance of a stream of vectors in O(d^2) memory, however many there are.

    Batches are merged by the pairwise update of Chan, Golub and LeVeque (1979), in float64, which stays accurate where
    sums of squares would cancel.
    """

    def __init__(self, dimensions: int) -> None:
        self.n = 0
        self.mean = np.zeros(dimensions)
        self._scatter = np.zeros((dimensions, dimensions))
        self._root: np.ndarray | None = None

    @classmethod
    def of(cls, features: Vectors) -> Moments:
        """The moments of an (n, d) array, read in blocks (so that it may be a memory map)."""
        moments = cls(features.shape[1])
        for start in range(0, len(features), BLOCK):
            moments.update(features[start : start + BLOCK])
        return moments

    def update(self, batch: np.ndarray) -> None:
        """Add an (m, d) batch. Raises ValueError if a number in it is not finite."""
        batch = np.asarray(batch, dtype=np.float64)
        if not np.isfinite(batch).all():
            raise ValueError("features hold nan or infinity")
        m = len(batch)
        if m == 0:
            return
        mean = batch.mean(axis=0)
        centred = batch - mean
        delta = mean - self.mean
        total = self.n + m
        self._scatter += centred.T @ centred + np.outer(delta, delta) * (self.n * m / total)
        self.mean = self.mean + delta * (m / total)
        self.n, self._root = total, None

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased (n - 1) covariance, (d, d). Raises ValueError where n < 2."""
        if self.n < 2:
            raise ValueError(f"a covariance needs at least 2 vectors, there are {self.n}")
        return self._scatter / (self.n - 1)

    @property
    def root(self) -> np.ndarray:
        """The symmetric square root of the covariance, (d, d); kept, as many distances to one set are asked for."""
        if self._root is None:
            values, vectors = np.linalg.eigh(self.covariance)
            self._root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        return self._root


def frechet_distance(a: Moments, b: Moments) -> float:
    """Fréchet distance between two Gaussians, >= 0 (Heusel et al. 2017, eq. 6: FID where the features are Inception's).

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)). The trace of the root is that of (C_a^(1/2) C_b C_a^(1/2))^(1/2),
    which is symmetric: two `eigh` calls, no complex numbers and no failure on singular covariances (n < d).
    """
    first, second = a.covariance, b.covariance
    product = a.root @ second @ a.root
    cross = np.sqrt(np.clip(np.linalg.eigvalsh((product + product.T) / 2), 0, None)).sum()
    delta = a.mean - b.mean
    return max(0.0, float(delta @ delta + np.trace(first) + np.trace(second) - 2 * cross))


@dataclass(frozen=True)
class Kid:
    """Kernel inception distance: the mean over subsets, and how much single subsets differ."""

    mean: float
    """Mean of the subsets' unbiased estimates; may be slightly negative where the two sets are alike."""
    deviation: float
    """Standard deviation over the subsets (the figure papers print after +-). nan with one subset."""
    subsets: int
    """How many subsets were drawn."""
    subset_size: int
    """Vectors of either set in one subset."""


def polynomial_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of (n, d) and (m, d) vectors, n, m >= 2.

    Kernel k(x, y) = (x.y / d + 1)^3; the estimator leaves out the diagonal (Gretton et al. 2012, eq. 3; Binkowski et
    al. 2018, section 4), so its expectation is 0 for equal distributions and it does not depend on n.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    n, m = len(x), len(y)
    if n < 2 or m < 2:
        raise ValueError(f"KID needs at least 2 vectors on either side, there are {n} and {m}")
    within = sum((_kernel_sum(p, p) - _kernel_trace(p)) / (len(p) * (len(p) - 1)) for p in (x, y))
    return float(within - 2 * _kernel_sum(x, y) / (n * m))


def mmd_shares(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each vector has in `polynomial_mmd(x, y)`: (n,) u and (m,) v with mean(u) + mean(v) equal to it.

    u_i = mean_j k(x_i, x_j), i != j, less mean_j k(x_i, y_j); v likewise. Up to a constant and to first order a vector
    moves the distance by 2 u_i / n: its influence is twice its share (Hoeffding's projection of a U-statistic of degree
    two: Serfling 1980, section 5.3). n, m >= 2.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    own = [(_row_sums(p, p) - _kernel_diagonal(p)) / (len(p) - 1) for p in (x, y)]
    return own[0] - _row_sums(x, y) / len(y), own[1] - _row_sums(y, x) / len(x)


def _kernel_blocks(x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """k over all pairs, a block of rows at a time: the (n, m) matrix itself is never needed."""
    for start in range(0, len(x), 128):
        yield (x[start : start + 128] @ y.T / x.shape[1] + 1) ** 3


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    return sum(float(block.sum()) for block in _kernel_blocks(x, y))


def _row_sums(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) the sum of k(x_i, y_j) over all j."""
    return np.concatenate([block.sum(axis=1) for block in _kernel_blocks(x, y)])


def _kernel_diagonal(x: np.ndarray) -> np.ndarray:
    diagonal: np.ndarray = ((x * x).sum(axis=1) / x.shape[1] + 1) ** 3
    return diagonal


def _kernel_trace(x: np.ndarray) -> float:
    return float(_kernel_diagonal(x).sum())


def kid(x: Vectors, y: Vectors, subsets: int = 100, subset_size: int | None = None, seed: int = 0) -> Kid:
    """Kernel inception distance (Binkowski et al. 2018): mean and deviation of `polynomial_mmd` over random subsets.

    x, y: (n, d) and (m, d) float arrays or memory maps; only a subset of each is in memory at a time. `subset_size` is
    half of the smaller set and at most 1,000 where it is not given, so that the deviation means something at small n.
    Raises ValueError if a set holds fewer than 2 vectors or fewer than `subset_size`.
    """
    smaller = min(len(x), len(y))
    size = subset_size or min(1000, max(2, smaller // 2))
    if smaller < size or smaller < 2:
        raise ValueError(f"a subset of {size} cannot be drawn from {len(x)} and {len(y)} vectors")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        # Sorted: a memory map is then read in order.
        chosen = (np.sort(rng.choice(len(s), size, replace=False)) for s in (x, y))
        values.append(polynomial_mmd(*(s[index] for s, index in zip((x, y), chosen, strict=True))))
    spread = float(np.std(values, ddof=1)) if subsets > 1 else float("nan")
    return Kid(float(np.mean(values)), spread, subsets, size)
