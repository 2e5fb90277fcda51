"""The 20 labels of an image as one integer, and how all of them are read in a few seconds."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Any

import numpy as np

from bamkit.common.contract import ATTRIBUTES
from bamkit.curate.database.connection import Database, Sqlite, quote
from bamkit.curate.database.named_queries import query

POSITIVE_ABOVE = -1.0
NEGATIVE_BELOW = -7.0
"""Where the database has no automatic labels: `positive` above the one, `negative` below the other, `unsure` between.
The authors' own thresholds are not published; these two were used in public work on BAM."""

CODES = {"positive": 1, "unsure": 2, "negative": 3}
"""How a label is packed into two bits; 0 is no label, or a word that is none of the three."""


class PackedLabels:
    """All automatic labels, read in the background: a context manager whose `arrays` waits for them.

    SQLite computes and packs the labels and hands them over as one long text: one call, made on a connection of its
    own and outside Python's lock, while the caller reads other tables. Elsewhere they are read by row when asked for.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._future: Future[tuple[Any, ...]] | None = None
        self._own: Sqlite | None = None
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> PackedLabels:
        connection = self.database.connection
        # In WAL mode another connection may see another snapshot.
        if self.database.automatic != "absent" and isinstance(connection, Sqlite) and not connection.wal:
            own = self._own = Sqlite(connection.path)
            text = query("packed_labels_text").format(packed=packed_sql(self.database))
            self._future = self._pool.submit(lambda: next(iter(own.rows(text, {}))))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own:
            # Nobody waits for the answer any more if this is an error; if not, nothing is running.
            self._own.raw.interrupt()
        self._pool.shutdown()
        if self._own:
            self._own.close()

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """mids int64 (n,), -1 for what is no integer, and packed labels int64 (n,); empty if there are none."""
        if self.database.automatic == "absent":
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if self._future:
            mids, packed = self._future.result()
            return _integers(mids), _integers(packed)
        rows = self.database.rows(query("packed_labels").format(packed=packed_sql(self.database)))
        mids_parts, packed_parts = [], []
        while chunk := list(islice(rows, 20_000)):
            mids_parts.append(whole([row[0] for row in chunk]))
            packed_parts.append(whole([row[1] for row in chunk]))
        nothing = [np.zeros(0, np.int64)]
        return np.concatenate(mids_parts or nothing), np.concatenate(packed_parts or nothing)


def packed_sql(database: Database) -> str:
    """The SQL expression for a row of automatic_labels as one integer of two bits an attribute."""
    parts = []
    for name in database.label_attributes:
        words = " ".join(f"WHEN '{label}' THEN {code << 2 * ATTRIBUTES.index(name)}" for label, code in CODES.items())
        parts.append(f"CASE {quote(name)} {words} ELSE 0 END")
    return " + ".join(parts)


def threshold_labels(scores: np.ndarray, attributes: tuple[str, ...]) -> np.ndarray:
    """Labels packed as int64 (n,) from scores float64 (n, attributes) by POSITIVE_ABOVE and NEGATIVE_BELOW."""
    packed = np.zeros(len(scores), np.int64)
    for i, name in enumerate(attributes):
        column = scores[:, i]
        code = np.where(column > POSITIVE_ABOVE, 1, np.where(column < NEGATIVE_BELOW, 3, 2))
        packed |= np.where(np.isfinite(column), code, 0).astype(np.int64) << (2 * ATTRIBUTES.index(name))
    return packed


def whole(values: Any) -> np.ndarray:
    """int64 (n,); -1 for what is no integer (no mid is negative)."""
    try:
        return np.array(values, np.int64)
    except (TypeError, ValueError, OverflowError):
        return np.array([v if isinstance(v, int) and abs(v) < 2**63 else -1 for v in values], np.int64)


def _integers(text: str | None) -> np.ndarray:
    """int64 (n,) from numbers with commas between."""
    return np.fromstring(text, np.int64, sep=",") if text else np.zeros(0, np.int64)
