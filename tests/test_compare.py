"""`bamkit compare`: side by side, over seeds, picture by picture."""

import json
import re
import shutil

import evaluation_world as w
import numpy as np
import pytest

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace, write_text
from bamkit.gan.evaluate.comparison.page import compare_and_write
from bamkit.gan.evaluate.comparison.runs import compare
from bamkit.gan.evaluate.run import evaluate_and_write


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    workspace, rows = w.world(tmp_path_factory.mktemp("compared"), train=6, test=12)
    for seed, strength in enumerate((1.0, 0.5)):
        name = f"seed-{seed}"
        w.write_translations(
            workspace,
            name,
            rows,
            lambda picture, direction, s=strength: (s * w.darken(picture) + (1 - s) * picture).astype(np.uint8),
        )
        write_text(workspace.run(name) / "run.json", json.dumps({"config": {"width": 16, "seed": seed}}))
        evaluate_and_write(workspace, name)
    evaluate_and_write(workspace, "happy-scary")
    return workspace


def test_runs_stand_beside_the_floors(compared):
    found, page = compare_and_write(compared)
    names = found.rows[found.rows["direction"] == "happy-to-scary"]["run"].tolist()
    floors = ["(colour transfer)", "(no translation)", "(real pictures)"]
    assert names == ["happy-scary", "seed-0", "seed-1", *floors]
    assert found.rows["SSIM"][0].startswith("0.")
    assert not any("rest on" in text for text in found.warnings)
    html = page.read_text()
    assert "Over seeds" in html
    assert "Picture by picture" in html
    assert json.loads((page.parent / "compare.json").read_text())["runs"]["seed-0"]["run_id"] == "id-of-seed-0"


def test_seeds_have_mean_and_deviation(compared):
    found = compare(compared, ["seed-0", "seed-1"])
    assert len(found.seeds) == 1
    row = found.seeds.iloc[0]
    values = [run.find("ssim", "happy-to-scary").value for run in found.runs]
    assert (row["runs"], row["seeds"]) == ("seed-0, seed-1", 2)
    mean, deviation = (float(text) for text in row["SSIM"].split(" ± "))
    assert (mean, deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)), abs=0.005)


def test_differences_are_paired(compared):
    found = compare(compared, ["seed-0", "seed-1"])
    row = found.differences[found.differences["metric"] == "SSIM"].iloc[0]
    assert row["n"] == 12
    assert 0 < row["low"] <= row["difference"] <= row["high"]  # half as strong: nearer to the source


def test_what_cannot_be_compared_is_said(compared, tmp_path):
    with pytest.raises(BamkitError, match="nobody was not evaluated"):
        compare(compared, ["seed-0", "nobody"])
    with pytest.raises(BamkitError, match="at least two"):
        compare(Workspace.open(tmp_path))
    path = compared.reports / "evaluate-seed-1" / "metrics.json"
    text = path.read_text()
    about = json.loads(text)
    about["features"]["sha256"] = "other"
    write_text(path, json.dumps(about))
    assert any("different features" in text for text in compare(compared).warnings)
    write_text(path, "{")
    with pytest.raises(BamkitError, match="cannot be read"):
        compare(compared)
    write_text(path, text)


def test_the_page_has_charts_and_the_same_pictures_of_every_run(compared):
    found, page = compare_and_write(compared)
    html = page.read_text()
    assert page.name == "index.html"
    assert html.count("<svg") == 2 * len(found.directions)  # edges kept and KID: there is no judge
    assert html.count(">before, mid ") == 8
    assert all(f">{caption}<" in html for caption in ("happy-scary", "seed-0", "seed-1"))
    assert "Of happy-scary no training settings are known." in html
    # Four sources with three translations each one way, with one translation the other way.
    assert html.count("<img") == 4 * 4 + 4 * 2
    assert "evaluate-seed-1/index.html" in html


def test_which_settings_differ_is_shown(compared):
    found = compare(compared, ["seed-0", "seed-1"])
    assert found.settings().to_dict("records") == [{"setting": "seed", "seed-0": "0", "seed-1": "1"}]
    assert found.about()["settings"][0]["setting"] == "seed"
    of_all = compare(compared, ["seed-0", "happy-scary"]).settings()
    assert of_all["setting"].tolist() == ["width", "seed"]
    assert of_all["happy-scary"].tolist() == ["–", "–"]


def test_pictures_that_are_gone_are_said_and_leave_the_tables(compared, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(compared.root, root)
    workspace = Workspace.open(root)
    shutil.rmtree(workspace.translations / "seed-1")
    _, page = compare_and_write(workspace)
    assert "The pictures are left out" in page.read_text()
    assert "Picture by picture" in page.read_text()


def test_spread_and_differences_have_the_digits_of_their_error(compared):
    found = compare(compared, ["seed-0", "seed-1"])
    text = found.paired("happy-to-scary").set_index("metric")["difference"]["SSIM"]
    value, low, high = (float(part) for part in re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", text).groups())
    assert low < value < high
    assert len({len(part.partition(".")[2]) for part in re.findall(r"[\d.]+", text)}) == 1
    for text in found.seeds.drop(columns=["direction", "runs", "seeds"]).iloc[0]:
        mean, deviation = text.split(" ± ")
        assert len(mean.partition(".")[2]) == len(deviation.partition(".")[2])


def test_command(compared, bamkit):
    output = bamkit("compare seed-0 seed-1", cwd=compared.root).output
    assert output.startswith("settings that differ:\nsetting  seed-0  seed-1\nseed ")
    assert "over seeds" in output
    assert output.splitlines()[-1] == "-> reports/compare/index.html"
    assert "picture by picture" in output
    assert json.loads(bamkit("compare --json", cwd=compared.root).stdout)["kind"] == "comparison"
