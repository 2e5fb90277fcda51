"""The balance of two domains: prevalence, differences, shifts and lifts."""

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from domains import bam, manifest, two_domains, write_selection

from bamkit.common import statistics
from bamkit.common.contract import ATTRIBUTES, LABELS
from bamkit.common.errors import BamkitError
from bamkit.common.shards import write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.balance import balance, prevalence, top_labels
from bamkit.curate.audit.comparison import said_of_auc
from bamkit.curate.audit.domain import read_domain, read_domains
from bamkit.curate.select.matching.confounders import score_shift


def row(table: pd.DataFrame, attribute: str, label: str | None = None) -> dict:
    rows = [r for r in table.to_dict("records") if r["attribute"] == attribute and label in (None, r.get("label"))]
    assert len(rows) == 1
    return rows[0]


def test_images_of_one_project_widen_every_interval():
    """Two images a project, as `manifest` makes them: each project copied tells no more, though n is twice as large."""
    a, b = manifest(n=60, seed=1, flower=-1.0), manifest(60, "scary", seed=2, first_mid=9000)
    twice = [pa.concat_tables([side, side]) for side in (a, b)]
    once, again = balance(a, b), balance(*twice)
    assert (once.projects, again.projects) == ((30, 30), (30, 30))
    for table, columns in (
        ("labels", ("low_a", "high_b", "difference_low", "difference_high")),
        ("scores", ("low_a", "high_b")),
    ):
        first, second = getattr(once, table), getattr(again, table)
        for column in columns:
            assert np.allclose(first[column], second[column], atol=0.07), column
    narrow = statistics.share(np.repeat([True, False], 60))
    flower = row(again.labels, "content_flower", "positive")
    assert flower["n_a"] == 120
    assert flower["high_a"] - flower["low_a"] > 1.2 * (narrow.high - narrow.low)


def test_prevalence_counts_every_pair_once():
    table = manifest(n=80, seed=4, flower=-1.2)
    found = prevalence(table)
    assert len(found) == len(ATTRIBUTES) * len(LABELS)
    flower = row(found, "content_flower", "positive")
    assert flower["count"] == table["content_flower"].to_pylist().count("positive") > 5
    hits = np.array(table["content_flower"].to_pylist()) == "positive"
    share = statistics.share(hits, statistics.clusters_of(table["project_id"].to_pylist()))
    assert share.clusters < 80
    assert (flower["share"], flower["low"], flower["high"]) == (share.value, share.low, share.high)
    for attribute in ATTRIBUTES:
        assert sum(r["count"] for r in found.to_dict("records") if r["attribute"] == attribute) == 80
    assert math.isnan(flower["lift"])


def test_prevalence_leaves_out_images_without_a_label():
    table = manifest(n=40)
    column = table.schema.get_field_index("content_cat")
    table = table.set_column(column, "content_cat", pa.array([None] * 30 + ["positive"] * 4 + ["negative"] * 6))
    cat = row(prevalence(table), "content_cat", "positive")
    assert (cat["count"], cat["n"], cat["share"]) == (4, 10, 0.4)
    nothing = table.set_column(column, "content_cat", pa.nulls(40, pa.string()))
    cat = row(prevalence(nothing), "content_cat", "positive")
    assert cat["n"] == 0
    assert math.isnan(cat["share"])
    assert (cat["low"], cat["high"]) == (0, 1)


def test_lift_is_over_the_database_share():
    table = manifest(n=80, seed=4, flower=-1.2)
    counts = {"content_flower": {"positive": 10, "unsure": 40, "negative": 950}, "content_cat": {"positive": 0}}
    found = prevalence(table, counts)
    flower = row(found, "content_flower", "positive")
    assert flower["lift"] == pytest.approx(flower["share"] / 0.01)
    assert math.isnan(row(found, "content_cat", "positive")["lift"])


def test_top_labels_fold_the_rest_and_lose_nothing():
    shares = prevalence(manifest(n=80, seed=4, flower=-1.2))
    folded, full = top_labels(shares, 3), top_labels(shares, 100)
    assert folded["pair"].tolist()[-1] == "others"
    assert len(folded) == 4
    assert sum(folded["count"].tolist()) == sum(full["count"].tolist())
    assert sum(folded["share"].tolist()) == pytest.approx(1)
    assert "others" not in full["pair"].tolist()
    assert full["count"].tolist() == sorted(full["count"].tolist(), reverse=True)


def test_balance_finds_what_differs_and_its_direction():
    happy, scary = manifest(n=200, seed=1, flower=-1.2), manifest(n=200, seed=2, emotion="scary", people=-1.2)
    found = balance(happy, scary)
    flower = row(found.labels, "content_flower", "positive")
    assert flower["difference"] == pytest.approx(flower["share_a"] - flower["share_b"])
    assert 0 < flower["difference_low"] < flower["difference"] < flower["difference_high"] <= 1
    assert row(found.labels, "content_people", "positive")["smd"] < -0.3
    assert row(found.scores, "content_flower")["smd"] > 1
    assert abs(row(found.scores, "content_dog")["smd"]) < 0.3
    tree = row(found.scores, "content_tree")
    assert tree["low_a"] < tree["mean_a"] < tree["high_a"]
    backwards = balance(scary, happy)
    assert row(backwards.labels, "content_flower", "positive")["difference"] == pytest.approx(-flower["difference"])


