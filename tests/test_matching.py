"""Matching: the chosen domain resembles the target, costs what it says, and repeats."""

import json
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from bamfile import make_bam
from bamfile import ranked as by_score
from domains import labels_of, manifest, scores

from bamkit.common.contract import ATTRIBUTES, NOT_EMOTION, selection_schema
from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.curate.database.connection import Database
from bamkit.curate.select.manifest import explain as explain_query
from bamkit.curate.select.manifest import read_selection, select, select_into
from bamkit.curate.select.matching import confounders, search
from bamkit.curate.select.matching.confounders import coarse_labels, features, score_shift, separability
from bamkit.curate.select.matching.match import explain, match, match_widening, worked
from bamkit.curate.select.matching.search import Search
from bamkit.curate.select.query import Query

COUNTS = {"train": 150, "test": 30, "validation": 10, "reserve": 30}


def ranked(n: int, seed: int, first_mid: int, split: list[str], flowers: float, people: float) -> pa.Table:
    """Images of which a share shows flowers and another people, ranked by a score that people raise."""
    random = np.random.default_rng(seed)
    columns = scores(n, seed)
    kind = random.random(n)
    for attribute, these in (("content_flower", kind < flowers), ("content_people", kind > 1 - people)):
        columns[f"{attribute}_score"] = np.where(
            these, -np.abs(random.normal(0, 0.5, n)), columns[f"{attribute}_score"]
        )
    score = -np.abs(random.normal(0, 2, n)) - 0.8 * (kind <= 1 - people)
    order = np.argsort(-score)
    columns = {name: values[order] for name, values in columns.items()}
    mids = first_mid + np.arange(n)
    rows = {
        "mid": mids, "project_id": mids, "src": [f"http://x/{mid}.jpg" for mid in mids], "license": ["cc by"] * n,
        "mature": [False] * n, "rank": np.arange(1, n + 1), "score": score[order], "split": split,
        **labels_of(columns), **columns,
    }  # fmt: skip
    schema = selection_schema()
    return pa.table({name: pa.array(rows[name], schema.field(name).type) for name in schema.names}, schema=schema)


@pytest.fixture(scope="module")
def target() -> pa.Table:
    splits = [split for split, n in COUNTS.items() for _ in range(n)]
    return ranked(220, 1, 1, splits, flowers=0.5, people=0.1)


@pytest.fixture(scope="module")
def pool() -> pa.Table:
    return ranked(2500, 2, 10_000, ["train"] * 2500, flowers=0.08, people=0.5)


@pytest.fixture(scope="module")
def result(pool, target):
    return match(pool, target, COUNTS, seed=5)


@pytest.fixture
def twenty_trees(monkeypatch):
    """A third of the trees, for tests of how a pool grows: they still see what is not balanced."""
    monkeypatch.setattr(confounders, "TREES", 20)


def test_it_fills_the_splits_with_different_candidates_in_rank_order(result, pool):
    chosen = result.chosen
    assert {s: chosen["split"].to_pylist().count(s) for s in COUNTS} == COUNTS
    mids = chosen["mid"].to_pylist()
    assert len(set(mids)) == len(mids)
    assert set(mids) <= set(pool["mid"].to_pylist())
    assert chosen["rank"].to_pylist() == sorted(chosen["rank"].to_pylist())
    assert chosen.schema.names == selection_schema().names


def test_the_domains_can_no_longer_be_told_apart(result, pool, target):
    report = result.report
    assert report["auc"]["before"]["value"] > 0.7
    assert abs(report["auc"]["after"]["value"] - 0.5) < 0.1
    assert report["largest_smd"]["before"] > 0.5 > 0.25 > report["largest_smd"]["after"]
    assert report["mean_smd"]["after"] < report["mean_smd"]["before"]
    assert worked(report)
    train, theirs = (t.filter(pc.equal(t["split"], "train")) for t in (result.chosen, target))
    shift = score_shift(train, theirs, NOT_EMOTION)
    assert abs(shift["content_flower"]) < 0.3
    assert report["smd"]["content_flower"]["before"] < -0.5


