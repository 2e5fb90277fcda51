"""Opening any BAM file: what is looked at instead of assumed, what a bad file gets, when the fingerprint changes."""

import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from bamfile import ATTRIBUTES, make_bam, word

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.curate.database.accumulator import HISTOGRAM_EDGES
from bamkit.curate.database.connection import Database, truth
from bamkit.curate.database.counts import count
from bamkit.curate.database.fingerprint import EDGE, SAMPLES, sampled_pages
from bamkit.curate.database.info import describe
from bamkit.curate.select.manifest import select
from bamkit.curate.select.query import Query


@pytest.fixture
def bam(tmp_path):
    path = tmp_path / "bam.sqlite"
    return path, make_bam(path)


def opened(path):
    with Database.open(path) as database:
        return database.fingerprint


@pytest.mark.parametrize(("labels", "kind"), [("view", "view"), ("table", "table"), (None, "absent")])
def test_introspection(tmp_path, labels, kind):
    path = tmp_path / "bam.sqlite"
    make_bam(path, labels=labels)
    with Database.open(path) as database:
        assert database.automatic == kind
        assert set(database.score_attributes) == set(ATTRIBUTES)
        assert database.columns("scores")[1] == "content_bicycle"
        assert database.has_crowd


@pytest.mark.parametrize("labels", ["view", "table", "opaque", None])
def test_counts_agree_with_plain_python(tmp_path, labels):
    path = tmp_path / "bam.sqlite"
    made = make_bam(path, labels=labels)
    with sqlite3.connect(path) as base:
        base.execute("update modules set src = ? where mid = ?", (made[0]["src"], made[9]["mid"]))
        base.execute("update scores set emotion_scary = 'much' where mid = ?", (made[20]["mid"],))
        base.execute("update scores set emotion_scary = null where mid = ?", (made[21]["mid"],))
    with Database.open(path) as database:
        counts = count(database, progress=False)
    scored = [row["scores"] for row in made if row["scores"]]
    high, low = (-1.0, -3.0) if labels else (-1.0, -7.0)
    happy = [one["emotion_happy"] for one in scored]
    assert (counts.images, counts.scored, counts.without_scores, counts.duplicate_srcs) == (600, 595, 5, 1)
    assert counts.projects == 200
    assert counts.mature == sum(row["mature_content"] for row in made)
    assert counts.licenses == {
        text or "": sum(row["license"] == text for row in made) for text in {row["license"] for row in made}
    }
    assert list(counts.licenses.values()) == sorted(counts.licenses.values(), reverse=True)
    assert counts.labels["emotion_happy"] == {
        "positive": sum(s > high for s in happy),
        "unsure": sum(low <= s <= high for s in happy),
        "negative": sum(s < low for s in happy),
    }
    cat, tree = (np.array([one[f"content_{name}"] > high for one in scored]) for name in ("cat", "tree"))
    names = sorted(ATTRIBUTES, key=lambda name: (("content", "emotion", "media").index(name.split("_")[0]), name))
    i, j = names.index("content_cat"), names.index("content_tree")
    assert counts.cooccurrence[i, j] == counts.cooccurrence[j, i] == (cat & tree).sum()
    assert counts.cooccurrence[i, i] == cat.sum()
    scary = counts.scores["emotion_scary"]
    assert (scary.n, scary.text, scary.missing) == (593, 1, 1)
    summary = counts.scores["emotion_happy"]
    assert (summary.minimum, summary.maximum) == (min(happy), max(happy))
    assert summary.mean == pytest.approx(np.mean(happy))
    expected = np.histogram(np.clip(happy, -24, 0), HISTOGRAM_EDGES)[0]
    assert np.array_equal(summary.histogram, expected)
    with sqlite3.connect(path) as base:
        for attribute, label, n in base.execute("select attribute, label, count(*) from crowd_labels group by 1, 2"):
            assert counts.crowd[attribute][label] == n


