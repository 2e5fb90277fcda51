"""The 20 labels of an image as one integer of two bits an attribute, so that all of them can be counted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from bamkit.common.contract import ATTRIBUTES
from bamkit.curate.database.connection import Database
from bamkit.curate.database.engines import quote
from bamkit.curate.database.named_queries import query

POSITIVE_ABOVE = -1.0
NEGATIVE_BELOW = -7.0
"""Where the database has no automatic labels: `positive` above the one, `negative` below the other, `unsure` between.
The authors' own thresholds are not published; these two were used in public work on BAM."""

CODES = {"positive": 1, "unsure": 2, "negative": 3}
"""How a label is packed into two bits; 0 is no label, or a word that is none of the three."""


def packed_labels(database: Database, chunk: int) -> Iterator[NDArray[np.int64]]:
    """The automatic labels of every image, packed, in arrays of at most `chunk`; nothing if there are none."""
    if database.automatic == "absent":
        return
    rows = database.rows(query("packed_labels").format(packed=packed_sql(database)))
    while (packed := np.fromiter(chain.from_iterable(islice(rows, chunk)), np.int64)).size:
        yield packed


def packed_sql(database: Database) -> str:
    """The SQL expression for a row of automatic_labels as one integer of two bits an attribute."""
    parts = []
    for name in database.label_attributes:
        words = " ".join(f"WHEN '{label}' THEN {code << 2 * ATTRIBUTES.index(name)}" for label, code in CODES.items())
        parts.append(f"CASE {quote(name)} {words} ELSE 0 END")
    return " + ".join(parts)


def threshold_labels(scores: NDArray[np.float64], attributes: tuple[str, ...]) -> NDArray[np.int64]:
    """Labels packed as int64 (n,) from scores float64 (n, attributes) by POSITIVE_ABOVE and NEGATIVE_BELOW."""
    packed = np.zeros(len(scores), np.int64)
    for i, name in enumerate(attributes):
        column = scores[:, i]
        code = np.where(column > POSITIVE_ABOVE, 1, np.where(column < NEGATIVE_BELOW, 3, 2))
        packed |= np.where(np.isfinite(column), code, 0).astype(np.int64) << (2 * ATTRIBUTES.index(name))
    return packed
