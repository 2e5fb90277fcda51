"""`bamkit compare`: side by side, over seeds, picture by picture."""

import json

import evaluation_world as w
import numpy as np
import pytest

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace, write_text
from bamkit.gan.evaluate.compare import compare, compare_and_write
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
    found, folder = compare_and_write(compared)
    names = [row["run"] for row in found.rows if row["direction"] == "happy-to-scary"]
    floors = ["(real pictures)", "(no translation)", "(colour transfer)"]
    assert names == ["happy-scary", "seed-0", "seed-1", *floors]
    assert found.rows[0]["SSIM"].startswith("0.")
    assert not found.warnings
    html = (folder / "index.html").read_text()
    assert "Over seeds" in html
    assert "Picture by picture" in html
    assert json.loads((folder / "compare.json").read_text())["runs"]["seed-0"]["run_id"] == "id-of-seed-0"


def test_seeds_have_mean_and_deviation(compared):
    found = compare(compared, ["seed-0", "seed-1"])
    assert len(found.seeds) == 1
    row = found.seeds[0]
    values = [run.figure("ssim", "happy-to-scary").value for run in found.runs]
    assert (row["runs"], row["seeds"]) == ("seed-0, seed-1", 2)
    assert row["SSIM"] == f"{np.mean(values):.4g} ± {np.std(values, ddof=1):.4g}"


def test_differences_are_paired(compared):
    found = compare(compared, ["seed-0", "seed-1"])
    row = next(row for row in found.differences if row["metric"] == "SSIM")
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


def test_command(compared, bamkit):
    output = bamkit("compare seed-0 seed-1", cwd=compared.root).output
    assert "over seeds" in output
    assert "picture by picture" in output
    assert json.loads(bamkit("compare --json", cwd=compared.root).stdout)["kind"] == "comparison"


def test_figures_are_told_in_few_digits():
    from bamkit.gan.evaluate.figures import Figure

    def told(*values, **more):
        return str(Figure("m", "d", "translation", values[0], 9, *values[1:], **more))

    assert told(1336.4) == "1,336"
    assert told(0.012345, 0.0101, 0.0156) == "0.0123 [0.01, 0.016]"
    assert told(636.2, 540.1, 700.9) == "636 [540, 701]"
    assert told(0.5, 0.25, 0.75, interval="deviation") == "0.5 ± 0.25"
    assert told(float("nan")) == ""
