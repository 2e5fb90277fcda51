"""`bamkit evaluate` on a small workspace: figures, floors, failure modes, tables, page, and its complaints."""

import csv
import json
import re
import shutil
import tracemalloc

import evaluation_world as w
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.gan.evaluate.estimates import COLUMNS
from bamkit.gan.evaluate.features import Colours
from bamkit.gan.evaluate.inputs.translations import open_run
from bamkit.gan.evaluate.measures import IDENTITY, TRANSFER, Networks, extract, measure
from bamkit.gan.evaluate.run import evaluate, evaluate_and_write
from bamkit.gan.evaluate.settings import EvaluateOptions


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return w.world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def found(prepared):
    return evaluate_and_write(prepared[0])


def test_what_says_that_it_is_whole_is_written_last(found):
    """A kill before it leaves no evaluation that counts."""
    written = {path.name: path.stat().st_mtime_ns for path in found[1].iterdir() if path.is_file()}
    assert {"index.html", "metrics.csv", "pictures.csv"} < set(written)
    assert max(written, key=written.__getitem__) == "metrics.json"


def test_pairs_every_translation_with_its_source(found, prepared):
    evaluation, _, _ = found
    first = evaluation.results[0].direction
    assert first.name == "happy-to-scary"
    assert first.mids().tolist() == [row["mid"] for row in prepared[1]["happy"] if row["split"] == "test"]
    assert first.target.attribute == "emotion_scary"


def test_floors_stand_beside_every_figure(found):
    evaluation, _, _ = found
    for metric in ("kid", "fid", "diversity"):
        for method in ("real", IDENTITY, TRANSFER, "translation"):
            assert evaluation.find(metric, "happy-to-scary", method) is not None, (metric, method)
    real, identity = (evaluation.find("kid", "happy-to-scary", m).value for m in ("real", IDENTITY))
    model = evaluation.find("kid", "happy-to-scary").value
    assert real < model < identity  # the darkened pictures are nearer to the scary ones, but not as near as those


def test_content_kept_is_best_for_the_identity(found):
    evaluation, _, _ = found
    assert evaluation.find("ssim", "happy-to-scary", IDENTITY).value == 1
    kept = evaluation.find("ssim", "happy-to-scary")
    assert 0 < kept.low < kept.value < kept.high < 1
    assert evaluation.find("edges", "happy-to-scary").value > 0.6


def test_inversion_is_found(found):
    evaluation, _, _ = found
    assert evaluation.find("inverted", "scary-to-happy").value == 1
    assert evaluation.find("inverted", "happy-to-scary").value == 0


def test_small_n_warns_and_missing_tools_are_named(found):
    evaluation, _, _ = found
    assert any("24 translations against 24 real pictures is few" in text for text in evaluation.warnings)
    assert any("bamkit judge train" in text for text in evaluation.missing)
    assert any("LPIPS" in text for text in evaluation.missing)
    assert evaluation.find("reached", "happy-to-scary") is None


def test_writes_every_figure_with_its_n_and_hashes(found):
    evaluation, folder, notes = found
    about = json.loads((folder / "metrics.json").read_text())
    assert not notes
    assert about["run_id"] == "id-of-happy-scary"
    assert about["split_ids"] == {"happy": "id-of-happy", "scary": "id-of-scary"}
    assert len(about["translations_sha256"]) == 64
    assert about["features"]["name"] == "colours and edges"
    assert about["versions"]["torch"]
    assert all(figure["n"] > 0 for figure in about["figures"])
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert len(rows) == len(about["figures"])
    pictures = list(csv.DictReader((folder / "pictures.csv").open()))
    assert len(pictures) == 48
    assert float(pictures[0]["translation ssim"]) == pytest.approx(
        evaluation.results[0].measured.column("translation ssim")[0]
    )


def test_page_shows_before_transfer_and_after(found):
    _, folder, _ = found
    html = (folder / "index.html").read_text()
    assert html.count("data:image/webp") >= 2 * 3 * 12
    for text in ("happy-to-scary", "Uncurated", "Worst cases", "Failure modes", "bamkit judge train"):
        assert text in html
    # self-contained, but for the way back to the workspace
    assert not re.findall(r'(?:src|href)="(?!data:|#|../../index.html)[^"]*"', html)


