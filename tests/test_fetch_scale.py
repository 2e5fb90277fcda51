"""What a fetch of very many pictures holds in memory: numbers a row, not addresses, outcomes or objects."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fetching import jpeg, write_selection

from bamkit.common.contract import selection_schema
from bamkit.common.shards import read_about, write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch import run
from bamkit.curate.fetch.ledger import Ledger, Row
from bamkit.curate.fetch.originals import Picture, PictureCache
from bamkit.curate.fetch.settings import FetchSettings, PictureSettings
from bamkit.curate.fetch.splits import manifest, outcomes, publish, shards
from bamkit.curate.fetch.splits.assignment import HAD, LOST, UNKNOWN, assign, wanted
from bamkit.curate.fetch.splits.manifest import Manifest

BYTES_A_ROW = 150
"""Bound on what Python and numpy hold for each row at the peak; an address alone takes 80 to 130."""
SMALL = FetchSettings(picture=PictureSettings(size=32))


def decided(folder, rows: int) -> Workspace:
    """A selection of which the ledger knows every address: one in fifty arrived, and its picture is built."""
    workspace = Workspace(folder)
    table = {name: [None] * rows for name in selection_schema().names}
    urls = [f"http://pictures.example/a-name-of-the-usual-length/{row:012}.jpg" for row in range(rows)]
    table |= {"mid": range(rows), "rank": range(1, rows + 1), "src": urls}
    table |= {"split": ["train" if row % 2 else "reserve" for row in range(rows)]}
    about = {"kind": "selection", "name": "many", "selection_id": "x"}
    write_table(pa.table(table, selection_schema()), workspace.selection("many"), about)
    cache = PictureCache(workspace.originals / "built.sqlite", SMALL.picture.about())
    with Ledger(workspace.originals / "ledger.sqlite") as ledger:
        files = {url: f"{row:064x}" for row, url in enumerate(urls) if row % 50 == 0}
        cache.add((file, Picture(jpeg(0, 32, 32), 32, 32, "0" * 16)) for file in files.values())
        ledger.record(
            Row(url, "ok", None, 200, 1, files[url]) if url in files else Row(url, "gone", None, 404, 1) for url in urls
        )
    cache.close(remove=False)
    return workspace


def test_memory_hardly_grows_with_the_rows_of_a_selection(tmp_path, monkeypatch):
    for module, name in ((manifest, "ROWS"), (outcomes, "BATCH"), (run, "BATCH"), (publish, "BATCH")):
        monkeypatch.setattr(module, name, 200)
    peaks = {}
    for rows in (1000, 1000, 5000):  # the first one also imports and fills caches
        workspace = decided(tmp_path / f"{rows}-{len(list(tmp_path.iterdir()))}", rows)
        tracemalloc.start()
        summary = run.fetch(workspace, (), SMALL)
        peaks[rows] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert summary.asked == 0
        assert summary.selections[0].missing["gone"] == rows - rows // 50
        assert pq.read_table(workspace.missing("many")).num_rows == rows - rows // 50
    grown = (peaks[5000] - peaks[1000]) / 4000
    assert grown < BYTES_A_ROW, f"{grown:.0f} bytes a row"


def test_rows_are_read_in_tables_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "ROWS", 7)
    path = write_selection(tmp_path, "happy", [f"http://x/{row}" for row in range(40)], 40)
    here = Manifest("happy", path)
    rows = np.array([0, 1, 6, 7, 8, 20, 21, 22, 39])
    taken = [table["mid"].to_pylist() for table in here.take(rows, ("mid",), iter([2, 5, 100]))]
    assert taken == [[1000, 1001], [1006, 1007, 1008, 1020, 1021], [1022, 1039]]
    assert list(here.take(rows[:0], ("mid",), iter([2]))) == []


def test_a_manifest_out_of_order_is_read_by_rank_and_one_made_anew_meanwhile_is_not_read(tmp_path):
    path = write_selection(tmp_path, "happy", [f"http://x/{row}" for row in range(9)], 5, 2)
    table, about = pq.read_table(path), read_about(path)
    write_table(table.take(list(range(8, -1, -1))), path, about)
    here = Manifest("happy", path)
    assert here.mid.tolist() == list(range(1000, 1009))
    assert [url for _, urls in here.urls(np.arange(9), 4) for url in urls] == [f"http://x/{row}" for row in range(9)]
    write_table(table, path, about)
    here = Manifest("happy", path)
    write_table(table.slice(3), path, about)
    assert [url for _, urls in here.urls(np.arange(9), 4) for url in urls] == [f"http://x/{row}" for row in range(9)]


@pytest.mark.parametrize("replace", [True, False])
def test_the_reserve_fills_gaps_in_order_of_rank(tmp_path, replace):
    here = Manifest("happy", write_selection(tmp_path, "happy", [f"http://x/{row}" for row in range(9)], 3, 2))
    states = np.array([HAD, LOST, HAD, LOST, HAD, LOST, HAD, UNKNOWN, HAD], np.int8)
    assert wanted(here, states, replace).tolist() == ([7] if replace else [])
    states[7] = HAD
    made = assign(here, states, replace)
    train, test = made.splits["train"], made.splits["test"]
    assert train.rows.tolist() == ([0, 2, 6] if replace else [0, 2])
    assert train.instead.tolist() == ([-1, -1, 1] if replace else [-1, -1])
    assert test.rows.tolist() == ([4, 7] if replace else [4])
    assert made.missing.rows.tolist() == [1, 3, 5]
    assert made.missing.instead.tolist() == ([6, 7, -1] if replace else [-1, -1, -1])


@pytest.mark.parametrize("rows", [0, 3, 4, 9])
def test_the_table_of_missing_pictures_is_as_if_written_at_once(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(shards, "MISSING_PER_GROUP", 4)
    schema = shards.missing_schema()
    lines = [(n, f"http://x/{n}", n + 1, "train", "gone", "404", 404, 1, None, None) for n in range(rows)]
    shards.write_missing(tmp_path / "now.parquet", filter(None, [lines[:2], lines[2:7], lines[7:]]), {"name": "x"})
    whole = pa.Table.from_pylist([dict(zip(schema.names, line, strict=True)) for line in lines], schema)
    write_table(whole, tmp_path / "then.parquet", {"name": "x", "split": "missing"}, row_group_size=4)
    assert (tmp_path / "now.parquet").read_bytes() == (tmp_path / "then.parquet").read_bytes()
