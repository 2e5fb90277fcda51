"""The read-only window: the engine, not a look at the text, refuses to write."""

import csv
import io
import json
import sqlite3

import pytest
from bamfile import make_bam

from bamkit.common.errors import BamkitError
from bamkit.curate.database.connection import Database
from bamkit.curate.database.sql_window import ask


@pytest.fixture
def bam(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "delete from modules",
        "update scores set emotion_happy = 0",
        "insert into modules values (1, 1, 'x', 0, 'y')",
        "with a as (select 1) delete from modules",
        "drop table modules",
        "create table t(a)",
        "create temp table t(a)",
        "alter table modules rename to m",
        "attach 'other.sqlite' as other",
        "vacuum",
        "vacuum into 'other.sqlite'",
        "reindex",
        "analyze",
        "begin immediate",
        "commit",
        "pragma query_only = off",
        "pragma journal_mode = wal",
        "pragma writable_schema = on",
        "pragma user_version = 7",
        "select load_extension('x.so')",
        "explain delete from modules",
    ],
)
def test_the_engine_refuses_to_write(bam, statement, monkeypatch):
    monkeypatch.chdir(bam.parent)
    before = bam.read_bytes()
    with Database.open_any(bam) as database, pytest.raises(BamkitError):
        list(ask(database, statement).rows)
    assert bam.read_bytes() == before
    assert [path.name for path in bam.parent.iterdir()] == ["bam.sqlite"]


def test_each_lock_holds_alone(bam):
    """Without the authorizer, the connection still refuses; without query_only, the file still cannot be written."""
    with Database.open(bam) as database:
        raw = database.connection.connection.driver_connection
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            raw.execute("delete from modules")
        raw.execute("pragma query_only = off")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            raw.execute("delete from modules")


def test_reading_works(bam):
    with Database.open_any(bam) as database:
        result = ask(database, "with a as (select mid from modules) select count(*) as n, 'x' as n, x'ff' as b from a;")
        assert list(result.dicts()) == [{"n": 600, "n_2": "x", "b": "ff"}]
        assert len(list(ask(database, "pragma table_info(modules)").rows)) == 5
        assert list(ask(database, "select ':not a parameter'").rows) == [(":not a parameter",)]


@pytest.mark.parametrize(
    ("statement", "words", "hint"),
    [
        ("select id from modules", "no such column: id", "mid"),
        ("select m.emotion_gloom from scores m", "no such column", "emotion_gloomy"),
        ("select * from score", "no such table: score", "scores"),
        ("selec", "syntax error", ""),
        ("select 1; select 2", "one statement at a time", ""),
        ("  ;", "no statement", "bamkit sql"),
    ],
)
def test_mistakes_are_explained(bam, statement, words, hint):
    with Database.open_any(bam) as database, pytest.raises(BamkitError, match=words) as caught:
        list(ask(database, statement).rows)
    assert hint in caught.value.hint


def test_table_csv_and_json(bam, bamkit, monkeypatch):
    monkeypatch.chdir(bam.parent)
    statement = "select mid, license from modules order by mid"
    table = bamkit(["sql", statement])
    assert table.output.splitlines()[0].split() == ["mid", "license"]
    assert "--limit" in table.output
    rows = list(csv.reader(io.StringIO(bamkit(["sql", statement, "--csv"]).output)))
    assert rows[0] == ["mid", "license"]
    assert len(rows) == 601
    values = json.loads(bamkit(["sql", statement, "--json", "--limit", "3"]).output)
    assert [str(row["mid"]) for row in values] == [row[0] for row in rows[1:4]]
    assert bamkit(["sql", "select mid, src from modules where 0"]).output.split() == ["mid", "src"]
    assert "refused" in bamkit(["sql", "drop table scores"], code=3).output
    bamkit(["sql", statement, "--csv", "--json"], code=3)


def test_through_sqlalchemy(bam):
    with Database.open_any(f"sqlite+pysqlite:///file:{bam}?uri=true") as database:
        assert list(ask(database, "select count(*) as n from modules").dicts()) == [{"n": 600}]
        with pytest.raises(BamkitError, match="reading only"):
            ask(database, "delete from modules")