def test_info_names_what_is_wrong(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    with sqlite3.connect(path) as base:
        base.execute("alter table scores rename column emotion_gloomy to emotion_gloom")
        base.execute("drop view automatic_labels")
        base.execute("update scores set emotion_happy = 'high' where rowid < 4")
    with Database.open(path) as database:
        problems = " | ".join(describe(database, progress=False).problems)
        with pytest.raises(BamkitError, match="no column emotion_gloomy") as caught:
            select(database, Query(emotion="gloomy", top=5))
    assert "emotion_gloom" in caught.value.hint
    assert "`scores.emotion_gloom` is probably emotion_gloomy misspelt" in problems
    assert "there is no table `automatic_labels`" in problems
    assert "5 images have no row in `scores`" in problems
    assert "3 scores are text" in problems


@pytest.mark.parametrize("kept", ["cast({} as text)", "printf('%.3f', {})", "'high'"])
def test_scores_that_are_text_are_counted_as_text(tmp_path, kept):
    """Also where the text reads like a number, as an import from CSV leaves it."""
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    with sqlite3.connect(path) as base:
        names = [row[1] for row in base.execute("pragma table_info(scores)")]
        values = ", ".join("mid" if name == "mid" else f"{kept.format(name)} as {name}" for name in names)
        base.execute(f"create table x as select {values} from scores")
        base.execute("drop view automatic_labels")
        base.execute("drop table scores")
        base.execute("alter table x rename to scores")
    with Database.open(path) as database:
        info = describe(database, progress=False)
    assert all((s.text, s.n) == (595, 0) for s in info.counts.scores.values())
    assert "11,900 scores are text instead of numbers: they are not used" in info.problems


def test_info_from_the_command_line(bam, tmp_path, bamkit):
    import json

    shown = bamkit("info", cwd=tmp_path).output
    assert "600 images" in shown
    assert "emotion_happy" in shown
    values = json.loads(bamkit("info --json").output)
    assert values["images"] == 600
    assert len(values["attributes"]) == 20


def test_info_says_the_same_from_kept_counts(bam, tmp_path, bamkit):
    fresh = bamkit("info", cwd=tmp_path).output
    kept = bamkit("info").output
    assert kept.replace(" (counted before)", "") == fresh != kept
    assert "positive  unsure  negative" in fresh


def plain(counts):
    values = counts.as_dict()
    values.pop("from_cache")
    return values


@pytest.mark.parametrize("labels", ["view", "table", None])
def test_counts_are_kept_in_a_workspace_and_for_this_database_only(tmp_path, labels):
    path, workspace = tmp_path / "bam.sqlite", Workspace(tmp_path / "ws")
    make_bam(path, labels=labels)
    kept = workspace.root / "index" / "counts.json"
    with Database.open(path) as database:
        assert not count(database, workspace, progress=False).from_cache
        assert not workspace.root.exists()
        workspace.selections.mkdir(parents=True)
        cold = count(database, workspace, progress=False)
        warm = count(database, workspace, progress=False)
    assert (cold.from_cache, warm.from_cache) == (False, True)
    assert plain(cold) == plain(warm)
    assert list(cold.licenses) == list(warm.licenses)
    with sqlite3.connect(path) as base:
        base.execute("delete from scores where rowid = 5")
    with Database.open(path) as database:
        assert count(database, workspace, progress=False).scored == 594
        for damaged in ("{}", "[]", "PAR1", '{"counts": {}}'):
            kept.write_text(damaged)
            assert not count(database, workspace, progress=False).from_cache
        text = kept.read_text()
        for damaged in (text.replace('"scored":594', '"scored":593'), text.replace('"mature":', '"mature":null,"x":')):
            assert damaged != text
            kept.write_text(damaged)
            assert not count(database, workspace, progress=False).from_cache, "a figure that nobody counted"


@pytest.mark.parametrize("labels", ["view", "table", None])
def test_the_exported_tables_are_those_of_the_database(tmp_path, labels, bamkit):
    path = tmp_path / "bam.sqlite"
    made = make_bam(path, labels=labels)
    scored = [row for row in made if row["scores"]]
    with sqlite3.connect(path) as base:
        base.execute("update scores set emotion_scary = 'much' where mid = ?", (scored[0]["mid"],))
        base.execute("update modules set mid = 'x' where mid = ?", (made[1]["mid"],))
    before = path.read_bytes()
    bamkit("export --to parquet --json", cwd=tmp_path)
    assert "already there" in bamkit("export --to parquet", code=3).output
    assert "takes no NAME" in bamkit("export happy --to parquet", code=3).output
    assert path.read_bytes() == before
    folder = tmp_path / "exports" / "bam-parquet"
    names = {"modules", "scores", "crowd_labels", "croissant", *(["automatic_labels"] if labels else [])}
    assert {file.stem for file in folder.iterdir()} == names
    modules, scores = (pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("modules", "scores"))
    assert modules[1]["mid"] is None
    assert modules[2]["src"] == made[2]["src"]
    assert modules[2]["mature_content"] is bool(made[2]["mature_content"])
    assert [row["license"] for row in modules] == [row["license"] for row in made]
    assert scores[0]["emotion_scary"] is None
    assert scores[1] == {"mid": scored[1]["mid"], **scored[1]["scores"]}
    if labels:
        rows = pq.read_table(folder / "automatic_labels.parquet").to_pylist()
        known = {row["mid"]: row["scores"] for row in scored[1:]}
        assert all(row["content_cat"] == word(known[row["mid"]]["content_cat"]) for row in rows if row["mid"] in known)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04rest", "zip archive: unpack it first"),
        (b"\x1f\x8b\x08rest", "gzip archive: unpack it first"),
        (b"<!DOCTYPE html>", "HTML page"),
        (b"\xef\xbb\xbf\n<?xml version=", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer: git lfs pull"),
        (b"PRAGMA foreign_keys=OFF;\nBEGIN", "an SQL dump: sqlite3 bam.sqlite < it"),
        (b'{"error": 403}', "JSON, perhaps an error message"),
        (b"mid,src\n1,x\n", "is not a SQLite database"),
        (b"SQLite format 3\x00" + b"\x00" * 10, "truncated or damaged"),
        (b"SQLite format 3\x00" + b"\xff" * 5000, "is not a SQLite database|truncated|damaged"),
    ],
)
def test_files_that_are_no_database(tmp_path, content, words):
    path = tmp_path / "bam.sqlite"
    path.write_bytes(content)
    with pytest.raises(BamkitError, match=words):
        Database.open(path)


