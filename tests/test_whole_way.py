"""From the database to a changed picture on a tiny sample, with the verbs exactly as a user types them."""

import io
import json
import re

import pyarrow.parquet as pq
import pytest
from links import broken_links
from PIL import Image
from traces import found

from bamkit.common.contract import missing_schema, selection_schema, split_schema, translation_schema
from bamkit.common.shards import read_about


@pytest.fixture(scope="module")
def workspace(sample_template, tmp_path_factory):
    import shutil

    return shutil.copytree(sample_template, tmp_path_factory.mktemp("whole") / "workspace")


IN_ORDER = True
"""The tests of this module are one walk: each builds on what the ones before it left."""


def test_info(bamkit, workspace):
    assert "400 images" in bamkit("info", cwd=workspace).output


def test_select(bamkit, workspace):
    for line in ("select --emotion happy --top 10 --test 4", "select --emotion scary --top 10 --test 4"):
        assert "next: bamkit fetch" in bamkit(f"{line} --validation 4", cwd=workspace).output
    table = pq.read_table(workspace / "selections" / "happy.parquet")
    assert table.schema.remove_metadata().equals(selection_schema())
    assert table["rank"].to_pylist() == list(range(1, table.num_rows + 1))
    again = bamkit("select --emotion happy --top 10 --test 4", cwd=workspace, code=3).output
    assert "already" in again
    assert "--force" in again


def test_training_before_fetching_says_what_to_type(bamkit, workspace):
    assert "bamkit fetch" in bamkit("train", cwd=workspace, code=3).output


def test_fetch(bamkit, workspace, sample_server):
    bamkit("fetch --size 40", cwd=workspace)
    for name in ("happy", "scary"):
        for split, count in (("train", 10), ("test", 4), ("validation", 4)):
            (path,) = (workspace / "splits" / name).glob(f"{split}-*.parquet")
            table = pq.read_table(path)
            assert table.num_rows == count, "dead links are replaced from the reserve"
            assert table.schema.remove_metadata().equals(split_schema().remove_metadata())
            assert Image.open(io.BytesIO(table["image"][0]["bytes"].as_py())).size == (40, 40)
        missing = pq.read_table(workspace / "missing" / f"{name}.parquet")
        assert missing.schema.remove_metadata().equals(missing_schema())


def test_fetch_again_asks_for_nothing(bamkit, workspace, sample_server):
    before, asked = shards(workspace), sum(sample_server.requests.values())
    bamkit("fetch --size 40", cwd=workspace)
    assert sum(sample_server.requests.values()) == asked
    assert shards(workspace) == before


def shards(workspace):
    return {path: path.read_bytes() for path in sorted((workspace / "splits").rglob("*.parquet"))}


def test_report(bamkit, workspace, undrawn):
    bamkit("report", cwd=workspace)
    page = (workspace / "reports" / "index.html").read_text()
    needed = re.findall(r'(?:src|href)="(?!data:|#)([^"]+)', page)
    assert needed == ["../index.html"], "the page needs nothing but itself"
    assert (workspace / "reports" / "figures" / "scores.svg").exists()


def test_train(bamkit, workspace):
    output = bamkit(
        "train --steps 2 --width 4 --blocks 1 --samples 1 --validations 1 --no-tensorboard", cwd=workspace
    ).output
    assert "next: bamkit translate" in output
    run = workspace / "runs" / "happy-scary"
    assert json.loads((run / "run.json").read_text())["config"]["width"] == 4
    assert list((run / "samples").glob("happy-to-scary-*.png"))
    assert (run / "index.html").exists()


def test_translate(bamkit, workspace):
    bamkit("translate", cwd=workspace)
    path = workspace / "translations" / "happy-scary" / "translations.parquet"
    table = pq.read_table(path)
    assert table.schema.remove_metadata().equals(translation_schema().remove_metadata())
    assert sorted(set(table["direction"].to_pylist())) == ["happy-to-scary", "scary-to-happy"]
    assert table.num_rows == 8
    assert read_about(path)["run"] == "happy-scary"


def test_evaluate(bamkit, workspace):
    output = bamkit("evaluate", cwd=workspace).output
    assert "happy-to-scary" in output
    found = json.loads((workspace / "reports" / "evaluate-happy-scary" / "metrics.json").read_text())
    assert {row["direction"] for row in found["figures"]} == {"happy-to-scary", "scary-to-happy"}
    assert found["warnings"], "four pictures are too few to speak of, and the evaluation says so"


def test_every_link_of_every_page_leads_somewhere(bamkit, workspace):
    bamkit("review happy --static", cwd=workspace)
    bamkit("check --page", cwd=workspace, code=None)
    bamkit("export happy --to csv --license-ok", cwd=workspace)
    index = (workspace / "index.html").read_bytes()
    broken, followed = broken_links(workspace)
    assert not broken
    assert followed > 30
    for place in (
        "reports/index.html", "reports/check.html", "runs/happy-scary/index.html", "reviews/happy/index.html",
        "reports/evaluate-happy-scary/index.html", "exports/happy-csv/README.md", "selections/happy.parquet",
        "splits/happy", "translations/happy-scary",
    ):  # fmt: skip
        assert f'href="{place}"'.encode() in index, place
    (workspace / "runs" / "happy-scary" / "index.html").unlink()
    assert broken_links(workspace)[0], "a link that leads nowhere is found"
    assert "-> index.html" in bamkit("pages", cwd=workspace).output
    assert b"runs/happy-scary/index.html" not in (workspace / "index.html").read_bytes()
    (workspace / "index.html").write_text("mine")
    bamkit("review happy --static", cwd=workspace)
    assert (workspace / "index.html").read_text() == "mine", "a page of the user's own is left alone"
    assert "was not written by bamkit" in bamkit("pages", cwd=workspace, code=3).output


@pytest.fixture(scope="module")
def forbidden(workspace):
    """The files of a training and a test picture, as they came and as they lie in the split."""
    parts = [pq.read_table(*(workspace / "splits" / "happy").glob(f"{split}-*")) for split in ("train", "test")]
    rows = [part.slice(1, 1).to_pylist()[0] for part in parts]
    originals = [workspace / "originals" / row["original_sha256"][:2] / row["original_sha256"] for row in rows]
    return [row["mid"] for row in rows], [path.read_bytes() for path in originals] + [r["image"]["bytes"] for r in rows]


def test_forget(bamkit, workspace, forbidden):
    mids, pictures = forbidden
    assert found(workspace, pictures)
    shown = bamkit(["forget", *map(str, mids)], cwd=workspace).output
    assert found(workspace, pictures) == set()
    assert "runs/happy-scary was trained on it" in shown
    assert "2 new tombstones, 2 in all" in shown
    assert not list((workspace / "runs" / "happy-scary" / "samples").glob("*.png"))


@pytest.mark.slow
def test_what_is_left_is_of_one_piece(bamkit, workspace, forbidden):
    """Nothing is called stale, a resumed training goes on, and the pages come back without the pictures."""
    for line in ("translate --force", "evaluate", "report", "train --resume --steps 3 --no-tensorboard"):
        bamkit(line, cwd=workspace)
    assert found(workspace, forbidden[1]) == set()
