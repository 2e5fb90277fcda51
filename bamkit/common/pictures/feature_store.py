"""Feature vectors or small copies of many pictures on disk."""

from __future__ import annotations

import os
import tempfile

import numpy as np


class FeatureStore:
    """Feature vectors on disk, in a temporary file that vanishes with the object: memory does not grow with n.

    Rows are read, not mapped: mapped pages would count as this process's memory as long as there is room for them.
    """

    def __init__(self, dimensions: int, dtype: type[np.generic] = np.float32) -> None:
        self.shape: tuple[int, ...] = (0, dimensions)
        self.dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(prefix="bamkit-features-")  # noqa: SIM115  (lives as long as the object)

    def append(self, batch: np.ndarray) -> None:
        """Add an (m, dimensions) batch."""
        n, dimensions = self.shape
        if batch.ndim != 2 or batch.shape[1] != dimensions:
            raise ValueError(f"vectors of {dimensions} numbers are stored here, not {batch.shape}")
        self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(batch, dtype=self.dtype).data)
        self.shape = (n + len(batch), dimensions)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """(m, dimensions): the rows of a slice of step 1, or of an array of row numbers."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return self._read(start, max(0, stop - start))
        vectors = np.empty((len(rows), self.shape[1]), self.dtype)
        for place, row in enumerate(rows):
            vectors[place] = self._read(int(row), 1)
        return vectors

    def _read(self, first: int, count: int) -> np.ndarray:
        vectors = np.empty((count, self.shape[1]), self.dtype)
        self._file.seek(first * self.shape[1] * vectors.itemsize)
        if self._file.readinto(vectors.data) != vectors.nbytes:
            raise OSError("the temporary file of the features was cut short")
        return vectors