def test_it_says_what_it_cost(result, pool):
    score = result.report["score"]
    kept = [row["score"] for row in result.chosen.to_pylist() if row["split"] != "reserve"]
    assert score["after"]["mean"] == pytest.approx(np.mean(kept), abs=1e-6)
    assert score["before"]["mean"] == pytest.approx(np.mean(pool["score"].to_numpy()[:190]), abs=1e-6)
    assert score["after"]["low"] < score["after"]["mean"] < score["after"]["high"] < score["before"]["mean"]
    lines = explain(result.report, "happy")
    assert len(lines) == 1
    assert "AUC" in lines[0]
    json.dumps(result.report, allow_nan=False)


def test_most_have_the_same_coarse_labels(result):
    assert result.report["same_labels"] > 0.9 * result.report["matched"]
    assert result.report["same_labels"] <= result.report["matched"] == 190


def test_the_same_seed_gives_the_same_choice(pool, target, six_trees):
    once, again, other = (match(pool, target, COUNTS, seed=seed) for seed in (5, 5, 6))
    assert again.chosen.equals(once.chosen)
    assert again.report == once.report
    assert other.chosen["mid"].to_pylist() != once.chosen["mid"].to_pylist()


def test_the_targets_own_images_are_never_chosen(pool, target, six_trees):
    mixed = pa.concat_tables([target, pool])
    chosen = match(mixed, target, COUNTS, seed=5).chosen
    assert not set(chosen["mid"].to_pylist()) & set(target["mid"].to_pylist())


def test_too_small_a_pool_is_told_not_hidden(pool, target, six_trees):
    short = match(pool.slice(0, 230), target, COUNTS)
    assert not worked(short.report)
    assert "too few like the target; ask for fewer images" in explain(short.report, "happy")[-1]
    # 210 candidates: the splits are filled, the reserve as far as they reach.
    assert match(pool.slice(0, 210), target, COUNTS).chosen["split"].to_pylist().count("reserve") == 20
    with pytest.raises(BamkitError, match="100 candidates cannot fill 190 places"):
        match(pool.slice(0, 100), target, COUNTS)


def test_the_pool_grows_until_the_domains_are_balanced(pool, target, twenty_trees):
    asked = []

    def pools():
        for n in (230, 920, 2300, 2500):
            asked.append(n)
            yield pool.slice(0, n)

    grown = match_widening(pools(), target, COUNTS, seed=5)
    report = grown.report
    tries = report["tries"]
    assert [one["candidates"] for one in tries] == asked
    assert 230 < report["candidates"] == asked[-1] < 2500
    assert tries[0]["auc"] > 0.6 > 0.55 >= tries[-1]["auc"] == report["auc"]["after"]["value"]
    assert tries[0]["largest_smd"] > tries[-1]["largest_smd"]
    # What it cost is told: images that resemble the target have a lower score.
    assert tries[-1]["score"] < tries[0]["score"]
    assert worked(report)
    said = explain(report, "happy")[1]
    assert said.startswith("230 candidates gave no balance (AUC 0.")
    assert f"so the pool was widened to {asked[-1]:,}: the mean score went from" in said
    # The choice is that of the last pool alone, so that --pool repeats it.
    assert grown.chosen.equals(match(pool.slice(0, asked[-1]), target, COUNTS, seed=5).chosen)


@pytest.fixture(scope="module")
def fading(pool):
    """The pool with labels of emotion_scary by rank: 100 positive, 150 unsure, the rest negative."""
    words = ["positive"] * 100 + ["unsure"] * 150 + ["negative"] * (pool.num_rows - 250)
    return pool.set_column(pool.schema.get_field_index("emotion_scary"), "emotion_scary", pa.array(words))


