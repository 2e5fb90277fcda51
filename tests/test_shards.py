"""Parquet files: the one reader and writer, and a split's folder in the hands of other programs."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from domains import manifest, two_domains, write_split

from bamkit.common import shards
from bamkit.common.contract import split_schema
from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace, shard_paths


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Two fetched domains: 35 train, 10 test and 5 validation pictures each; two of happy are missing."""
    return two_domains(tmp_path_factory.mktemp("readers"))


@pytest.fixture
def folder(workspace):
    return workspace.split("happy")


def test_pandas_reads_a_splits_folder(folder):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(folder)
    assert len(table) == 50
    assert table["image"].notna().all()
    assert table["split"].value_counts().to_dict() == {"train": 35, "test": 10, "validation": 5}


def test_pyarrow_reads_a_splits_folder(folder):
    import pyarrow.dataset

    dataset = pyarrow.dataset.dataset(folder, format="parquet")
    assert dataset.count_rows() == 50
    assert dataset.schema.names == split_schema().names


@pytest.mark.parametrize("pattern", ["splits/happy/*.parquet", "splits/happy/**/*.parquet", "splits/h*/*.parquet"])
def test_duckdb_reads_a_splits_folder(workspace, monkeypatch, pattern):
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(workspace.root)
    [(count, pictures)] = duckdb.sql(f"select count(*), count(image.bytes) from '{pattern}'").fetchall()
    assert (count, pictures) == (50, 50)


def test_polars_reads_a_splits_folder(folder):
    polars = pytest.importorskip("polars")
    assert polars.read_parquet(folder).height == polars.read_parquet(folder / "**/*.parquet").height == 50


def test_datasets_reads_a_splits_folder(folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    assert {name: len(part) for name, part in loaded.items()} == {"train": 35, "test": 10, "validation": 5}
    assert loaded["train"][0]["image"].size == (32, 32)


def test_all_splits_at_once_hold_pictures_only(workspace):
    """Whatever is read below splits/, no table of another kind lies there."""
    assert {pq.read_schema(path).names == split_schema().names for path in workspace.splits.rglob("*.parquet")} == {
        True
    }
    assert pq.read_table(workspace.root / "missing" / "happy.parquet").num_rows == 2


def test_a_missing_table_of_an_earlier_version_is_read_where_it_lies(tmp_path):
    from bamkit.curate.audit.domain import read_domain

    workspace = Workspace(tmp_path)
    table = manifest(seed=1)
    write_split(workspace, "happy", table, lost=(table["mid"][3].as_py(),))
    os.replace(tmp_path / "missing" / "happy.parquet", tmp_path / "splits" / "happy" / "missing.parquet")
    assert read_domain(workspace, "happy").missing.num_rows == 1


@pytest.mark.parametrize("name", ["study:1", "s3:moods", "file:x", "a#1 100% ?x", "猫", os.fsdecode(b"caf\xe9:1")])
def test_a_relative_path_with_a_colon_is_a_plain_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    workspace = Workspace.open(name)
    write_split(workspace, "happy", manifest(seed=1))
    paths = workspace.shards("happy", "train")
    assert shards.count_rows(paths) == len(shards.ShardReader(paths, ("mid",))) == 35
    assert shards.read_about(paths[0])["kind"] == "split"
    first = next(shards.stream_rows(paths, ["image", "mid"]))
    path = workspace.root / "again.parquet"
    shards.write_shard(path, split_schema(), {"kind": "test"}, [shards.read_table(paths[0])])
    assert next(shards.stream_rows([path], ["image", "mid"])) == first


def test_rows_by_position_read_only_their_row_group(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    rows = [{"image": {"bytes": b"%d" % n, "path": None}, "mid": n} for n in range(250)]
    table = pa.table({name: pa.array([row[name] for row in rows]) for name in ("image", "mid")})
    shards.write_shard(path, table.schema, {}, [table])
    reader = shards.ShardReader([path, path], ("mid",))
    read = []
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda self, group, *more, kept=pq.ParquetFile.read_row_group, **how: (
            read.append(group) or kept(self, group, *more, **how)
        ),
    )
    assert [reader.row(n)["mid"] for n in (0, 99, 249, 250, 499)] == [0, 99, 249, 0, 249]
    assert (reader.encoded(499), read) == (b"249", [0, 2, 0, 2])


@pytest.mark.parametrize("keep", [0, 3, 1000])
def test_a_damaged_file_is_named_with_the_next_command_by_every_reader(tmp_path, folder, keep):
    path = tmp_path / "train-00000-of-00001.parquet"
    path.write_bytes(shard_paths(folder, "train")[0].read_bytes()[:keep])
    for read in (
        shards.read_about,
        shards.read_table,
        lambda path: shards.count_rows([path]),
        lambda path: list(shards.stream_rows([path])),
        lambda path: shards.ShardReader([path], ("mid",)),
    ):
        with pytest.raises(BamkitError, match="is not a readable parquet file") as error:
            read(path)
        assert "make it again" in error.value.hint


def test_damage_inside_a_row_group_is_named_too(tmp_path, folder):
    path = tmp_path / "train-00000-of-00001.parquet"
    data = bytearray(shard_paths(folder, "train")[0].read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(data)
    for read in (shards.read_table, lambda path: shards.ShardReader([path], ("mid",)).row(0)):
        with pytest.raises(BamkitError, match="is not a readable parquet file"):
            read(path)