def test_a_truncated_file_is_recognised_at_once(bam):
    path, _ = bam
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BamkitError, match=r"is truncated: .+ of .+ are there"):
        Database.open(path)


def test_a_damaged_page_is_an_error_and_no_traceback(bam):
    path, _ = bam
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(BamkitError, match="damaged"), Database.open(path) as database:
        count(database, progress=False)


def test_a_foreign_database_says_what_is_missing(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("create table recipes(id int)")
    with pytest.raises(BamkitError, match=r"no table `modules` \(it holds recipes\)"):
        Database.open(path)
    with sqlite3.connect(path) as base:
        base.execute("create table modules(mid int, src text)")
    with pytest.raises(BamkitError, match="no table `scores`"):
        Database.open(path)
    with sqlite3.connect(path) as base:
        base.execute("create table scores(mid int, happiness real)")
    with pytest.raises(BamkitError, match="none of the 20 attribute columns"):
        Database.open(path)


def test_no_file_and_a_folder(tmp_path, bamkit):
    with pytest.raises(BamkitError, match="no file"):
        Database.open(tmp_path / "nothing.sqlite")
    with pytest.raises(BamkitError, match="cannot be read"):
        Database.open(tmp_path)
    shown = bamkit("info", cwd=tmp_path, code=3).output
    assert "no BAM database" in shown
    assert "bamkit sample" in shown


def test_a_locked_database(bam, monkeypatch):
    path, _ = bam
    monkeypatch.setattr("bamkit.curate.database.engines.BUSY_SECONDS", 0.1)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("begin exclusive")
    with pytest.raises(BamkitError, match="locked by another program"):
        Database.open(path)
    writer.execute("rollback")
    assert opened(path)


def test_a_file_left_in_the_middle_of_a_write(bam, tmp_path):
    path, _ = bam
    crash = (
        "import os, sqlite3, sys; b = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "b.execute('pragma cache_size = 1'); b.execute('begin immediate');"
        "b.execute(\"update modules set license = 'x' || license\"); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", crash, path], check=False)
    assert path.with_name("bam.sqlite-journal").exists()
    with pytest.raises(BamkitError, match="in the middle of a write"):
        Database.open(path)