def test_the_model_comes_first_and_no_cell_is_empty(found):
    evaluation, folder, _ = found
    for result in evaluation.results:
        table = evaluation.summary(result.direction.name)
        assert list(table.columns) == ["metric", "the model", "colour transfer", "no translation", "real pictures"]
        assert (table != "").all(axis=None)
    html = (folder / "index.html").read_text()
    assert html.index('scope="col">the model') < html.index('scope="col">colour transfer')
    assert "<td></td>" not in html
    assert not re.search(r"<th[^>]*></th>", html)


def test_warnings_are_set_one_a_line(found):
    evaluation, folder, _ = found
    assert len(evaluation.warnings) > 1
    html = (folder / "index.html").read_text()
    assert html.count("<li>", html.index('role="note"'), html.index("</ul>", html.index('role="note"'))) == len(
        evaluation.warnings
    )


def test_figures_are_a_table_that_metrics_csv_repeats(found):
    evaluation, folder, _ = found
    figures = evaluation.figures
    assert list(figures.columns) == list(COLUMNS)
    again = pd.read_csv(
        folder / "metrics.csv", keep_default_na=False, na_values={"low": "", "high": "", "projects": ""}
    )
    again["projects"] = again["projects"].astype("Int64")
    pd.testing.assert_frame_equal(again[list(COLUMNS)], figures, check_dtype=False)
    pictures = pd.read_csv(folder / "pictures.csv")
    assert pictures["direction"].value_counts().to_dict() == {"happy-to-scary": 24, "scary-to-happy": 24}


@pytest.mark.slow
def test_charts_and_the_models_column_lie_inside_a_phone(found, tmp_path):
    from browser import Browser

    browser = Browser(tmp_path / "profile")
    try:
        browser.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
        browser.open((found[1] / "index.html").as_uri())
        rights = browser.js("[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().right)")
        assert rights
        assert max(rights) <= 390
        second = "[...document.querySelector('main table').rows].map(row => row.cells[1])"
        assert max(browser.js(f"{second}.map(cell => cell.getBoundingClientRect().right)")) <= 390
        assert browser.js("document.documentElement.scrollWidth") == 390
    finally:
        browser.close()


def test_same_input_gives_the_same_bytes(prepared, found):
    _, folder, _ = found
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    evaluate_and_write(prepared[0])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_command_runs_with_no_flag(bamkit, tmp_path):
    workspace, _ = w.world(tmp_path, train=6, test=8)
    result = bamkit("evaluate", cwd=workspace.root)
    assert "happy-to-scary: n = 8 pictures of 8 projects; 8 real pictures of 8 projects" in result.output
    assert "colour transfer" in result.output
    assert "reports/evaluate-happy-scary/index.html" in result.output
    assert json.loads(bamkit("evaluate --json", cwd=workspace.root).stdout)["run"] == "happy-scary"


def test_missing_things_are_one_line_and_the_next_command(tmp_path, prepared, bamkit):
    empty = Workspace.open(tmp_path / "empty")
    with pytest.raises(BamkitError, match="bamkit translate"):
        evaluate(empty)
    (empty.root / "runs" / "one").mkdir(parents=True)
    (empty.root / "runs" / "one" / "run.json").write_text("{}")
    with pytest.raises(BamkitError, match=r"one has no translations.*bamkit translate one"):
        evaluate(empty, "one")
    with pytest.raises(BamkitError, match="there is no run two"):
        evaluate(prepared[0], "two")
    with pytest.raises(BamkitError, match="no translation of a validation picture"):
        evaluate(prepared[0], options=EvaluateOptions(split="validation"))
    with pytest.raises(BamkitError, match="features must be"):
        EvaluateOptions(features="nonsense")
    with pytest.raises(BamkitError, match="no device"):
        evaluate(prepared[0], options=EvaluateOptions(device="nonsense"))
    with pytest.raises(BamkitError, match="give --inception"):
        evaluate(prepared[0], options=EvaluateOptions(features="inception"))
    result = bamkit("evaluate", cwd=tmp_path / "empty", code=3)
    assert len(result.stderr.splitlines()) == 2


