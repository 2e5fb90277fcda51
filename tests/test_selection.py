"""select: ranks, splits, filters, leakage, determinism; each against a second implementation in plain Python."""

import errno
import json
import os
import re
import sqlite3
from fnmatch import fnmatchcase

import pytest
from bamfile import make_bam, ranked, word
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bamkit.common.contract import ATTRIBUTES, LABELS, selection_schema
from bamkit.common.errors import BamkitError
from bamkit.common.provenance import digest
from bamkit.common.workspace import Workspace
from bamkit.curate.database.connection import Database
from bamkit.curate.database.info import describe
from bamkit.curate.select.manifest import Selection, select, select_into
from bamkit.curate.select.query import Query

SMALL = {"top": 30, "test": 10, "validation": 5, "reserve": 8}


def mids(selection, split=None):
    rows = zip(selection.table["mid"].to_pylist(), selection.table["split"].to_pylist(), strict=True)
    return [mid for mid, own in rows if split in (None, own)]


def answer(path, workspace=None, **options):
    with Database.open(path) as database:
        return select(database, Query(**{"emotion": "happy", **SMALL, **options}), workspace)


@pytest.fixture(params=["view", "table", "opaque"])
def bam(tmp_path, request):
    path = tmp_path / "bam.sqlite"
    return path, make_bam(path, labels=request.param)


def test_ranks_splits_scores_and_labels_are_those_of_the_database(bam):
    path, made = bam
    chosen = answer(path)
    wanted = ranked(made, "emotion_happy")[:53]
    assert mids(chosen) == [row["mid"] for row in wanted]
    assert chosen.table["split"].to_pylist() == ["train"] * 30 + ["test"] * 10 + ["validation"] * 5 + ["reserve"] * 8
    assert chosen.table["rank"].to_pylist() == list(range(1, 54))
    assert chosen.table.schema.remove_metadata() == selection_schema()
    for got, row in zip(chosen.table.to_pylist(), wanted, strict=True):
        assert got["score"] == row["scores"]["emotion_happy"]
        assert (got["src"], got["license"], got["project_id"]) == (row["src"], row["license"], row["project_id"])
        assert got["mature"] is bool(row["mature_content"])
        for name in ATTRIBUTES:
            assert got[f"{name}_score"] == row["scores"][name]
            assert got[name] == word(row["scores"][name])


def test_default_reserve_is_15_percent_but_at_least_20():
    assert Query(emotion="happy").counts == {"train": 1000, "test": 200, "validation": 50, "reserve": 188}
    assert Query(emotion="happy", top=10, test=0, validation=0).reserve_wanted == 20


def test_filters_agree_with_python(bam):
    path, made = bam
    chosen = answer(
        path, having=["tree:negative,unsure"], without=["comic"], min_score=["scary=-9"], max_score=["dog=-0.2"],
        license=["CC BY*"], mature=False, top=12, test=3, validation=0, reserve=0,
    )  # fmt: skip
    passing = [
        row["mid"]
        for row in ranked(made, "emotion_happy")
        if word(row["scores"]["content_tree"]) != "positive"
        and word(row["scores"]["media_comic"]) != "positive"
        and row["scores"]["emotion_scary"] >= -9
        and row["scores"]["content_dog"] <= -0.2
        and (row["license"] or "").lower().startswith("cc by")
        and not row["mature_content"]
    ]
    assert mids(chosen) == passing[:15]


