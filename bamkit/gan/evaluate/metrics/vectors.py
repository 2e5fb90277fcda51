"""What the metrics of feature vectors read: an array, or anything that gives rows of one."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Vectors(Protocol):
    """(n, d) vectors of which some rows are taken at a time: an array, a memory map, a FeatureStore ..."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """The rows of a slice of step 1, or of an array of row numbers, as an array."""
        ...
