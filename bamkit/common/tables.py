"""Arrow tables from plain values, without pandas.

pyarrow's own `pa.array` and `pa.table` import pandas to see whether they were given any of its objects, which takes
longer than all the tables of a report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def from_columns(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """A table of columns of one length: strings, bools, ints (as int64) or floats (float64), with None for null.

    A column that holds ints and floats is one of floats; one of nothing but None, or empty, is of type null.
    """
    import pyarrow as pa

    return pa.Table.from_arrays([_array(list(values)) for values in columns.values()], names=list(columns))


def _array(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    there = np.array([value is not None for value in values], bool)
    known = [value for value in values if value is not None]
    if not known:
        return pa.nulls(len(values))
    bits = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    if all(isinstance(value, str) for value in known):
        data = [b"" if value is None else value.encode() for value in values]
        ends = np.cumsum([0, *map(len, data)], dtype=np.int32)
        return pa.Array.from_buffers(pa.string(), len(values), [bits, pa.py_buffer(ends), pa.py_buffer(b"".join(data))])
    filled = np.array([known[0] if value is None else value for value in values])
    if filled.dtype == np.bool_:
        return pa.Array.from_buffers(
            pa.bool_(), len(values), [bits, pa.py_buffer(np.packbits(filled, bitorder="little"))]
        )
    kind, type_ = (np.int64, pa.int64()) if np.issubdtype(filled.dtype, np.integer) else (np.float64, pa.float64())
    return pa.Array.from_buffers(type_, len(values), [bits, pa.py_buffer(filled.astype(kind))])