def test_a_wal_file_can_be_read_and_its_log_counts(bam):
    path, _ = bam
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("pragma journal_mode = wal")
    before = opened(path)
    writer.execute("update scores set emotion_happy = -0.001 where rowid = 300")
    during = opened(path)
    writer.execute("pragma wal_checkpoint(truncate)")
    writer.close()
    assert len({before, during, opened(path)}) == 3


def test_the_fingerprint_changes_with_any_write_and_with_nothing_else(bam, tmp_path):
    path, _ = bam
    first = opened(path)
    assert opened(path) == first
    copy = tmp_path / "elsewhere" / "other.sqlite"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    assert opened(copy) == first
    with sqlite3.connect(copy) as base:
        base.execute("update scores set media_comic = media_comic - 0.5 where rowid = 77")
    assert opened(copy) != first


def test_the_fingerprint_reads_little_of_a_large_file():
    pages = sampled_pages(200_000)
    assert len(pages) <= SAMPLES + 2 * EDGE
    assert pages[:3] == [0, 1, 2]
    assert pages[-1] == 199_999
    assert max(np.diff(pages)) < 2 * 200_000 / SAMPLES
    assert sampled_pages(10) == list(range(10))


def test_reading_changes_nothing_and_leaves_nothing_beside_the_file(bam, tmp_path):
    path, _ = bam
    before = path.read_bytes()
    with Database.open(path) as database:
        select(database, Query(emotion="happy", top=10))
        describe(database, progress=False)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["bam.sqlite"]


def test_an_sqlalchemy_url_gives_the_same_selection(bam):
    path, _ = bam
    query = Query(emotion="happy", top=30, test=10, having=["tree:negative"], license="cc*", mature=False)
    with Database.open(path) as plain, Database.open(f"sqlite+pysqlite:///file:{path}?mode=ro&uri=true") as url:
        assert url.path is None
        one, two = select(plain, query), select(url, query)
        assert count(url, progress=False).labels == count(plain, progress=False).labels
        assert len(url.fingerprint) == 32
    assert one.selection_id == two.selection_id
    with Database.open(f"sqlite:///{path}") as by_path:
        assert by_path.path == path


def test_bad_urls(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(BamkitError, match="needs the Python package"):
        Database.open("postgresql+psycopg2://someone:secret@127.0.0.1/bam")
    with pytest.raises(BamkitError, match="is not an SQLAlchemy URL") as caught:
        Database.open("nosuch://someone:secret@127.0.0.1/bam")
    assert "secret" not in str(caught.value)


def test_older_releases_without_some_columns(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    with sqlite3.connect(path) as base:
        base.execute("alter table modules drop column license")
        base.execute("alter table modules drop column project_id")
    with Database.open(path) as database:
        chosen = select(database, Query(emotion="happy", top=5, test=0, validation=0))
        with pytest.raises(BamkitError, match="`modules` has no column license"):
            select(database, Query(emotion="happy", top=5, license="cc*"))
        assert count(database, progress=False).licenses == {"": 600}
    assert chosen.table["license"].null_count == len(chosen.table)


def test_bytes_that_are_no_utf8_and_mids_that_are_no_numbers(bam):
    path, made = bam
    with sqlite3.connect(path) as base:
        base.execute("update modules set license = cast(x'ff6363' as text) where mid = ?", (made[10]["mid"],))
        base.execute("insert into modules values ('abc', 1, 'https://example.test/x.jpg', 0, 'cc by')")
        base.execute("insert into scores (mid, emotion_happy) values ('abc', -0.00001), (null, -0.00001)")
    with Database.open(path) as database:
        counts = count(database, progress=False)
        chosen = select(database, Query(emotion="happy", top=30))
    assert counts.images == 601
    assert all(isinstance(mid, int) for mid in chosen.table["mid"].to_pylist())


@pytest.mark.parametrize(
    ("value", "meaning"),
    [(0, False), (1, True), ("t", True), ("False", False), (None, None), ("maybe", None), ("No", False), ("y", True)],
)
def test_truth(value, meaning):
    assert truth(value) is meaning