def test_damaged_and_changed_inputs_are_named(tmp_path, prepared):
    root = tmp_path / "copy"
    shutil.copytree(prepared[0].root, root)
    workspace = Workspace.open(root)
    test = workspace.shards("happy", "test")[0]
    rows = pq.read_table(test).to_pylist()
    rows[0]["image"]["bytes"] = w.jpeg(w.paint(1, "scary", False))
    w.write_split(workspace, "happy", rows)
    with pytest.raises(BamkitError, match="changed since it was translated"):
        evaluate(workspace)
    rows[0]["image"]["bytes"] = b"no picture"
    w.write_split(workspace, "happy", rows)
    with pytest.raises(BamkitError, match="mid 1024 cannot be read"):
        evaluate(workspace)
    test.write_bytes(test.read_bytes()[:500])
    with pytest.raises(BamkitError, match="not a readable parquet file"):
        evaluate(workspace)


def test_memorised_outputs_are_found(tmp_path):
    """A model that returns training pictures of the target is caught; its figure lies far above 5 %."""
    workspace, rows = w.world(tmp_path)
    train = [
        w.np.asarray(w.Image.open(w.io.BytesIO(r["image"]["bytes"]))) for r in rows["scary"] if r["split"] == "train"
    ]
    taken = iter(train * 2)
    w.write_translations(workspace, "happy-scary", rows, lambda picture, direction: next(taken))
    found = evaluate(workspace)
    assert found.find("near a training picture", "happy-to-scary").value > 0.9
    assert found.find("near a training picture", "happy-to-scary", IDENTITY).value < 0.2
    assert found.results[0].failures.memorised[0][1] in range(24)


def test_collapse_shows_in_diversity(tmp_path):
    workspace, rows = w.world(tmp_path)
    one = w.paint(7, "scary", False)
    w.write_translations(workspace, "happy-scary", rows, lambda picture, direction: one)
    found = evaluate(workspace)
    assert (
        found.find("diversity", "happy-to-scary").value < 0.1 * found.find("diversity", "happy-to-scary", "real").value
    )


def test_memory_does_not_grow_with_the_pictures(tmp_path):
    """Looking at 4 times as many pictures takes hardly more memory: pictures stream, features lie on disk."""

    def peak(n):
        workspace, _ = w.world(tmp_path / str(n), train=n, test=n)
        direction = open_run(workspace, "happy-scary").directions[0]
        networks = Networks(Colours())
        images = extract(direction.target.shards("train"), networks)
        tracemalloc.start()
        images = extract(direction.target.shards("train"), networks)
        assert len(measure(direction, images.colours, networks)) == n
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(64) < 1.3 * peak(16)


def test_undirected_names_are_refused(tmp_path):
    workspace, _ = w.world(tmp_path)
    shutil.rmtree(workspace.split("scary"))
    with pytest.raises(BamkitError, match="no such pair of splits"):
        evaluate(workspace)


def test_uncurated_grid_depends_on_the_seed_alone():
    from bamkit.gan.evaluate.page import draw

    assert draw(100, 5, 1) == draw(100, 5, 1) != draw(100, 5, 2)
    assert draw(3, 5) == [0, 1, 2]
    assert np.all(np.diff(draw(1000, 50)) > 0)


def test_real_pictures_are_seen_at_the_translations_size(tmp_path):
    """Otherwise sharper real pictures would make every small translation look unreal."""
    workspace, rows = w.world(tmp_path, train=4, test=4)
    w.write_translations(workspace, "happy-scary", rows, lambda picture, direction: picture[::2, ::2])
    run = open_run(workspace, "happy-scary")
    assert run.size == (w.SIZE // 2, w.SIZE // 2)
    shards = run.directions[0].target.shards("test")
    images = extract(shards, Networks(Colours()), size=run.size)
    small = [
        np.asarray(w.Image.fromarray(shards.picture(i)).resize(run.size, w.Image.Resampling.LANCZOS)) for i in range(4)
    ]
    np.testing.assert_array_equal(images.features[:], Colours()(small))
    found = evaluate(workspace)
    assert found.results[0].measured.column("width")[0] == w.SIZE // 2