def labels_chosen(result, attribute="emotion_scary"):
    kept = result.chosen.filter(pc.not_equal(result.chosen["split"], "reserve"))
    return [kept[attribute].to_pylist().count(word) for word in ("positive", "unsure", "negative")]


def test_a_match_keeps_what_the_domain_stands_for(fading, target, six_trees):
    counts = {"train": 90, "test": 20, "validation": 10, "reserve": 20}
    free = match(fading, target, counts, seed=5)
    kept = match(fading, target, counts, seed=5, attribute="emotion_scary")
    assert labels_chosen(free)[2] > 60
    # 100 of the first 120 are positive: at most 5 % of 120 may be given up.
    positive, unsure, negative = labels_chosen(kept)
    assert negative == 0
    assert positive >= 94
    assert positive + unsure == 120
    assert kept.report["positive"] == {"attribute": "emotion_scary", "before": 100, "after": positive, "others": 2400}
    assert "emotion_scary:positive 100 before" in explain(kept.report, "happy")[0]
    assert "--match-any" in explain(kept.report, "happy")[-1]
    assert kept.chosen["split"].to_pylist().count("reserve") == 20
    assert "emotion_scary:negative" not in kept.chosen["emotion_scary"].to_pylist()


def test_positives_may_be_chosen_freely_where_there_are_plenty(pool, target):
    words = ["positive"] * 1500 + ["negative"] * (pool.num_rows - 1500)
    plenty = pool.set_column(pool.schema.get_field_index("emotion_scary"), "emotion_scary", pa.array(words))
    kept = match(plenty, target, COUNTS, seed=5, attribute="emotion_scary")
    assert labels_chosen(kept) == [190, 0, 0]
    assert worked(kept.report)


def test_images_without_labels_are_matched_as_before(pool, target, six_trees):
    bare = pool.set_column(
        pool.schema.get_field_index("emotion_scary"), "emotion_scary", pa.nulls(pool.num_rows, pa.string())
    )
    kept = match(bare, target, COUNTS, seed=5, attribute="emotion_scary")
    assert kept.chosen["mid"].to_pylist() == match(bare, target, COUNTS, seed=5).chosen["mid"].to_pylist()


def test_too_few_images_that_are_not_negative_are_an_error_that_says_so(fading, target, six_trees):
    counts = {"train": 300, "test": 0, "validation": 0, "reserve": 0}
    with pytest.raises(BamkitError, match="only 250 of 2,500 candidates are not emotion_scary:negative") as caught:
        match_widening([fading.slice(0, 400), fading], target, counts, attribute="emotion_scary")
    assert "--match-any" in caught.value.hint
    # A larger pool is tried before that is said.
    late = pa.concat_tables([fading.slice(1000, 1400), fading.slice(0, 250)])
    grown = match_widening([late.slice(0, 400), late], target, {"train": 60, "reserve": 0}, attribute="emotion_scary")
    assert labels_chosen(grown)[2] == 0


def test_without_balance_the_closest_pool_is_taken(pool, target, six_trees):
    people = pool.filter(pc.greater(pool["content_people_score"], -2.0))
    grown = match_widening([people.slice(0, 230), people, people.slice(0, 900)], target, COUNTS)
    tries = grown.report["tries"]
    assert len(tries) == 3
    assert round(grown.report["auc"]["after"]["value"], 2) == round(min(one["auc"] for one in tries), 2) > 0.6
    assert not worked(grown.report)
    lines = explain(grown.report, "happy")
    assert len(lines) == 3
    assert lines[-1].endswith("too few like the target; ask for fewer images")
    more = explain(grown.report, "happy", "leave --pool out", filtered=True)[-1]
    assert more.endswith("; leave --pool out, ask for fewer images or relax a filter")
    with pytest.raises(BamkitError, match="no candidates"):
        match_widening([], target, COUNTS)


