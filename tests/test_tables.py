"""Tables from plain values are those that pyarrow itself makes."""

import numpy as np
import pyarrow as pa
import pytest

from bamkit.common.tables import from_columns


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        [1, None, -(2**60)],
        [0.5, float("inf"), -3.25],
        [None, 1.5, 2],
        [True, False, None],
        ["a", None, "", 'größer, "quoted"'],
        [None, None],
        [None] * 9 + ["ninth"],
        [],
    ],
)
def test_a_column_is_as_pyarrow_makes_it(values):
    ours = from_columns({"x": values})
    ours.validate(full=True)
    assert ours.equals(pa.table({"x": pa.array(values)}))


def test_numpy_columns_and_nan():
    ours = from_columns({"n": np.arange(3, dtype=np.int32), "x": np.array([0.5, np.nan, 2.0])})
    assert ours["n"].to_pylist() == [0, 1, 2]
    assert ours.schema.types == [pa.int64(), pa.float64()]
    assert np.isnan(ours["x"].to_pylist()[1])
    assert ours["x"].null_count == 0
