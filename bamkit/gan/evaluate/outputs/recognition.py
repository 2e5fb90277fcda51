"""Whether an output shows its own source: told from other sources by its edges, and its light not exchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bamkit.common.pictures.altered_copies import fine_maps
from bamkit.common.pictures.feature_store import FeatureStore
from bamkit.gan.evaluate.metrics.similarity import luma
from bamkit.gan.evaluate.outputs.copies import pictures

if TYPE_CHECKING:
    from bamkit.common.statistics.clusters import Clusters

OTHERS = 9
"""With so many other sources an output's own is compared: chance finds it in one of ten."""
BLOCK = 64


def other_sources(n: int, projects: Clusters = None) -> np.ndarray:
    """(n, k) the OTHERS next sources in order, round and round, of other projects where these are known.

    k is less than OTHERS where there are fewer others; 0 for one picture. A row with fewer of other projects repeats
    its last one; where all are of one project, that does not count.
    """
    width = min(OTHERS, max(0, n - 1))
    found = np.zeros((n, width), np.int64)
    for own in range(n if width else 0):
        # A few more than are wanted, as some may be of the same project; all, where that does not do.
        for many in (4 * OTHERS, n - 1):
            following = (own + 1 + np.arange(min(n - 1, many))) % n
            apart = following if projects is None else following[projects[following] != projects[own]]
            if len(apart) >= width:
                break
        chosen = (apart if len(apart) else following)[:width]
        found[own, : len(chosen)] = chosen
        found[own, len(chosen) :] = chosen[-1]
    return found


def recognised(outputs: FeatureStore, sources: FeatureStore, others: np.ndarray) -> np.ndarray:
    """(n,) bool: whether an output's edges correlate better with those of its own source than of all `others`.

    Both stores: (n, 64 * 64 * 3) uint8. An output or a source without edges is not recognised.
    """
    best = _unlike(outputs, sources, others, _edges).max(axis=1, initial=0.0)
    return np.asarray(_own(outputs, sources) > best)


def unrelated_light(sources: FeatureStore, others: np.ndarray) -> np.ndarray:
    """(n, k): the correlation of light and dark of each source with that of its `others`; nan without contrast."""
    return _unlike(sources, sources, others, _light)


def _own(outputs: FeatureStore, sources: FeatureStore) -> np.ndarray:
    parts = [
        (_edges(outputs[start : start + BLOCK]) * _edges(sources[start : start + BLOCK])).sum(axis=1)
        for start in range(0, len(outputs), BLOCK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _unlike(
    outputs: FeatureStore, sources: FeatureStore, others: np.ndarray, vectors: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """(n, k) products of each output's vector with those of its `others` among the sources."""
    found = np.zeros(others.shape)
    for start in range(0, len(outputs), BLOCK):
        rows = slice(start, min(start + BLOCK, len(outputs)))
        involved, places = np.unique(others[rows], return_inverse=True)
        beside = vectors(sources[involved])[places.reshape(others[rows].shape)]
        found[rows] = np.einsum("nd,nkd->nk", vectors(outputs[rows]), beside)
    return found


def _edges(rows: np.ndarray) -> np.ndarray:
    return fine_maps(pictures(rows))


def _light(rows: np.ndarray) -> np.ndarray:
    """(n, 1024) unit vectors of luma over a 32 x 32 grid; nan where there is no contrast."""
    light = luma(pictures(rows)).reshape(-1, 32, 2, 32, 2).mean((2, 4)).reshape(-1, 1024).astype(np.float64)
    light -= light.mean(axis=1, keepdims=True)
    length = np.linalg.norm(light, axis=1, keepdims=True)
    return np.asarray(light / np.where(length > 1e-3, length, np.nan))