def test_crowd_labels_filter_and_fill_the_manifest(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    with sqlite3.connect(path) as base:
        yes = {
            r[0]
            for r in base.execute("select mid from crowd_labels where attribute='content_cat' and label='positive'")
        }
    chosen = answer(path, labels="crowd", having=["cat"], top=2, test=0, validation=0, reserve=0)
    assert set(mids(chosen)) <= yes
    assert chosen.table["content_cat"].to_pylist() == ["positive", "positive"]
    assert chosen.table["content_dog"].to_pylist() == [None, None]


def test_without_automatic_labels_thresholds_are_used_and_stated(tmp_path):
    path = tmp_path / "bam.sqlite"
    made = make_bam(path, labels=None)
    chosen = answer(path, having=["tree"], negative_below=-3.0, top=20, test=0, validation=0, reserve=0)
    passing = [r["mid"] for r in ranked(made, "emotion_happy") if r["scores"]["content_tree"] > -1]
    assert mids(chosen) == passing[:20]
    assert chosen.about["labels"] == {"source": "threshold", "positive_above": -1.0, "negative_below": -3.0}
    assert any("no automatic_labels" in note and "-1" in note for note in chosen.notes)
    assert [r["content_tree"] for r in chosen.table.to_pylist()] == ["positive"] * 20


def test_the_same_input_gives_the_same_bytes(bam, tmp_path):
    path, _ = bam
    for folder in ("one", "two"):
        with Database.open(path) as database:
            select_into(Workspace(tmp_path / folder), database, Query(emotion="happy", **SMALL))
    one, two = (tmp_path / f / "selections" / "happy.parquet" for f in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    again = Selection.read(one)
    assert again.query == Query(emotion="happy", **SMALL)
    assert len(again.selection_id) == 16


def test_selection_id_follows_query_and_rows_not_the_file(tmp_path):
    first, second = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    make_bam(first)
    make_bam(second, page_size=8192)
    assert answer(first).about["database"] != answer(second).about["database"]
    assert answer(first).selection_id == answer(second).selection_id
    assert answer(first).selection_id != answer(first, reserve=7).selection_id


def test_selection_id_is_the_digest_of_query_inputs_and_rows_whatever_the_pieces(bam, monkeypatch):
    path, _ = bam
    whole = answer(path)
    rows = {name: whole.table[name].to_pylist() for name in whole.table.column_names}
    assert whole.selection_id == digest({"query": whole.query.as_dict(), "inputs": {}, "rows": rows})
    monkeypatch.setattr("bamkit.curate.select.manifest.CHUNK", 7)
    pieces = answer(path)
    assert pieces.table == whole.table
    assert pieces.selection_id == whole.selection_id


def test_duplicates_of_one_src_keep_the_best_rank(tmp_path):
    path = tmp_path / "bam.sqlite"
    made = make_bam(path)
    best = ranked(made, "emotion_happy")
    with sqlite3.connect(path) as base:
        base.execute("update modules set src = ? where mid = ?", (best[0]["src"], best[4]["mid"]))
        base.execute("insert into scores select * from scores where mid = ?", (best[2]["mid"],))
        base.execute("update modules set src = null where mid = ?", (best[6]["mid"],))
    chosen = answer(path)
    assert mids(chosen) == [row["mid"] for i, row in enumerate(best[:55]) if i not in (4, 6)]
    assert chosen.dropped == {"the same src as a better rank": 1, "a second row of scores for one mid": 1}


def test_ties_go_by_mid(tmp_path):
    path = tmp_path / "bam.sqlite"
    made = make_bam(path)
    with sqlite3.connect(path) as base:
        base.execute("update scores set emotion_happy = -0.25")
    assert mids(answer(path)) == sorted(row["mid"] for row in made if row["scores"])[:53]


def test_scores_that_are_text_null_or_infinite_never_rank(tmp_path):
    path = tmp_path / "bam.sqlite"
    made = make_bam(path)
    best = ranked(made, "emotion_happy")
    odd = ["high", None, float("nan"), float("inf"), float("-inf"), b"\xff"]
    with sqlite3.connect(path) as base:
        for row, value in zip(best, odd, strict=False):
            base.execute("update scores set emotion_happy = ? where mid = ?", (value, row["mid"]))
    assert mids(answer(path)) == [row["mid"] for row in best[len(odd) : len(odd) + 53]]


def test_many_rounds_of_ranking_miss_nothing(tmp_path):
    """A licence so rare that the first thousands of ranks do not hold enough of it."""
    path = tmp_path / "bam.sqlite"
    made = make_bam(path, rows=6000)
    rare = ranked(made, "emotion_happy")[::300]
    with sqlite3.connect(path) as base:
        base.executemany("update modules set license = 'rare' where mid = ?", [(row["mid"],) for row in rare])
    chosen = answer(path, license="rare", top=15, test=5, validation=0, reserve=0)
    assert mids(chosen) == [row["mid"] for row in rare]


def test_limit_per_project(bam):
    path, _ = bam
    chosen = answer(path, limit_per_project=1)
    projects = chosen.table["project_id"].to_pylist()
    assert len(set(projects)) == len(projects) == 53


def test_group_by_project_keeps_splits_apart_and_the_reserve_safe(bam):
    path, _ = bam
    loose, kept = answer(path), answer(path, group_by="project")
    assert any("--group-by project" in note for note in loose.notes)
    assert not any("more than one split" in note for note in kept.notes)
    homes = {}
    for row in kept.table.to_pylist():
        homes.setdefault(row["project_id"], []).append(row["split"])
    assert all(len(set(found)) == 1 for found in homes.values())
    assert all(len(found) == 1 for found in homes.values() if found[0] == "reserve")


def test_disjoint_from_leaves_out_images_srcs_and_projects(bam, tmp_path):
    path, made = bam
    workspace = Workspace(tmp_path)
    with Database.open(path) as database:
        happy = select_into(workspace, database, Query(emotion="happy", **SMALL))
        again = select_into(workspace, database, Query(emotion="happy", **SMALL), name="again")
        assert not any("other selections" in note for note in again.notes)
        other = select(database, Query(attribute="tree", top=300, test=0, validation=0), workspace, "tree")
        assert any("hold as well (again: 28, happy: 28), and training refuses" in note for note in other.notes)
        apart = select(database, Query(emotion="happy", disjoint_from="happy", **SMALL), workspace, "apart")
        far = select(
            database, Query(emotion="happy", disjoint_from="happy", group_by="project", **SMALL), workspace, "far"
        )
        with pytest.raises(BamkitError, match="no selection 'hapy'"):
            select(database, Query(emotion="scary", disjoint_from="hapy"), workspace)
    assert mids(apart) == [row["mid"] for row in ranked(made, "emotion_happy")[53:106]]
    assert apart.about["inputs"] == {"happy": happy.selection_id}
    assert not set(far.table["project_id"].to_pylist()) & set(happy.table["project_id"].to_pylist())


@pytest.mark.parametrize("kind", ["random", "stratified"])
def test_samples_are_reproducible_and_differ_by_seed(bam, kind):
    path, made = bam
    one, same, other = (answer(path, sample=kind, seed=seed) for seed in (1, 1, 2))
    assert mids(one) == mids(same) != mids(other)
    assert len(set(mids(one))) == 53
    scores = {row["mid"]: row["scores"]["emotion_happy"] for row in made if row["scores"]}
    assert all(scores[row["mid"]] == row["score"] for row in one.table.to_pylist())


def test_a_random_draw_is_even_and_a_stratified_one_reaches_every_band(tmp_path):
    path = tmp_path / "bam.sqlite"
    made = make_bam(path, rows=3000)
    scores = sorted(row["scores"]["emotion_happy"] for row in made if row["scores"])
    middle = scores[len(scores) // 2]
    drawn = answer(path, sample="random", seed=3, top=600, test=0, validation=0, reserve=0).table["score"].to_pylist()
    # 600 fair coins: 300 heads, standard deviation 12.
    assert 240 < sum(score > middle for score in drawn) < 360
    even = answer(path, sample="stratified", seed=3, top=50, test=0, validation=0, reserve=0).table["score"].to_pylist()
    width = (scores[-1] - scores[0]) / 10
    full = {b for b in range(10) if any(int((s - scores[0]) / width) == b for s in scores)}
    reached = [min(int((s - scores[0]) / width), 9) for s in even]
    assert set(reached) >= full - {10}
    assert max(reached.count(b) for b in range(10)) <= 50 // 2


def test_rank_by_another_attribute_filters_on_the_domain(bam):
    path, made = bam
    chosen = answer(path, rank_by="flower", top=10, test=0, validation=0, reserve=0)
    passing = [r["mid"] for r in ranked(made, "content_flower") if r["scores"]["emotion_happy"] > -1]
    assert mids(chosen) == passing[:10]


def test_too_few_images_say_how_many_and_what_to_relax(bam):
    path, _ = bam
    with pytest.raises(BamkitError, match=r"only (\d+) of the 1,250 images") as caught:
        answer(path, top=1000, test=200, validation=50, reserve=None, having=["tree"])
    assert "--with content_tree:positive" in str(caught.value)
    assert "relax --with content_tree:positive" in caught.value.hint


def test_a_filter_that_nothing_survives_is_named(bam):
    path, _ = bam
    with pytest.raises(BamkitError, match="no image passes --license 'gpl'") as caught:
        answer(path, without=["comic"], license="gpl", having=["tree"])
    assert "'cc by'" in caught.value.hint
    with pytest.raises(BamkitError, match=r"no image passes --min-score emotion_happy=0\.5"):
        answer(path, min_score="happy=0.5")


def test_the_filter_to_blame_is_the_one_whose_absence_helps(tmp_path):
    """One filter takes out nearly all, another that comes before it takes out more but changes nothing."""
    path = tmp_path / "bam.sqlite"
    made = make_bam(path)
    with sqlite3.connect(path) as base:
        base.execute("update modules set license = 'rare' where mid in (select mid from scores limit 20)")
        base.execute(
            "update scores set emotion_scary = -20 where mid not in (select mid from modules where license='rare')"
        )
    for options, culprit in (
        ({"min_score": ["scary=-19"], "license": ["rare"]}, ("--min-score", "--license")),
        ({"license": ["rare"], "having": ["tree:negative,unsure"]}, ("--license",)),
        ({"license": ["rare"], "mature": False}, ("--license",)),
        ({"limit_per_project": 1, "top": 300}, ("--limit-per-project",)),
    ):
        with pytest.raises(BamkitError, match="; without --") as caught:
            answer(path, **options)
        assert caught.value.hint.startswith(tuple(f"relax {flag}" for flag in culprit)), (options, caught.value.hint)
    assert made


def failing(path, **options):
    """Rows of a selection that fail a filter by their own values."""
    chosen = answer(path, reserve=0, test=0, validation=0, **options)
    query = chosen.query
    for row in chosen.table.to_pylist():
        yield from (row for f in query.having_filters if row[f.attribute] not in f.labels)
        yield from (row for f in query.without_filters if row[f.attribute] in f.labels)
        yield from (row for b in query.min_bounds if not row[f"{b.attribute}_score"] >= b.value)
        yield from (row for b in query.max_bounds if not row[f"{b.attribute}_score"] <= b.value)


@pytest.mark.parametrize("labels", ["view", "table", "opaque", None])
@pytest.mark.parametrize(
    "options",
    [
        {"without": ["comic"]},
        {"without": ["comic"], "having": ["tree:negative,unsure"]},
        {"having": ["tree:negative"], "without": ["comic:unsure", "dog"]},
        {"min_score": ["cat=-6"], "max_score": ["dog=-0.5"], "without": ["comic"], "having": ["tree:unsure,negative"]},
        {"labels": "threshold", "having": ["cat:negative"], "without": ["comic:negative"], "negative_below": -3.0},
    ],
)
def test_filters_hold_by_the_manifests_own_values(tmp_path, labels, options):
    """Two rows of scores for one mid that disagree, two rows of labels, infinities, NULL."""
    path = tmp_path / "bam.sqlite"
    make_bam(path, labels=labels)
    with sqlite3.connect(path) as base:
        columns = [row[1] for row in base.execute("pragma table_info(scores)")][1:]
        turned = ", ".join(columns[1:] + columns[:1])
        base.execute(f"insert into scores select mid, {turned} from scores where rowid % 2 = 0")
        if labels == "table":
            names = [row[1] for row in base.execute("pragma table_info(automatic_labels)")][1:]
            other = ", ".join(names[3:] + names[:3])
            base.execute(f"insert into automatic_labels select mid, {other} from automatic_labels where rowid % 3 = 0")
        for i, value in enumerate([float("-inf"), None, float("inf"), "high"]):
            base.execute(
                "update scores set content_cat = ?, media_comic = ?, content_dog = ? where rowid % 11 = ?",
                (value, value, value, i),
            )
    assert not list(failing(path, top=20, **options))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("modules: mid text", r"`modules.mid` holds text in 600 of 600 rows, where BAM has integer"),
        ("scores: mid text", r"`scores.mid` holds text in 595 of 595 rows"),
        ("modules: src blob", r"`modules.src` holds blob in 600 of 600 rows, where BAM has text"),
        ("modules: mid real", r"`modules.mid` holds real in 600 of 600"),
    ],
)
def test_columns_of_another_type_are_named(tmp_path, change, words):
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    table, column, kind = change.replace(":", "").split()
    with sqlite3.connect(path) as base:
        names = [row[1] for row in base.execute(f"pragma table_info({table})")]
        cast = f"cast({column} as {kind}) {'+ 0.5' * (kind == 'real')} as {column}"
        values = ", ".join(cast if name == column else name for name in names)
        base.execute(f"create table x as select {values} from {table}")
        base.execute("drop view automatic_labels")
        base.execute(f"drop table {table}")
        base.execute(f"alter table x rename to {table}")
    with pytest.raises(BamkitError, match=words) as caught:
        answer(path)
    assert "types" in caught.value.hint
    with Database.open(path) as database:
        assert re.search(words, " | ".join(describe(database, progress=False).problems))


@pytest.mark.parametrize(
    ("change", "said", "shown_by_info"),
    [
        (
            "modules set src = cast(src as blob)",
            "left out: their `modules.src` is a BLOB, where BAM has text",
            "src` holds",
        ),
        ("modules set project_id = 'p' || project_id", "`modules.project_id` is text for", "project_id` holds text in"),
        ("modules set project_id = project_id + 0.5", "`modules.project_id` is a real number for", "holds real in"),
        (
            "automatic_labels set emotion_happy = 'Positive'",
            "none of positive, unsure, negative but 'Positive'",
            "labels are",
        ),
        (
            "automatic_labels set content_cat = ' negative '",
            "none of positive, unsure, negative but ' negative '",
            "labels are",
        ),
    ],
)
def test_columns_of_another_kind_in_part_of_the_rows_are_noted(tmp_path, change, said, shown_by_info):
    path = tmp_path / "bam.sqlite"
    make_bam(path, labels="table")
    assert not any("where BAM has" in note or "none of" in note for note in answer(path).notes)
    with sqlite3.connect(path) as base:
        base.execute(f"update {change} where mid % 3 = 0")
    notes = answer(path).notes
    assert [said in note for note in notes].count(True) == 1, notes
    with Database.open(path) as database:
        assert shown_by_info in " | ".join(describe(database, progress=False).problems)


def test_labels_that_are_not_there_are_noted(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path, labels="table")
    with sqlite3.connect(path) as base:
        base.execute("delete from automatic_labels")
        base.execute("update modules set mature_content = case when mature_content then 'yes' else 'No' end")
    assert "none of these images has a label of any attribute: --labels threshold" in answer(path).notes[0]
    chosen = answer(path, mature=False, labels="threshold")
    assert set(chosen.table["mature"].to_pylist()) == {False}
    assert not any("none of these images" in note for note in chosen.notes)


def test_labels_of_the_crowd_that_are_not_bams_are_counted(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    with sqlite3.connect(path) as base:
        base.execute("update crowd_labels set label = 'Positive' where rowid in (1, 2, 3)")
        base.execute("update crowd_labels set attribute = 'happy' where rowid in (7, 8)")
    with Database.open(path) as database:
        problems = describe(database, progress=False).problems
    assert "3 labels of the crowd are none of positive, unsure, negative" in problems
    assert "2 labels of the crowd are of attributes that BAM does not have" in problems


def test_licences_that_are_blobs_hold_by_the_manifests_own_values(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    with sqlite3.connect(path) as base:
        base.execute("update modules set license = cast(license as blob)")
    licences = set(answer(path, license=["cc*"]).table["license"].to_pylist())
    assert licences
    assert all(text.lower().startswith("cc") for text in licences), licences


def test_the_fewer_images_that_are_advised_have_no_such_note(tmp_path):
    """Labels from another source than the scores: ranks 1 to 20 hold several negatives, later ones few."""
    path = tmp_path / "bam.sqlite"
    made = make_bam(path, labels="table")
    best = [row["mid"] for row in ranked(made, "emotion_happy")]
    cases = [
        # negative ranks, test images, whether fewer images are advised
        ([3, 5, 60, 61, 62, 63], 0, True),
        ([0, 1, 2], 0, False),
        ([*range(40, 90)], 0, True),
        ([10, 30, 50, 70, 85], 0, True),
        # The training images are fine, the test images behind them are not.
        ([*range(90, 100)], 10, True),
        ([*range(84, 89)], 10, True),
        ([*range(92, 120)], 5, True),
    ]
    for negatives, test, fewer in cases:
        with sqlite3.connect(path) as base:
            base.execute("update automatic_labels set emotion_happy = 'positive'")
            base.executemany(
                "update automatic_labels set emotion_happy = 'negative' where mid = ?", [(best[i],) for i in negatives]
            )
        sizes = {"test": test, "validation": 0, "reserve": 0}
        note = next((n for n in answer(path, **{**SMALL, **sizes, "top": 90}).notes if ":negative" in n), "")
        advised = [int(word) for word in note.split("--top ")[-1].split() if word.isdigit()][:1]
        assert bool(advised) == fewer, note
        for top in advised:
            assert not any(":negative" in n for n in answer(path, **{**SMALL, **sizes, "top": top}).notes)


def test_three_notes_are_shown_and_all_are_kept(bam, tmp_path, bamkit):
    bamkit("select --emotion happy --top 60 --test 20 --validation 5", cwd=tmp_path)
    line = "select --emotion scary --top 120 --test 30 --validation 5 --match happy --force"
    shown = bamkit(line).output
    notes = json.loads(bamkit(f"{line} --json").output)["notes"]
    assert shown.count("note: ") == 3 < len(notes)
    assert f"{len(notes) - 3} more: --json" in shown
    assert notes[0].startswith("matched 155 images on happy")


def test_a_selection_cannot_match_itself(bam, tmp_path, bamkit):
    bamkit("select --emotion happy --top 30 --test 5", cwd=tmp_path)
    for line in ("--match happy", "--disjoint-from happy", "--match happy --force"):
        refused = bamkit(f"select --emotion happy --top 30 --test 5 {line}", code=3).output
        assert "cannot refer to itself" in refused
        assert "--force" not in refused


def test_a_full_disk_names_the_file_and_the_next_step(bam, tmp_path, bamkit, monkeypatch):
    import pyarrow.parquet as pq

    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):

        def full(*_, number=number, **__):
            raise OSError(number, "Error writing bytes to file")

        monkeypatch.setattr(pq, "write_table", full)
        monkeypatch.delenv("BAMKIT_DEBUG", raising=False)
        shown = bamkit("select --emotion happy --top 30 --test 5", cwd=tmp_path, code=3).output
        assert f"the disk is full at {tmp_path / 'selections' / 'happy.parquet'}" in shown.replace("\n", " ") or (
            "the disk is full at selections/happy.parquet" in shown
        )
        assert "free some space" in shown
    assert not list((tmp_path / "selections").iterdir())


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_place_that_cannot_be_written_is_named_and_not_its_temporary_file(bam, tmp_path, bamkit, monkeypatch, number):
    def closed(path, *_, **__):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("bamkit.common.workspace.flush", closed)
    monkeypatch.delenv("BAMKIT_DEBUG", raising=False)
    shown = bamkit("select --emotion happy --top 30 --test 5", cwd=tmp_path, code=3).output
    assert shown.startswith(f"bamkit: selections/happy.parquet: {os.strerror(number)}")
    assert "hint: give it the permission, or another place" in shown


def test_text_scores_everywhere_are_explained(tmp_path):
    path = tmp_path / "bam.sqlite"
    make_bam(path)
    with sqlite3.connect(path) as base:
        base.execute("update scores set emotion_happy = 'high'")
    with pytest.raises(BamkitError, match=r"no row of `scores` has a number in emotion_happy \(it holds 595 text\)"):
        answer(path)


def test_select_from_the_command_line(bam, tmp_path, bamkit):
    line = "select --emotion happy --top 30 --test 10 --validation 5 --reserve 8"
    shown = bamkit(line, cwd=tmp_path).output
    assert "selections/happy.parquet: 53 images" in shown
    assert "bamkit fetch" in shown
    refused = bamkit(line, code=3).output
    assert "already there" in refused
    assert "--force" in refused
    bamkit(line + " --force")
    assert "did you mean happy" in bamkit("select --emotion hapy", code=3).output
    assert "contradict" in bamkit("select --emotion happy --with cat --without cat", code=3).output
    explained = bamkit("select --emotion happy --with cat --no-mature --explain").output
    assert "ORDER BY" in explained
    assert "--with content_cat:positive" in explained


def test_options_come_from_bamkit_toml_and_the_environment(bam, tmp_path, bamkit, monkeypatch):
    (tmp_path / "bamkit.toml").write_text('[select]\ntop = 20\ntest = 4\nwith = ["tree"]\nno-mature = true\n')
    monkeypatch.setenv("BAMKIT_SELECT_VALIDATION", "3")
    bamkit("select --emotion happy --reserve 2 --test 5", cwd=tmp_path)
    query = Selection.read(tmp_path / "selections" / "happy.parquet").query
    assert (query.top, query.test, query.validation, query.reserve) == (20, 5, 3, 2)
    assert query.having == ("content_tree:positive",)
    assert query.mature is False


def test_match_takes_other_images_reports_and_can_be_verified(bam, tmp_path):
    path, _ = bam
    workspace = Workspace(tmp_path)
    with Database.open(path) as database:
        happy = select_into(workspace, database, Query(emotion="happy", **SMALL))
        query = Query(emotion="scary", match="happy", seed=3, group_by="project", **SMALL)
        matched = select_into(workspace, database, query, name="matched")
        assert select(database, query, workspace, "matched").selection_id == matched.selection_id
        with pytest.raises(BamkitError, match="name selections of a workspace"):
            select(database, query)
        with pytest.raises(BamkitError, match="cannot refer to itself"):
            select(database, query, workspace, "happy")
    assert matched.counts == {"train": 30, "test": 10, "validation": 5, "reserve": 8}
    assert not set(mids(matched)) & set(mids(happy))
    assert matched.table["rank"].to_pylist() == list(range(1, 54))
    assert len(set(matched.table["project_id"].to_pylist())) == 53
    assert matched.about["inputs"] == {"happy": happy.selection_id}
    assert set(matched.about["match"]["largest_smd"]) == {"before", "after"}
    assert any("AUC" in note for note in matched.notes)


def test_a_damaged_neighbour_is_noted_and_no_obstacle(bam, tmp_path):
    path, _ = bam
    workspace = Workspace(tmp_path)
    workspace.selections.mkdir()
    workspace.selection("odd").write_bytes(b"PAR1")
    with Database.open(path) as database:
        chosen = select_into(workspace, database, Query(emotion="happy", **SMALL))
    assert any("not compared with the selection odd" in note for note in chosen.notes)


names = st.sampled_from(ATTRIBUTES)
filters = st.lists(st.tuples(names, st.sets(st.sampled_from(LABELS), min_size=1, max_size=2)), max_size=2)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    domain=names,
    having=filters,
    without=filters,
    bound=st.none() | st.tuples(names, st.floats(-12, -0.5)),
    license=st.sampled_from(["", "cc*", "cc by-n?", "*"]),
    mature=st.booleans(),
    limit=st.none() | st.integers(1, 2),
    top=st.integers(1, 40),
    labels=st.sampled_from(["automatic", "threshold"]),
)
def test_any_query_gives_what_plain_python_gives(
    shared, domain, having, without, bound, license, mature, limit, top, labels
):
    """Random questions, answered by a second implementation that sorts a list."""
    path, made = shared
    high, low = (-1.0, -3.0)

    def passes(row):
        own = {name: word(score) for name, score in row["scores"].items()}
        return (
            all(own[name] in some for name, some in having)
            and not any(own[name] in some for name, some in without)
            and (bound is None or row["scores"][bound[0]] >= bound[1])
            and (not license or fnmatchcase((row["license"] or "\0").lower(), license))
            and (license != "*" or row["license"] is not None)
            and (mature or not row["mature_content"])
        )

    wanted, projects = [], []
    for row in filter(passes, ranked(made, domain)):
        if limit is None or projects.count(row["project_id"]) < limit:
            wanted.append(row["mid"])
            projects.append(row["project_id"])
    options = {
        "having": [f"{name}:{','.join(some)}" for name, some in having],
        "without": [f"{name}:{','.join(some)}" for name, some in without],
        "min_score": [f"{bound[0]}={bound[1]!r}"] if bound else [],
        "license": [license] if license else [],
    }
    try:
        query = Query(
            attribute=domain, top=top, test=0, validation=0, reserve=0, mature=mature, limit_per_project=limit,
            labels=labels, positive_above=high, negative_below=low, **options,
        )  # fmt: skip
    except BamkitError as error:
        if "contradict" not in str(error):
            raise
        return
    with Database.open(path) as database:
        if len(wanted) >= top:
            assert mids(select(database, query)) == wanted[:top]
        else:
            with pytest.raises(BamkitError, match=f"only {len(wanted)} of|no image passes"):
                select(database, query)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    path = tmp_path_factory.mktemp("shared") / "bam.sqlite"
    return path, make_bam(path)
