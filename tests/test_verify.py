"""verify and diff: what changed since a selection was made, and what two selections differ in."""

import json
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bamfile import make_bam, ranked

from bamkit.common.contract import ATTRIBUTES, selection_schema
from bamkit.common.errors import BamkitError
from bamkit.common.shards import read_about, write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.database.connection import Database
from bamkit.curate.select.diff import diff, diff_named
from bamkit.curate.select.manifest import select_into
from bamkit.curate.select.query import Query
from bamkit.curate.select.verify import verify

SMALL = {"top": 30, "test": 10, "validation": 5, "reserve": 8}


@pytest.fixture
def world(tmp_path):
    """(database path, its rows, workspace with the selections happy and scary)."""
    path = tmp_path / "bam.sqlite"
    made = make_bam(path)
    workspace = Workspace(tmp_path)
    with Database.open(path) as database:
        select_into(workspace, database, Query(emotion="happy", **SMALL))
        select_into(workspace, database, Query(emotion="scary", disjoint_from="happy", **SMALL))
    return path, made, workspace


def verdicts(path, workspace):
    with Database.open(path) as database:
        return {one.name: one for one in verify(workspace, database)}


def test_nothing_changed(world, bamkit):
    path, _, workspace = world
    assert {one.state for one in verdicts(path, workspace).values()} == {"same"}
    assert "same" in bamkit("verify", cwd=workspace.root).output


NOTE = "note: bam.sqlite has changed since {} selected from it, or is another file: `bamkit verify` says"


def test_commands_that_read_selections_and_the_database_say_that_it_has_changed(world, bamkit):
    path, made, workspace = world
    lines = {
        "balance happy scary": "happy and scary were",
        "select --emotion gloomy --top 9 --disjoint-from happy --name g --force": "happy was",
    }
    for line in lines:
        assert "has changed since" not in bamkit(line, cwd=workspace.root).output
    with sqlite3.connect(path) as base:
        base.execute("update modules set license = 'gone' where mid = ?", (made[0]["mid"],))
    for line, which in lines.items():
        output = bamkit(line, cwd=workspace.root).output
        assert output.count("has changed since") == 1
        assert NOTE.format(which) in output
    # Nothing of the database is used.
    assert "has changed since" not in bamkit("balance happy scary --no-database", cwd=workspace.root).output
    assert "has changed since" not in bamkit("verify", cwd=workspace.root).output


def test_a_changed_database_is_noticed_and_harmless_changes_are_told_apart(world, bamkit):
    path, made, workspace = world
    worst = ranked(made, "emotion_happy")[-1]["mid"]
    with sqlite3.connect(path) as base:
        base.execute("update modules set license = 'gone' where mid = ?", (worst,))
    found = verdicts(path, workspace)
    assert {(one.state, one.database) for one in found.values()} == {("same", "other")}
    with sqlite3.connect(path) as base:
        base.execute("update scores set emotion_happy = -0.00001 where mid = ?", (worst,))
    found = verdicts(path, workspace)["happy"]
    assert (found.state, found.added, found.removed) == ("differs", 1, 1)
    assert found.moved == 3
    out = bamkit("verify happy --json", cwd=workspace.root, code=1).output
    assert json.loads(out)[0]["state"] == "differs"


def test_a_changed_value_of_a_chosen_image_is_noticed(world):
    path, made, workspace = world
    with sqlite3.connect(path) as base:
        mid = ranked(made, "emotion_happy")[3]["mid"]
        base.execute("update modules set license = 'sold' where mid = ?", (mid,))
    found = verdicts(path, workspace)["happy"]
    assert (found.state, found.changed, found.added) == ("differs", 1, 0)


def test_the_images_that_differ_are_named(world, bamkit):
    """One joins, one leaves, some move, one has another licence and one another score."""
    path, made, workspace = world
    best = ranked(made, "emotion_happy")
    with sqlite3.connect(path) as base:
        base.execute("update scores set emotion_happy = -0.00001 where mid = ?", (best[-1]["mid"],))
        base.execute("update modules set license = 'sold' where mid = ?", (best[3]["mid"],))
        base.execute("update scores set content_dog = -9.5 where mid = ?", (best[4]["mid"],))
    rows = verdicts(path, workspace)["happy"].rows
    by_change = {change: part.set_index("mid")["detail"].to_dict() for change, part in rows.groupby("change")}
    assert by_change["added"] == {best[-1]["mid"]: "train"}
    assert by_change["removed"] == {best[52]["mid"]: "reserve"}
    assert by_change["moved"] == {
        best[29]["mid"]: "train -> test",
        best[39]["mid"]: "test -> validation",
        best[44]["mid"]: "validation -> reserve",
    }
    assert by_change["changed"][best[3]["mid"]] == f"license: {best[3]['license']} -> sold"
    assert "content_dog_score: " in by_change["changed"][best[4]["mid"]]
    assert len(by_change["changed"]) == 2
    shown = bamkit("verify happy", cwd=workspace.root, code=1).output
    assert [str(best[3]["mid"]), "changed", "license:"] in [line.split()[:3] for line in shown.splitlines()]
    named = json.loads(bamkit("verify happy --json", code=1).output)[0]["rows"]
    assert {row["mid"] for row in named} == set(rows["mid"])


