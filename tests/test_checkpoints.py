"""`bamkit evaluate --checkpoints`: every kept checkpoint on the same pictures, beside the one that validation chose."""

import shutil

import numpy as np
import pandas as pd
import pytest
from gan_parts import FLAGS, make_workspace
from scipy import stats

from bamkit.common.shards import read_about
from bamkit.gan.evaluate.comparison.checkpoints import COLUMNS
from bamkit.gan.evaluate.comparison.runs import read
from bamkit.gan.evaluate.metrics.distribution import mmd_shares, polynomial_mmd


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    from click.testing import CliRunner

    from bamkit.cli import root

    workspace = make_workspace(tmp_path_factory.mktemp("checkpoints"), counts=(6, 8, 6))
    train = f"train --size 32 --crop 28 --steps 6 --validations 3 --keep-validated {FLAGS}"
    for line in (train, "translate", "evaluate --checkpoints"):
        result = CliRunner().invoke(root, ["-w", str(workspace.root), *line.split()], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    return workspace, pd.read_csv(workspace.reports / "evaluate-happy-scary" / "checkpoints.csv")


@pytest.mark.slow
def test_the_checkpoint_of_every_validation_is_kept_and_measured(evaluated):
    workspace, rows = evaluated
    kept = sorted(path.stem for path in (workspace.run("happy-scary") / "checkpoints").glob("step-*.pt"))
    assert kept == ["step-00000002", "step-00000004", "step-00000006"]
    model = rows[rows["method"] == "translation"]
    assert sorted(model["step"].unique()) == [2, 4, 6]
    assert list(rows.columns) == list(COLUMNS)
    sizes = rows.groupby(["direction", "method", "step", "side"]).size()
    assert set(sizes) == {6, 8}, "all outputs and all real ones, of every checkpoint; six training pictures"


@pytest.mark.slow
def test_the_chosen_one_is_that_of_the_translations(evaluated):
    workspace, rows = evaluated
    used = read_about(workspace.translations / "happy-scary" / "translations.parquet")["step"]
    model = rows[rows["method"] == "translation"]
    assert set(model.loc[model["chosen"], "step"]) == {used}


@pytest.mark.slow
def test_a_checkpoint_is_measured_as_the_evaluation_measures_it(evaluated, bamkit, tmp_path):
    """Evaluated by hand with another checkpoint, the figures are those that --checkpoints had for it."""
    workspace, rows = evaluated
    used = read_about(workspace.translations / "happy-scary" / "translations.parquet")["step"]
    other = next(step for step in (2, 4, 6) if step != used)
    copy = shutil.copytree(workspace.root, tmp_path / "copy")
    bamkit(f"translate --checkpoint step-{other:08} --force", cwd=copy)
    bamkit("evaluate", cwd=copy)
    assert not (copy / "reports" / "evaluate-happy-scary" / "checkpoints.csv").exists(), "of the checkpoint before"
    by_hand = read(type(workspace).open(copy), "happy-scary")
    for direction in ("happy-to-scary", "scary-to-happy"):
        mine = rows[(rows["direction"] == direction) & (rows["method"] == "translation") & (rows["step"] == other)]
        output = mine[mine["side"] == "output"]
        assert output["ssim"].mean() == pytest.approx(by_hand.find("ssim", direction).value)
        assert output["near"].mean() == pytest.approx(by_hand.find("precision", direction).value)
        assert mine.loc[mine["side"] == "target", "near"].notna().all()


def test_shares_of_the_distance_add_up_to_it():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(140, 7)), rng.normal(0.3, 1, size=(60, 7))
    u, v = mmd_shares(x, y)
    assert u.mean() + v.mean() == pytest.approx(polynomial_mmd(x, y), rel=1e-12)


def test_influences_predict_how_the_distance_varies():
    """Twice the shares give the standard error that repeated draws show."""
    random, values, errors = np.random.default_rng(0), [], []
    for _ in range(120):
        x, y = random.normal(size=(60, 5)), random.normal(0.5, 1, size=(40, 5))
        u, v = mmd_shares(x, y)
        values.append(u.mean() + v.mean())
        errors.append(4 * (stats.sem(u) ** 2 + stats.sem(v) ** 2))
    assert np.sqrt(np.mean(errors)) == pytest.approx(np.std(values), rel=0.15)
