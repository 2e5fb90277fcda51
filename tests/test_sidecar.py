"""The columnar index: the same counts, only where it matches, never in the way."""

import json
import sqlite3
from dataclasses import asdict

import pyarrow.parquet as pq
import pytest
from bamfile import make_bam, word

from bamkit.common.contract import ATTRIBUTES
from bamkit.common.workspace import Workspace
from bamkit.curate.database.columnar_index import build, counts_path, find, index_path
from bamkit.curate.database.connection import Database
from bamkit.curate.database.counts import count


@pytest.fixture(params=["view", "table", None])
def world(tmp_path, request):
    path = tmp_path / "bam.sqlite"
    return path, make_bam(path, labels=request.param), Workspace(tmp_path / "ws"), request.param


def plain(counts):
    values = asdict(counts)
    values["cooccurrence"] = counts.cooccurrence.tolist()
    values["scores"] = {name: {**asdict(s), "histogram": s.histogram.tolist()} for name, s in counts.scores.items()}
    values.pop("from_sidecar")
    return values


def test_counts_from_the_index_are_those_of_the_database(world):
    path, _, workspace, _ = world
    with Database.open(path) as database:
        cold = count(database, progress=False)
        _, built = build(database, workspace)
        _, again = build(database, workspace)
        warm = count(database, workspace, progress=False)
    assert (built, again) == (True, False)
    assert (cold.from_sidecar, warm.from_sidecar) == (False, True)
    assert plain(cold) == plain(warm)
    assert list(cold.licenses) == list(warm.licenses)


def test_the_columns_are_those_of_the_database(world):
    path, made, workspace, labels = world
    with Database.open(path) as database:
        build(database, workspace)
    rows = {row["mid"]: row for row in pq.read_table(index_path(workspace)).to_pylist()}
    scored = [row for row in made if row["scores"]]
    assert len(rows) == len(scored)
    for row in scored:
        got = rows[row["mid"]]
        assert (got["project_id"], got["license"]) == (row["project_id"], row["license"])
        assert got["mature"] is bool(row["mature_content"])
        assert all(got[f"{name}_score"] == row["scores"][name] for name in ATTRIBUTES)
        if labels:
            assert all(got[name] == word(row["scores"][name]) for name in ATTRIBUTES)
        else:
            assert all(got[name] is None for name in ATTRIBUTES)


def test_a_changed_database_makes_the_index_useless_until_it_is_rebuilt(world):
    path, _, workspace, _ = world
    with Database.open(path) as database:
        build(database, workspace)
    with sqlite3.connect(path) as base:
        base.execute("delete from scores where rowid = 5")
    with Database.open(path) as database:
        assert find(database, workspace) is None
        assert count(database, workspace, progress=False).scored == 594
        assert build(database, workspace)[1]
        assert count(database, workspace, progress=False).from_sidecar


def test_a_damaged_index_is_ignored_and_replaced(world):
    path, _, workspace, _ = world
    with Database.open(path) as database:
        build(database, workspace)
        index_path(workspace).write_bytes(b"PAR1 no longer")
        assert find(database, workspace) is None
        assert build(database, workspace)[1]


def test_a_build_that_fails_leaves_the_old_index_and_nothing_else(world, monkeypatch):
    path, _, workspace, _ = world
    folder = index_path(workspace).parent
    with Database.open(path) as database:
        build(database, workspace)
        before = {file.name: file.read_bytes() for file in folder.iterdir()}

        def fail(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("bamkit.curate.database.columnar_index._table", fail)
        with pytest.raises(KeyboardInterrupt):
            build(database, workspace, force=True)
    assert "images.parquet" in before
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_from_the_command_line(world, bamkit, tmp_path):
    path, _, workspace, _ = world
    before = path.read_bytes()
    bamkit(f"-w {workspace.root} index --db {path}")
    assert "up to date" in bamkit(f"-w {workspace.root} index --db {path}").output
    values = json.loads(bamkit(f"-w {workspace.root} info --db {path} --json").output)
    assert values["from_index"] is True
    assert path.read_bytes() == before


def test_counts_are_remembered_in_a_workspace_only(world, tmp_path):
    path, _, workspace, _ = world
    with Database.open(path) as database:
        assert not count(database, workspace, progress=False).from_sidecar
        assert not workspace.root.exists()
        workspace.selections.mkdir(parents=True)
        cold = count(database, workspace, progress=False)
        warm = count(database, workspace, progress=False)
    assert warm.from_sidecar
    assert plain(cold) == plain(warm)
    with sqlite3.connect(path) as base:
        base.execute("delete from scores where rowid = 5")
    with Database.open(path) as database:
        assert count(database, workspace, progress=False).scored == 594
    counts_path(workspace).write_text("{}")
    with Database.open(path) as database:
        assert not count(database, workspace, progress=False).from_sidecar
