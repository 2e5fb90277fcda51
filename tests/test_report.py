"""The report: every figure and table of it, with only some inputs present, and in a real browser."""

import dataclasses
import json
import re
import shutil
import sqlite3
import subprocess
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from domains import bam, two_domains
from PIL import Image

from bamkit.common.contract import ATTRIBUTES
from bamkit.common.errors import StaleWarning
from bamkit.common.shards import read_about, read_table, write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.balance import prevalence
from bamkit.curate.audit.domain import read_domain
from bamkit.curate.audit.link_rot import changed, outcomes, replaced
from bamkit.curate.database import crowd
from bamkit.curate.database.connection import Database
from bamkit.curate.database.counts import count
from bamkit.curate.report import report


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A workspace with a database and two fetched domains, its report, and what was warned of meanwhile."""
    made = two_domains(tmp_path_factory.mktemp("report"))
    bam(made.root / "bam.sqlite")
    for name in ("happy", "scary"):
        path = made.selection(name)
        write_table(read_table(path), path, {**read_about(path), "database": {"fingerprint": "of another file"}})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report(made, progress=False)
    return made, [str(warning.message) for warning in caught if issubclass(warning.category, StaleWarning)]


@pytest.fixture(scope="module")
def workspace(reported):
    return reported[0]


def test_a_database_that_has_changed_since_the_selections_is_said_once(reported):
    said = (
        "bam.sqlite has changed since happy and scary were selected from it, or is another file: `bamkit verify` says"
    )
    assert [said in text for text in reported[1]] == [True]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def page_of(workspace: Workspace) -> str:
    return (workspace.reports / "index.html").read_text(encoding="utf-8")


def sections(text: str) -> list[str]:
    return re.findall(r'<h2 id="([^"]+)"', text)


def test_the_page_holds_every_section_and_nothing_from_outside(workspace):
    text = page_of(workspace)
    assert sections(text) == [
        "at-a-glance", "scores-of-the-emotions", "what-each-domain-holds", "balance-between-domains", "link-rot",
        "leakage", "licences-and-mature-images", "what-occurs-together", "the-crowd-beside-the-scores",
        "contact-sheets",
        "how-this-was-made",
    ]  # fmt: skip
    tags = Tags(text).tags
    for tag, attributes in tags:
        for name in ("src", "href", "data", "xlink:href"):
            allowed = ("#", "data:", "../index.html") if tag == "a" else ("#", "data:")
            assert attributes.get(name, "#").startswith(allowed), (tag, attributes)
        if tag == "img":
            assert attributes["alt"].strip()
    drawings = [attributes for _, attributes in tags if attributes.get("class") == "drawing"]
    assert len(drawings) >= 9
    assert all(attributes["role"] == "img" and attributes["aria-label"].strip() for attributes in drawings)
    assert "url(http" not in text
    assert "@import" not in text
    ids = re.findall(r'\sid="([^"]+)"', text)
    referred = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    assert referred <= set(ids)


def test_every_figure_is_there_as_svg_and_png_and_every_table_twice(workspace):
    drawn = {path.stem for path in (workspace.reports / "figures").glob("*.svg")}
    assert drawn == {
        "scores", "labels", "balance-happy-scary", "prevalence-happy-scary", "licenses", "cooccurrence",
        "crowd-average-precision", "crowd-calibration",
    }  # fmt: skip
    for path in (workspace.reports / "figures").glob("*.png"):
        with Image.open(path) as picture:
            # A contact sheet is as large as the pictures of the split make it.
            assert min(picture.size) > (30 if path.stem.startswith("contact") else 150)
    assert drawn < {path.stem for path in (workspace.reports / "figures").glob("*.png")}
    tables = sorted((workspace.reports / "tables").glob("*.parquet"))
    assert len(tables) == 17
    for path in tables:
        table, csv = pq.read_table(path), pyarrow.csv.read_csv(path.with_suffix(".csv"))
        assert csv.column_names == table.column_names
        assert csv.num_rows == table.num_rows > 0


def test_the_tables_are_the_statistics(workspace):
    with Database.open(workspace.database()) as database:
        counts = count(database, progress=False)
    tables = workspace.reports / "tables"
    expected = prevalence(read_domain(workspace, "happy").split("train"), counts.labels)
    found = pq.read_table(tables / "labels-happy.parquet")
    assert found.to_pandas().equals(expected)
    pairs = pq.read_table(tables / "cooccurrence.parquet").to_pylist()
    assert len(pairs) == 190
    by_name = {(row["a"], row["b"]): row for row in pairs}
    i, j = ATTRIBUTES.index("media_comic"), ATTRIBUTES.index("content_people")
    row = by_name[("media_comic", "content_people")]
    joint, a, b = counts.cooccurrence[i, j], counts.cooccurrence[i, i], counts.cooccurrence[j, j]
    assert row["images"] == joint > 0
    assert row["lift"] == pytest.approx(joint * counts.labelled / (a * b))
    assert row["pmi"] == pytest.approx(np.log2(row["lift"]))
    assert sum(r["images"] for r in pq.read_table(tables / "score-histograms.parquet").to_pylist()) == 20 * 400


def test_the_same_input_gives_the_same_files(tmp_path):
    workspace = two_domains(tmp_path, fetched=False)
    report(workspace, progress=False)
    before = {path: path.read_bytes() for path in workspace.reports.rglob("*.*")}
    (workspace.reports / "figures" / "old.svg").write_text("of an earlier report")
    (workspace.reports / "notes.txt").write_text("the user's own")
    report(workspace, progress=False)
    after = {path: path.read_bytes() for path in workspace.reports.rglob("*.*") if path.name != "notes.txt"}
    assert before == after
    assert (workspace.reports / "notes.txt").exists()


@pytest.mark.slow
def test_the_same_database_gives_the_same_files(workspace):
    before = {path: path.read_bytes() for path in workspace.reports.rglob("*.*")}
    report(workspace, progress=False)
    assert {path: path.read_bytes() for path in workspace.reports.rglob("*.*")} == before


@pytest.mark.usefixtures("undrawn")
def test_the_command(tmp_path, bamkit):
    workspace = two_domains(tmp_path)
    said = json.loads(bamkit("report happy --no-database --json", cwd=tmp_path).output)
    assert said["domains"] == ["happy"]
    assert said["database"] is None
    assert "balance-between-domains" not in sections(page_of(workspace))
    assert "scores-of-the-emotions" not in sections(page_of(workspace))
    assert not list((workspace.reports / "tables").glob("*scary*"))


@pytest.mark.usefixtures("undrawn")
def test_a_database_alone_and_without_a_crowd(tmp_path):
    bam(tmp_path / "bam.sqlite", n=120)
    with sqlite3.connect(tmp_path / "bam.sqlite") as database:
        database.execute("drop table crowd_labels")
    made = report(Workspace.open(tmp_path), progress=False)
    assert made.domains == ()
    assert sections(made.path.read_text()) == [
        "at-a-glance", "scores-of-the-emotions", "licences-and-mature-images", "what-occurs-together",
        "how-this-was-made",
    ]  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_selections_not_fetched_and_no_database(tmp_path, bamkit):
    two_domains(tmp_path, fetched=False)
    assert "open reports/index.html" in bamkit("report", cwd=tmp_path).output
    text = (tmp_path / "reports" / "index.html").read_text()
    assert "Nothing was fetched yet" in text
    assert "contact-sheets" not in sections(text)
    assert "balance-between-domains" in sections(text)


@pytest.mark.usefixtures("undrawn")
def test_splits_without_selection_or_database(tmp_path):
    workspace = two_domains(tmp_path)
    shutil.rmtree(workspace.selections)
    made = report(workspace, progress=False)
    assert made.domains == ("happy", "scary")
    assert "contact-sheets" in sections(made.path.read_text())


def test_nothing_there_is_said_in_one_line(tmp_path, bamkit):
    result = bamkit("report", cwd=tmp_path, code=3)
    assert "no BAM database" in result.output
    assert "Traceback" not in result.output
    assert "nothing to report on" in bamkit("report --no-database", cwd=tmp_path, code=3).output
    two_domains(tmp_path, fetched=False)
    assert "no selection or split 'hapy'" in bamkit("report hapy", cwd=tmp_path, code=3).output
    assert "no BAM database at elsewhere.sqlite" in bamkit("report --db elsewhere.sqlite", cwd=tmp_path, code=3).output


@pytest.mark.usefixtures("svg_only")
def test_a_domain_without_labels_or_scores_still_reports(tmp_path):
    """A database whose images have no labels and no content scores: nothing to draw must not mean a crash."""
    import pyarrow as pa
    from domains import manifest, write_selection

    workspace = Workspace.open(tmp_path)
    for name, seed in (("happy", 1), ("scary", 2)):
        table = manifest(n=30, emotion=name, seed=seed, first_mid=1000 * seed)
        for attribute in ATTRIBUTES:
            table = table.set_column(table.schema.get_field_index(attribute), attribute, pa.nulls(30, pa.string()))
            if attribute != f"emotion_{name}":
                column = f"{attribute}_score"
                table = table.set_column(table.schema.get_field_index(column), column, pa.nulls(30, pa.float64()))
        write_selection(workspace, name, table)
    assert "What each domain holds" in report(workspace, progress=False).path.read_text()


def test_link_rot_counts_what_was_tried(tmp_path):
    happy = read_domain(two_domains(tmp_path), "happy")
    rows = outcomes(happy).to_dict("records")
    assert [(row["outcome"], row["count"], row["n"]) for row in rows] == [("obtained", 50, 52), ("gone", 2, 52)]
    assert replaced(happy) == 2
    change = {row["attribute"]: row for row in changed(happy).to_dict("records")}
    # Two of the surest images gave way to reserve images further down the ranking.
    assert change["emotion_happy"]["smd"] < 0
    assert change["emotion_happy"]["obtained"] < change["emotion_happy"]["requested"]


def test_the_crowd_beside_the_scores(tmp_path):
    bam(tmp_path / "bam.sqlite", n=400)
    with Database.open(tmp_path / "bam.sqlite") as database:
        images = crowd.scored_crowd_labels(database)
    assert [one.attribute for one in images] == list(ATTRIBUTES)
    assert sum(one.scores.size for one in images) == 400
    table = crowd.agreement(images).to_dict("records")
    people = next(row for row in table if row["attribute"] == "content_people")
    one = images[ATTRIBUTES.index("content_people")]
    assert people["positives"] == int((one.labels == "positive").sum())
    assert people["predicted"] == int((one.scores > -1).sum())
    assert people["average_precision_low"] <= people["average_precision"] + 1e-9
    assert people["average_precision"] - 1e-9 <= people["average_precision_high"] <= 1 + 1e-9
    bins = [row for row in crowd.calibration(images).to_dict("records") if row["attribute"] == "content_people"]
    assert sum(row["n"] for row in bins) == one.scores.size


def test_the_crowd_is_remembered_for_this_database_only(tmp_path):
    workspace = Workspace.open(tmp_path)
    bam(tmp_path / "bam.sqlite", n=200)
    with Database.open(tmp_path / "bam.sqlite") as database:
        first = crowd.crowd_of(database, workspace)
        assert not (tmp_path / "index").exists()
        (tmp_path / "index").mkdir()
        crowd.crowd_of(database, workspace)
        kept = tmp_path / "index" / "crowd-agreement.parquet"
        again = crowd.crowd_of(database, workspace)
        assert read_about(kept)["kind"] == "crowd"
        for name in ("agreement", "calibration"):
            pd.testing.assert_frame_equal(getattr(again, name), getattr(first, name))
        assert again.n == first.n == 200
        kept.write_bytes(b"torn")
        assert crowd.crowd_of(database, workspace).n == 200
        assert kept.read_bytes() != b"torn"
    with sqlite3.connect(tmp_path / "bam.sqlite") as changed:
        changed.execute("delete from crowd_labels where attribute like 'content%'")
    with Database.open(tmp_path / "bam.sqlite") as database:
        assert crowd.crowd_of(database, workspace).n == 110
    with sqlite3.connect(tmp_path / "bam.sqlite") as changed:
        changed.execute("drop table crowd_labels")
    with Database.open(tmp_path / "bam.sqlite") as database:
        assert crowd.crowd_of(database, workspace) is None


def test_the_threshold_for_a_precision():
    scores = np.array([-0.1, -0.2, -0.3, -0.3, -1.0, -2.0])
    positive = np.array([True, True, False, True, True, False])
    assert crowd.threshold_for_precision(positive, scores, 0.75) == (-1.0, 1.0)
    assert crowd.threshold_for_precision(positive, scores, 0.9) == (-0.2, 0.5)
    assert np.isnan(crowd.threshold_for_precision(~positive, -scores - 3, 1.1)[0])


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [1300, 500])
def test_a_real_browser_opens_the_page(workspace, tmp_path, width):
    """The page draws, asks the network for nothing, logs no error, and fits the width of a phone."""
    page = tmp_path / "page.html"
    probe = (
        "<script>window.addEventListener('load', () => { const say = (k, v) => { document.body.dataset[k] = v; };"
        "say('requests', performance.getEntriesByType('resource').filter((e) => !e.name.startsWith('data:')).length);"
        "say('wide', document.documentElement.scrollWidth - innerWidth);"
        "document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; });"
        "say('broken', [...document.images].filter((i) => i.complete && !i.naturalWidth).length);"
        "say('images', document.images.length); say('sort', document.querySelectorAll('th button').length);"
        "say('silent', [...document.images].filter((i) => !i.alt).length); });</script></body>"
    )
    page.write_text(page_of(workspace).replace("</body>", probe))
    words = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},2000", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=4000", "--dump-dom",
        page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    body = dict(Tags(done.stdout[done.stdout.index("<body") :]).tags[0][1])
    assert "CONSOLE" not in done.stderr, done.stderr
    assert body["data-requests"] == "0"
    assert body["data-broken"] == body["data-silent"] == "0"
    assert int(body["data-images"]) > 50
    assert int(body["data-sort"]) > 10
    assert int(body["data-wide"]) <= 0


def test_the_share_of_addresses_alive_has_its_interval(workspace):
    """50 of the 52 that were tried for happy: Wilson's interval by its formula."""
    share, n, z = 50 / 52, 52, 1.959964
    middle, half = share + z**2 / (2 * n), z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    low, high = (100 * (middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    facts = page_of(workspace).partition("<body")[2].partition("happy, addresses alive")[2][:300]
    assert "96.2 %" in facts
    assert f"[{low:.1f}, {high:.1f}] of 52 tried" in facts


@pytest.mark.parametrize("outcome", ["private-address", "opted-out", "too-small"])
def test_refusals_are_no_dead_links(tmp_path, outcome):
    happy = read_domain(two_domains(tmp_path), "happy")
    lost = happy.missing.set_column(4, "outcome", pa.array([outcome, "gone"]))
    rows = outcomes(dataclasses.replace(happy, missing=lost)).set_index("outcome")
    assert rows.loc["obtained", ["count", "n"]].tolist() == [50, 51]
    assert rows.loc["gone", "share"] == pytest.approx(1 / 51)
    assert np.isnan(rows.loc[outcome, "share"])


@pytest.mark.usefixtures("svg_only")
def test_a_full_disk_names_the_file_and_leaves_the_old_page(tmp_path, bamkit, monkeypatch, request):
    monkeypatch.delenv("BAMKIT_DEBUG", raising=False)
    workspace = two_domains(tmp_path, fetched=False)
    workspace.reports.mkdir()
    (workspace.reports / "index.html").write_text("the page of yesterday")
    request.getfixturevalue("small_files")
    shown = bamkit("report --no-database", cwd=tmp_path, code=3).output
    assert shown.startswith("bamkit: the disk is full at reports/")
    assert "hint: free some space, then the same command" in shown
    assert (workspace.reports / "index.html").read_text() == "the page of yesterday"
    assert not list(workspace.reports.rglob(".*"))


@pytest.mark.usefixtures("undrawn")
def test_the_page_opens_in_a_browser_on_request(tmp_path, bamkit, monkeypatch):
    two_domains(tmp_path, fetched=False)
    opened = []
    monkeypatch.setattr("click.launch", opened.append)
    bamkit("report happy --no-database", cwd=tmp_path)
    assert not opened
    bamkit("report happy --no-database --open", cwd=tmp_path)
    assert [name.replace("\\", "/") for name in opened] == ["reports/index.html"]
