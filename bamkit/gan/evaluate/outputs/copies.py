"""Outputs that are copies of training pictures, as `bamkit check` knows copies: also cropped, mirrored, recoloured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bamkit.common.pictures.altered_copies import CANDIDATE, COARSE, SIDE, VIEWS, are_copies, coarse_views
from bamkit.common.pictures.feature_store import FeatureStore

BLOCK = 256
CLOSEST = 3
"""So many training pictures, those whose coarse edge maps correlate best, are compared closely with an output."""


class TrainingCopies:
    """Training pictures as small copies, and their coarse edge maps, on disk: memory does not grow with n."""

    def __init__(self, stores: Sequence[FeatureStore]) -> None:
        """`stores`: (n, 64 * 64 * 3) uint8 each, one below the other."""
        self.stores = stores
        self.starts = np.cumsum([0, *map(len, stores)])
        self._views = FeatureStore(VIEWS * COARSE**2)
        for store in stores:
            for start in range(0, len(store), BLOCK):
                views = coarse_views(pictures(store[start : start + BLOCK]))
                self._views.append(np.moveaxis(views, 0, 1).reshape(views.shape[1], -1))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def find(self, outputs: FeatureStore) -> np.ndarray:
        """(m,) int: for each output the training picture it is a copy of, the most alike one; -1 for none."""
        found = np.full(len(outputs), -1)
        for start in range(0, len(outputs), BLOCK):
            batch = pictures(outputs[start : start + BLOCK])
            nearest, correlation = self._candidates(batch)
            rows, ranks = np.nonzero(correlation >= CANDIDATE)
            if not rows.size:
                continue
            references, places = np.unique(nearest[rows, ranks], return_inverse=True)
            both = np.concatenate([batch, self._pictures(references)])
            same = are_copies(both, rows, len(batch) + places)
            for row, rank in zip(rows[same][::-1], ranks[same][::-1], strict=True):
                found[start + row] = nearest[row, rank]
        return found

    def _candidates(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(b, CLOSEST) training pictures and correlations, best first: either may be a crop or mirror of the other."""
        views = coarse_views(batch)
        best, index = np.full((len(batch), CLOSEST), -1.0), np.zeros((len(batch), CLOSEST), np.int64)
        for first in range(0, len(self), BLOCK):
            rows = self._views[first : first + BLOCK].reshape(-1, VIEWS, COARSE**2)
            alike = views[0] @ rows[:, 0].T
            for view in range(1, VIEWS):
                alike = np.maximum(alike, np.maximum(views[0] @ rows[:, view].T, views[view] @ rows[:, 0].T))
            both = np.hstack([best, alike])
            labels = np.hstack([index, np.broadcast_to(np.arange(first, first + len(rows)), alike.shape)])
            order = np.argsort(-both, axis=1, kind="stable")[:, :CLOSEST]
            best, index = np.take_along_axis(both, order, 1), np.take_along_axis(labels, order, 1)
        return index, best

    def _pictures(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), 64, 64, 3) the small copies of training pictures, `rows` ascending."""
        parts = [
            pictures(store[rows[(rows >= first) & (rows < last)] - first])
            for store, first, last in zip(self.stores, self.starts, self.starts[1:], strict=False)
        ]
        return np.concatenate(parts)


def pictures(rows: np.ndarray) -> np.ndarray:
    """(n, 64 * 64 * 3) -> (n, 64, 64, 3)."""
    return rows.reshape(-1, SIDE, SIDE, 3)