def test_more_or_fewer_images_than_the_target_has(pool, target, six_trees):
    for counts in ({"train": 400, "test": 5, "reserve": 0},):
        chosen = match(pool, target, counts).chosen
        found = {split: chosen["split"].to_pylist().count(split) for split in counts}
        assert found == counts


def test_images_without_scores_are_refused_in_one_line(pool, target):
    bare = target
    for name in NOT_EMOTION:
        column = bare.schema.get_field_index(f"{name}_score")
        bare = bare.set_column(column, f"{name}_score", pa.nulls(bare.num_rows, pa.float64()))
    with pytest.raises(BamkitError, match="without content and media scores"):
        match(pool, bare, COUNTS)
    with pytest.raises(BamkitError, match="is empty"):
        match(pool, target.slice(0, 0), COUNTS)


def test_some_missing_scores_do_not_stop_it(pool, target, six_trees):
    column = pool.schema.get_field_index("content_cat_score")
    holes = [None if i % 3 else -5.0 for i in range(pool.num_rows)]
    chosen = match(pool.set_column(column, "content_cat_score", pa.array(holes)), target, COUNTS).chosen
    assert chosen.num_rows == sum(COUNTS.values())


def test_the_search_takes_the_surest_of_the_same_labels_then_the_nearest():
    # Ranks 0..4; the anchor at 0.0 has label 1. Within the caliper lie ranks 1 and 3 with its label: 1 is surer.
    there, labels = np.array([9.0, 0.1, 0.05, 0.0, -9.5]), np.array([1, 1, 2, 1, 1])
    found = Search(np.array([0.0, 0.0, 0.0, 0.0]), np.array([1, 1, 1, 1]), there, labels).run()
    assert found.place.tolist() == [1, 3, 2, 0]
    assert found.exact.tolist() == [True, True, False, True]
    assert found.close.tolist() == [True, True, True, False]


def test_the_search_agrees_with_a_plain_one_on_random_input():
    random = np.random.default_rng(0)
    there, wanted = random.normal(0, 1, 700), random.normal(1, 1, 500)
    labels, kinds = random.integers(0, 6, 700), random.integers(0, 8, 500)
    found = Search(wanted, kinds, there, labels).run()
    caliper, free = 0.2 * np.concatenate([wanted, there]).std(), np.ones(700, bool)
    for index in range(500):
        distance = np.where(free, np.abs(there - wanted[index]), np.inf)
        same = np.flatnonzero((distance <= caliper) & (labels == kinds[index]))
        wider = np.flatnonzero((distance <= 5 * caliper) & (labels == kinds[index]))
        if same.size:
            assert found.place[index] == same[0]
        elif wider.size:
            assert distance[found.place[index]] == distance[wider].min()
        else:
            assert distance[found.place[index]] == distance.min()
        free[found.place[index]] = False


def test_the_pool_may_run_out():
    found = Search(np.zeros(3), np.zeros(3, int), np.array([0.0, 1.0]), np.zeros(2, int)).run()
    assert sorted(found.place.tolist()) == [-1, 0, 1]


def test_coarse_labels_are_a_mask_of_content_and_media():
    table = manifest(n=40, seed=4, flower=-1.0)
    mask = coarse_labels(table)
    for bit, name in enumerate(NOT_EMOTION):
        assert [bool(m >> bit & 1) for m in mask] == [label == "positive" for label in table[name].to_pylist()]
    assert features(table).shape == (40, len(ATTRIBUTES) - 4)


def test_separability_knows_chance_and_certainty():
    random = np.random.default_rng(1)
    a, b = random.normal(size=(200, 16)), random.normal(size=(200, 16))
    value, low, high = separability(a, b)
    assert low < 0.55
    assert 0.4 < value < 0.6 < high + 0.06
    assert separability(a, b + 3)[0] > 0.99
    assert np.isnan(separability(a[:3], b)[0])


