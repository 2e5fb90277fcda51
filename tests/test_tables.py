"""Tables from plain values are those that pyarrow itself makes."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from bamkit.common.tables import from_columns, from_rows


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


def test_rows():
    rows = [{"b": 1, "a": "x"}, {"b": None, "a": "y"}]
    assert from_rows(rows).equals(pa.Table.from_pylist(rows))
    assert from_rows([]).num_columns == 0


def test_the_report_of_an_indexed_database_needs_no_pandas(sample_workspace, bamkit):
    bamkit("index", cwd=sample_workspace)
    program = (
        "import sys; from bamkit.curate.report import report; from bamkit.common.workspace import Workspace\n"
        "report(Workspace.open('.'), progress=False); print('pandas' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=sample_workspace, capture_output=True, text=True)
    assert said.stdout.strip() == "False", said.stderr
