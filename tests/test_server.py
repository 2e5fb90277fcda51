"""A BAM database on a server. The server is one that BAMKIT_SERVER names: the SQLAlchemy URL of an empty database in
which tables may be made, such as postgresql+psycopg2://user@127.0.0.1/empty. Without it most of this is skipped."""

import os

import pytest
import sqlalchemy as sa
from bamfile import make_bam

from bamkit.common.errors import BamkitError
from bamkit.curate.database import crowd
from bamkit.curate.database.connection import Database
from bamkit.curate.database.counts import count
from bamkit.curate.database.sql_window import ask
from bamkit.curate.select.manifest import select
from bamkit.curate.select.query import Query

URL = os.environ.get("BAMKIT_SERVER")
TYPES = {"real": sa.Double, "int": sa.Integer, "boolean": sa.Boolean, "text": sa.Text}
QUERIES = [
    {"emotion": "happy", "top": 30, "test": 10, "having": ["tree:negative"], "license": "cc*", "mature": False},
    {"emotion": "scary", "top": 20, "without": ["people:positive"], "min_score": ["happy=-9"], "group_by": "project"},
    {"emotion": "gloomy", "top": 20, "sample": "stratified", "seed": 3, "labels": "threshold"},
    {"emotion": "peaceful", "top": 3, "test": 0, "validation": 0, "labels": "crowd", "having": ["people"]},
]


@pytest.fixture
def bam(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path, labels="table")
    return path


@pytest.fixture
def url(bam):
    """The same database on the server; its tables are dropped afterwards."""
    if not URL:
        pytest.skip("BAMKIT_SERVER names no server")
    engine = sa.create_engine(URL)
    assert not sa.inspect(engine).get_table_names(), "BAMKIT_SERVER must name an empty database"
    tables = sa.MetaData()
    with Database.open(bam) as source, engine.begin() as target:
        for name, table in source.tables.items():
            columns = (sa.Column(column, TYPES[kind.lower()]) for column, kind in table.columns.items())
            made = sa.Table(name, tables, *columns)
            made.create(target)
            rows = source.rows(f"SELECT {', '.join(table.columns)} FROM {name}")
            kinds = [column.type.python_type for column in made.columns]
            target.execute(
                made.insert(),
                [
                    {
                        column: None if value is None else kind(value)
                        for column, kind, value in zip(table.columns, kinds, row, strict=True)
                    }
                    for row in rows
                ],
            )
    yield URL
    tables.drop_all(engine)
    engine.dispose()


def test_a_server_gives_what_the_sqlite_file_gives(bam, url):
    with Database.open(bam) as file, Database.open(url) as server:
        for query in QUERIES:
            one, two = (select(database, Query(**query)) for database in (file, server))
            assert one.selection_id == two.selection_id, query
            assert one.table.equals(two.table), query
        one, two = (count(database, progress=False).as_dict() for database in (file, server))
        assert one == two
        one, two = (crowd.crowd_of(database) for database in (file, server))
        assert one.agreement.equals(two.agreement)
        assert one.calibration.equals(two.calibration)
        with Database.open(url) as again:
            assert server.fingerprint == again.fingerprint


def test_a_server_answers_and_refuses_to_write(url):
    with Database.open(url) as server:
        assert list(ask(server, "select count(*) as n from modules where src like '%a%'").dicts()) == [{"n": 600}]
        assert list(ask(server, "explain select 1").rows)
    for text in ("delete from modules", "create table other (a int)", "update modules set src = ''"):
        with Database.open(url) as server, pytest.raises(BamkitError, match="reading only: the engine refused"):
            ask(server, text)
    for text in ("select 1; delete from modules", "select 1; commit; begin read write; delete from modules; commit"):
        with Database.open(url) as server, pytest.raises(BamkitError, match="one statement at a time"):
            ask(server, text)
    for text in ("select emotion_hapy from scores", "select s.emotion_hapy from scores as s"):
        with Database.open(url) as server, pytest.raises(BamkitError) as caught:
            ask(server, text)
        assert caught.value.hint == "did you mean emotion_happy?"
    with Database.open(url) as server:
        assert server.one("select count(*) from modules") == (600,)


def test_what_has_a_url_gets_one_statement(bam):
    """On any engine that is reached by URL; a semicolon at the end is no second one."""
    with Database.open(f"sqlite+pysqlite:///file:{bam}?mode=ro&uri=true") as database:
        assert list(ask(database, "select 'a%b' as t; ").rows) == [("a%b",)]
        with pytest.raises(BamkitError, match="one statement at a time"):
            ask(database, "select 1; select 2")