@pytest.fixture(scope="module")
def confounded(tmp_path_factory):
    """A file in which the top of happy is all flowers, and the top of scary all people."""
    path = tmp_path_factory.mktemp("confounded") / "bam.sqlite"
    make_bam(path, rows=4000)
    with sqlite3.connect(path) as base:
        for emotion, content in (("happy", "flower"), ("scary", "people")):
            base.execute(
                f"update scores set emotion_{emotion} = -(mid % 97) / 1000.0 - 0.001 where content_{content} > -1"
            )
    return path


@pytest.fixture(scope="module")
def fading_file(tmp_path_factory):
    """A file of 500 images: by their score for scary 60 are positive, then 170 unsure, the rest negative."""
    path = tmp_path_factory.mktemp("fading") / "bam.sqlite"
    made = make_bam(path, rows=500, labels="table", without_scores=0)
    best = [(row["mid"],) for row in by_score(made, "emotion_scary")]
    with sqlite3.connect(path) as base:
        for label, mids in (("positive", best[:60]), ("unsure", best[60:230]), ("negative", best[230:])):
            base.executemany(f"update automatic_labels set emotion_scary = '{label}' where mid = ?", mids)
    return path


def test_select_widens_the_pool_and_fixes_it_with_pool(tmp_path, confounded, twenty_trees):
    workspace = Workspace.open(tmp_path)
    sizes = {"top": 60, "test": 15, "validation": 5, "reserve": 10}
    with Database.open(confounded) as database:
        select_into(workspace, database, Query(emotion="happy", **sizes))
        matched = select_into(workspace, database, Query(emotion="scary", match="happy", **sizes), "matched")
        fixed = select(database, Query(emotion="scary", match="happy", pool=450, **sizes), workspace, "fixed")
        shown = explain_query(database, matched.query, workspace, "matched")
    report = matched.about["match"]
    assert report["auc"]["before"]["value"] > 0.9
    assert fixed.about["match"]["auc"]["after"]["value"] > 0.6 > report["auc"]["after"]["value"]
    assert worked(report)
    sizes_tried = [one["candidates"] for one in report["tries"]]
    assert sizes_tried[:2] == [450, 900]
    assert len(fixed.about["match"]["tries"]) == 1
    assert fixed.about["match"]["candidates"] == 450 == shown.assigned["pool"]
    assert any("so the pool was widened to" in note for note in matched.notes)
    assert any("too few like the target" in note and "leave --pool out" in note for note in fixed.notes)
    assert matched.table["rank"].to_pylist() == list(range(1, 91))
    mids = set(matched.table["mid"].to_pylist())
    assert len(mids) == 90
    assert not mids & set(read_selection(workspace, "happy").table["mid"].to_pylist())


