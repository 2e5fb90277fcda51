"""Precision and recall, density and coverage: are outputs like real pictures, and are real pictures like outputs?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bamkit.gan.evaluate.metrics.neighbours import BLOCK, distances, nearest
from bamkit.gan.evaluate.metrics.vectors import Vectors


@dataclass(frozen=True)
class Manifold:
    """What each picture counts for; the figures are the means."""

    precision: np.ndarray
    """(m,) bool: whether an output lies in the neighbourhood of a real picture."""
    recall: np.ndarray
    """(n,) bool: whether a real picture lies in the neighbourhood of an output."""
    density: np.ndarray
    """(m,) float: in how many neighbourhoods of real pictures an output lies, over k."""
    coverage: np.ndarray
    """(n,) bool: whether an output lies in the neighbourhood of a real picture."""


def reach(vectors: Vectors, k: int = 5) -> np.ndarray:
    """(n,) how far the neighbourhood of each vector reaches: to its k-th nearest neighbour of the same set."""
    return nearest(vectors, vectors, k + 1)[0][:, k]


def manifold(real: Vectors, fake: Vectors, k: int = 5, real_reach: np.ndarray | None = None) -> Manifold:
    """Precision, recall, density and coverage of (n, d) real and (m, d) fake vectors, picture by picture.

    The neighbourhood of a vector reaches to its k-th nearest neighbour of its own set, which it does not hold;
    `real_reach` is `reach(real, k)` where it is known already.
    Precision and density are high for outputs that look like real ones, recall and coverage where they are as varied;
    an outlier among the real pictures makes precision much larger, and density hardly. Memory is O(n + m).
    Raises ValueError unless both sets have more than k vectors. Source: Kynkäänniemi et al. 2019, arXiv:1904.06991,
    eqs. 1 to 3; Naeem et al. 2020, arXiv:2002.09797, section 3.
    """
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"neighbourhoods of {k} need more than {k} vectors, there are {len(real)} and {len(fake)}")
    radii = [reach(real, k) if real_reach is None else real_reach, reach(fake, k)]
    inside = np.zeros(len(fake), np.int64)
    covered, found = np.zeros((2, len(real)), bool)
    for start in range(0, len(real), BLOCK):
        rows = slice(start, min(start + BLOCK, len(real)))
        for first in range(0, len(fake), BLOCK):
            columns = slice(first, min(first + BLOCK, len(fake)))
            apart = distances(real[rows], fake[columns])
            near = apart < radii[0][rows, None]
            inside[columns] += near.sum(axis=0)
            covered[rows] |= near.any(axis=1)
            found[rows] |= (apart < radii[1][None, columns]).any(axis=1)
    return Manifold(inside > 0, found, inside / k, covered)