def test_a_domain_is_balanced_against_itself():
    table = manifest(n=50)
    found = balance(table, table)
    assert set(found.labels["difference"].tolist()) == {0.0}
    assert set(score_shift(table, table).values()) == {0.0}


def test_domains_are_read_from_selections_and_splits(tmp_path):
    workspace = two_domains(tmp_path)
    happy = read_domain(workspace, "happy")
    assert happy.fetched
    assert happy.counts == {"train": 35, "test": 10, "validation": 5}
    assert happy.ranked_by == "emotion_happy"
    assert happy.missing.num_rows == 2
    assert "image" not in happy.rows.column_names
    assert [one.name for one in read_domains(workspace)] == ["happy", "scary"]
    with pytest.raises(BamkitError, match="no selection or split 'gloomy'") as error:
        read_domain(workspace, "gloomy")
    assert error.value.hint == "there are happy, scary"


def test_a_selection_alone_is_a_domain(tmp_path):
    workspace = two_domains(tmp_path, fetched=False)
    assert read_domain(workspace, "scary").counts == {"train": 35, "test": 10, "validation": 5, "reserve": 10}


def test_foreign_and_broken_parquet_are_refused_in_one_line(tmp_path):
    workspace = Workspace.open(tmp_path)
    write_selection(workspace, "cut", manifest(n=20).drop_columns(["content_cat"]))
    with pytest.raises(BamkitError, match="no column 'content_cat'"):
        read_domain(workspace, "cut")
    workspace.selection("torn").write_bytes(b"PAR1 torn")
    with pytest.raises(BamkitError, match="not a readable parquet file"):
        read_domain(workspace, "torn")


def test_the_command(tmp_path, bamkit):
    two_domains(tmp_path)
    output = bamkit("balance happy scary", cwd=tmp_path).output
    assert "content_people:positive" in output
    assert "lift" not in output
    assert "told apart by content and media alone with AUC 0.9" in output
    assert "--match happy" in output
    bam(tmp_path / "bam.sqlite", n=200)
    assert "lift happy" in bamkit("balance happy scary", cwd=tmp_path).output
    assert bamkit("balance", cwd=tmp_path).output == bamkit("balance happy scary", cwd=tmp_path).output
    said = json.loads(bamkit("balance happy scary --split test --json", cwd=tmp_path).output)
    assert (said["n_a"], said["n_b"]) == (10, 10)
    assert len(said["labels"]) == 60
    assert len(said["scores"]) == 20
    assert said["auc"]["low"] <= said["auc"]["value"] <= said["auc"]["high"]


def test_the_command_says_what_is_wrong(tmp_path, bamkit):
    assert "no selection or split 'happy'" in bamkit("balance happy scary", cwd=tmp_path, code=3).output
    workspace = two_domains(tmp_path)
    write_selection(workspace, "few", manifest(n=30, test=0).slice(0, 10))
    assert "two domains can be compared, and 1 are named" in bamkit("balance happy", cwd=tmp_path, code=3).output
    assert "few has no test images" in bamkit("balance happy few --split test", cwd=tmp_path, code=3).output
    assert "no BAM database" in bamkit("balance happy scary --db no.sqlite", cwd=tmp_path, code=3).output


def test_a_domain_is_not_compared_with_itself(tmp_path, bamkit):
    two_domains(tmp_path, fetched=False)
    result = bamkit("balance happy happy", cwd=tmp_path, code=None)
    assert result.exit_code
    assert "happy cannot be compared with itself" in result.output
    assert "next: bamkit balance happy scary" in result.output


def test_a_matched_domain_is_not_told_to_match(tmp_path, bamkit):
    workspace = two_domains(tmp_path, fetched=False)
    about = {"kind": "selection", "query": {"match": "happy"}, "match": {"matched": 35}, "selection_id": "0" * 16}
    write_table(manifest(seed=2, emotion="scary", first_mid=50_000, people=-1.2), workspace.selection("scary"), about)
    output = bamkit("balance happy scary", cwd=tmp_path).output
    assert "told apart by content and media alone" in output
    assert "--match" not in output


@pytest.mark.parametrize(
    ("auc", "words"),
    [
        ((0.91, 0.8, 0.97), "told apart by content and media alone with AUC 0.910 [0.800, 0.970]"),
        ((0.325, 0.2, 0.45), "not told apart by content and media alone: AUC 0.325 [0.200, 0.450] is not above 0.5"),
        ((0.55, 0.48, 0.62), "not told apart"),
        ((math.nan, 0.0, 1.0), ""),
    ],
)
def test_the_auc_is_a_one_sided_test(auc, words):
    said = said_of_auc(auc)
    assert words in said
    assert ("one-sided test" in said) == bool(words)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_tables_hold_the_width_of_the_terminal(tmp_path, bamkit, monkeypatch, columns):
    two_domains(tmp_path, fetched=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    whole = bamkit("balance happy scary", cwd=tmp_path).output
    monkeypatch.setenv("COLUMNS", str(columns))
    folded = bamkit("balance happy scary", cwd=tmp_path).output
    lines = folded.splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("happy 35"))]
    assert max(map(len, table)) <= columns < max(map(len, whole.splitlines()))
    assert set("".join(whole.split())) <= set("".join(folded.split()))