ADVICE = [
    # what is typed, the hint or note, and the lines that it advises
    ("--match happy --top 260", "ask for --top 200, or add --match-any to take negative ones",
     ["--match happy --top 200", "--match happy --top 260 --match-any"]),
    ("--match happy --top 260 --match-any", "only 210 images are not: leave --match-any out and ask for --top 200",
     ["--match happy --top 200"]),
    ("--match happy --top 180 --pool 300 --match-any", "leave --match-any and --pool out", ["--match happy --top 180"]),
    ("--match happy --top 60 --with scary:negative", "add --match-any to take negative ones",
     ["--match happy --top 60 --with scary:negative --match-any"]),
    ("--match happy --top 100 --reserve 90 --pool 130", "give --pool 200 or more, or ask for --top 30",
     ["--match happy --top 100 --reserve 90 --pool 200", "--match happy --top 30 --reserve 90 --pool 130"]),
    ("--match happy --top 200 --group-by project", "relax --group-by project, or ask for --top 96",
     ["--match happy --top 200", "--match happy --top 96 --group-by project"]),
    ("--top 400", "ask for fewer (--top 224, --test 6 would do)", ["--top 224 --test 6"]),
    ("--top 400 --rank-by cat",
     "relax --rank-by content_cat (of the emotion_scary:positive images), or ask for --top 50",
     ["--top 400", "--top 50 --rank-by cat"]),
    ("--top 9 --rank-by cat --without scary", "leave one of the two out",
     ["--top 9 --rank-by cat", "--top 9 --without scary"]),
    ("--top 300 --labels crowd --with happy",
     "relax --with emotion_happy:positive (crowd), or ask for at most 10 (--top, --test)",
     ["--top 300 --labels crowd", "--top 5 --test 2 --labels crowd --with happy"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "hint", "advised"),
    [pytest.param(*one, id=one[0], marks=[pytest.mark.slow] if "--match" in one[0] else []) for one in ADVICE],
)
def test_advice_that_is_followed_gives_a_selection(tmp_path, fading_file, bamkit, line, hint, advised):
    (tmp_path / "bam.sqlite").hardlink_to(fading_file)
    base = "select --emotion scary --test 10 --validation 0 --json --force"
    if "--match" in line:
        bamkit("select --emotion happy --top 40 --test 10 --validation 0 --reserve 0", cwd=tmp_path)
    said = bamkit(f"{base} {line}", cwd=tmp_path, code=None)
    if said.exit_code:
        assert said.stderr.partition("hint: ")[2].strip() == hint
    else:
        notes = [note for note in json.loads(said.stdout)["notes"] if ":negative" in note]
        assert [note.partition("emotion_scary:negative: ")[2] for note in notes] == [hint]
    for new in advised:
        notes = json.loads(bamkit(f"{base} {new}").stdout)["notes"]
        if not said.exit_code:
            assert not [note for note in notes if ":negative" in note], new


def plain_search(wanted, labels, there, there_labels, positive, others):
    """The search as its description says it, by looking at every candidate for every anchor."""
    caliper = 0.2 * np.concatenate([wanted, there]).std()
    free, chosen = np.ones(there.size, dtype=bool), []
    for logit, label in zip(wanted, labels, strict=True):
        allowed = free & (positive | (others > 0))
        distance, alike = np.abs(there - logit), there_labels == label
        if (same := np.flatnonzero(allowed & alike & (distance <= caliper))).size:
            best = same[0]
        elif (wider := np.flatnonzero(allowed & alike & (distance <= 5 * caliper))).size:
            best = wider[np.argmin(distance[wider])]
        elif (every := np.flatnonzero(allowed)).size:
            best = every[np.argmin(distance[every])]
        else:
            break
        free[best] = False
        others -= not positive[best]
        chosen.append(int(best))
    return chosen + [-1] * (wanted.size - len(chosen))


@pytest.mark.parametrize("seed", range(12))
def test_the_search_finds_what_looking_at_every_candidate_finds(monkeypatch, seed):
    monkeypatch.setattr(search, "BLOCK", 7)
    random = np.random.default_rng(seed)
    anchors, pool = 60, (50, 150, 900)[seed % 3]
    wanted, there = random.normal(0.7, 1, anchors), random.normal(0, 1, pool)
    labels, there_labels = random.integers(0, 3, anchors), random.integers(0, 3, pool)
    positive, others = random.random(pool) < 0.7, int(random.integers(0, 20))
    found = Search(wanted, labels, there, there_labels, positive, others).run()
    assert found.place.tolist() == plain_search(wanted, labels, there, there_labels, positive, others)


def test_an_anchor_does_not_look_at_all_that_lies_in_its_window():
    ranks = np.random.default_rng(0).permutation(200_000)
    alike = search._Alike(np.linspace(0, 1, ranks.size), ranks)
    looked = []

    class Counted(np.ndarray):
        def __getitem__(self, part):
            taken = super().__getitem__(part)
            looked.append(np.size(taken))
            return taken

    expected = np.sort(ranks[1000:199_001])[:50]
    alike.ranks, alike.lowest = alike.ranks.view(Counted), alike.lowest.view(Counted)
    assert np.array_equal(np.asarray(alike.best((1000, 199_001), 50)), expected)
    assert sum(looked) < 20_000