def test_an_altered_manifest_is_noticed(world):
    path, _, workspace = world
    manifest = workspace.selection("happy")
    table, about = pq.read_table(manifest), read_about(manifest)
    rows = table.to_pylist()
    rows[0]["license"] = "bought"
    write_table(pa.Table.from_pylist(rows, schema=selection_schema()), manifest, about)
    assert verdicts(path, workspace)["happy"].state == "altered"


def test_a_replaced_input_is_named(world):
    path, _, workspace = world
    with Database.open(path) as database:
        select_into(workspace, database, Query(emotion="happy", top=60, test=0, validation=0), force=True)
    found = verdicts(path, workspace)["scary"]
    assert found.state == "differs"
    assert "the selection happy it refers to was replaced" in found.reason


def test_a_query_that_fails_today_is_a_verdict_not_an_end(world):
    path, _, workspace = world
    with sqlite3.connect(path) as base:
        base.execute("delete from scores where rowid > 40")
    found = verdicts(path, workspace)
    assert {one.state for one in found.values()} == {"failed"}
    assert "only 40 of the 53" in found["happy"].reason


def test_no_selections(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    with Database.open(path) as database, pytest.raises(BamkitError, match="there is no selection in"):
        verify(Workspace(tmp_path), database)


def table(mids, scores, labels, split="train"):
    rows = []
    for rank, (mid, score, label) in enumerate(zip(mids, scores, labels, strict=True), 1):
        row = dict.fromkeys(selection_schema().names)
        row |= {"mid": mid, "src": f"s{mid}", "rank": rank, "split": split, "score": score}
        row |= {"content_cat": label, "content_cat_score": score}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=selection_schema())


def test_diff_counts_and_intervals():
    random = np.random.default_rng(0)
    n = 400
    scores = random.normal(-5, 1, n + 100)
    a = table(range(n), scores[:n], ["positive"] * 100 + ["negative"] * 300)
    b = table(range(100, n + 100), scores[100:] + 0, ["negative"] * 300 + ["positive"] * 100)
    found = diff(a, b)
    assert (len(found.added), len(found.removed), len(found.kept)) == (100, 100, 300)
    assert not found.changed
    cat = found.attributes.set_index("attribute").loc["content_cat"]
    assert cat["positive_a"] == cat["positive_b"] == 0.25
    assert cat["positive_shift_low"] < 0 < cat["positive_shift_high"]
    assert cat["score_shift"] == pytest.approx(scores[100:].mean() - scores[:n].mean())
    # 100 exchanged of 400: the standard error of the shift is sqrt(200) / 400 = 0.035, not sqrt(2 / 400) = 0.071.
    assert (cat["score_shift_high"] - cat["score_shift_low"]) / 3.92 == pytest.approx(0.035, rel=0.25)
    dog = found.attributes.set_index("attribute").loc["content_dog"]
    assert np.isnan(dog["positive_a"])
    assert np.isnan(dog["score_shift"])


def test_diff_of_one_with_itself_and_moves():
    a = table(range(10), [-1.0] * 10, ["positive"] * 10)
    assert diff(a, a).same
    moved = diff(a, table(range(10), [-1.0] * 10, ["positive"] * 10, split="test"))
    assert moved.moved == {("train", "test"): 10}
    assert not moved.same


def test_diff_from_the_command_line(world, bamkit):
    _, _, workspace = world
    shown = bamkit("diff happy scary", cwd=workspace.root).output
    assert shown.startswith("53 added, 53 removed, 0 kept")
    assert "emotion_scary" in shown
    values = json.loads(bamkit("diff selections/happy.parquet scary --split train --json").output)
    assert len(values["added"]) == 30
    assert [row["attribute"] for row in values["attributes"]] == list(ATTRIBUTES)
    assert "the selections are the same" in bamkit("diff happy happy").output
    assert "no selection 'hapy'" in bamkit("diff happy hapy", code=3).output
    with pytest.raises(BamkitError, match="no split 'dev'"):
        diff_named(workspace, "happy", "scary", "dev")
