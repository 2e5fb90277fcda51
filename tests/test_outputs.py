"""Planted outputs that a judge alone would let pass: each is found on the outputs and said where the share stands."""

import io
import itertools

import evaluation_world as w
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from bamkit.common.pictures.altered_copies import small_copy_of
from bamkit.common.pictures.feature_store import FeatureStore
from bamkit.gan.evaluate.comparison.runs import _warnings as warnings_of
from bamkit.gan.evaluate.comparison.runs import read
from bamkit.gan.evaluate.estimates import REAL, find, table
from bamkit.gan.evaluate.estimates import summary as summary_of
from bamkit.gan.evaluate.features import Colours, EvenRows
from bamkit.gan.evaluate.inputs.translations import open_run
from bamkit.gan.evaluate.measures import IDENTITY, TRANSFER, Networks, extract
from bamkit.gan.evaluate.outputs.copies import TrainingCopies
from bamkit.gan.evaluate.outputs.recognition import other_sources
from bamkit.gan.evaluate.run import evaluate_direction
from bamkit.gan.evaluate.settings import EvaluateOptions

SIZE = w.SIZE
SLOW = pytest.mark.slow
FAR, COPIES, INVERTED, ALIKE, LOST, RE_LIT = (
    "far from both domains", "copies of training pictures", "inverted", "alike", "without their source", "only re-lit"
)  # fmt: skip


class Planted:
    """One world whose real pictures are measured once; every planted translator is evaluated against it."""

    def __init__(self, root):
        self.workspace, self.rows = w.world(root, train=40, test=24)
        self.train = [decoded(r) for r in self.rows["scary"] if r["split"] == "train"]
        self.own = [decoded(r) for r in self.rows["happy"] if r["split"] == "train"]
        run = open_run(self.workspace, "happy-scary")
        self.networks = Networks(Colours())
        parts = [(domain, split) for domain in run.domains for split in ("train", "test")]
        self.real = {(d.name, split): extract(d.shards(split), self.networks, size=run.size) for d, split in parts}
        self.training = TrainingCopies([self.real[name, "train"].small for name in ("happy", "scary")])

    def __call__(self, translator):
        w.write_translations(self.workspace, "happy-scary", self.rows, lambda picture, direction: translator(picture))
        direction = open_run(self.workspace, "happy-scary").directions[0]
        return evaluate_direction(direction, self.real, self.training, self.networks, EvaluateOptions())


def decoded(row):
    return np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return Planted(tmp_path_factory.mktemp("planted"))


def said(result):
    """The doubts without their shares."""
    return {doubt.short.split(" % ")[1] for doubt in result.doubts}


def share(result, metric, method="translation"):
    return find(table(result.rows), metric, "happy-to-scary", method).value


def noise(low, high, grey=False):
    random = np.random.default_rng(0)

    def draw(picture):
        drawn = random.integers(low, high, (SIZE, SIZE, 1 if grey else 3))
        return np.broadcast_to(drawn, picture.shape).astype(np.uint8)

    return draw


SPECKLES = noise(0, 2, grey=True)


def smooth(picture):
    """Noise that was blurred: soft blobs."""
    random = np.random.default_rng(int(picture.sum()))
    return np.asarray(Image.fromarray(random.integers(0, 120, (5, 5, 3), np.uint8)).resize((SIZE, SIZE), 3))


def blocks(picture):
    """The picture's own 8 x 8 blocks in another order."""
    random = np.random.default_rng(int(picture.sum()))
    parts = picture.reshape(6, 8, 6, 8, 3).swapaxes(1, 2).reshape(36, 8, 8, 3)[random.permutation(36)]
    return parts.reshape(6, 6, 8, 8, 3).swapaxes(1, 2).reshape(picture.shape)


def jpeg(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90)
    return np.asarray(Image.open(buffer).convert("RGB"))


def noised(picture):
    return np.clip(picture + np.random.default_rng(3).normal(0, 5, picture.shape), 0, 255).astype(np.uint8)


def cropped(picture):
    return np.asarray(Image.fromarray(picture[2:-2, 2:-2]).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def repainted(picture):
    """A translation as it should be: dark in one of many tints, and bars painted over what is there."""
    random = np.random.default_rng(int(picture.sum()))
    after = w.darken(picture) + random.normal(0, 10, 3)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    for _ in range(2):
        bar = np.abs(x - random.random() + (y - random.random()) * random.normal()) < 0.025
        after[bar] *= random.uniform(0.4, 1.7)
    return np.clip(after + random.normal(0, 4, after.shape), 0, 255).astype(np.uint8)


def test_a_plausible_translation_raises_no_doubt(planted):
    result = planted(repainted)
    assert said(result) == set(), result.doubts
    assert share(result, "recognised") > 0.85
    assert share(result, "far from both domains", REAL) < 0.15
    assert share(result, "alike", REAL) < 0.15
    assert share(result, "re-lit") < 0.3 < share(result, "re-lit", TRANSFER)


CASES = {
    "noise": (noise(0, 256), {FAR, LOST}),
    "flat dark": (lambda p: np.full_like(p, (20, 22, 40)), {FAR, ALIKE, LOST}),
    "darkened": (lambda p: (p * 0.5).astype(np.uint8), {RE_LIT}),
    "inverted": (lambda p: 255 - p, {INVERTED, RE_LIT}),
    "one fresh picture": (lambda p: w.paint(99, "scary", False), {ALIKE, LOST}),
    "blocks in another order": (blocks, {LOST}),
}
OTHERS = {
    "dark noise": (noise(0, 60), {FAR, ALIKE, LOST}),
    "grey noise": (noise(0, 256, grey=True), {FAR, ALIKE, LOST}),
    "salt and pepper": (lambda p: SPECKLES(p) * 255, {FAR, LOST}),
    "soft blobs": (smooth, {FAR, LOST}),
    "flat grey": (lambda p: np.full_like(p, 128), {FAR, ALIKE, LOST}),
    "flat in the picture's own mean": (lambda p: np.zeros_like(p) + p.mean((0, 1)).astype(np.uint8), {FAR, LOST}),
    "gamma": (lambda p: (255 * (p / 255) ** 3).astype(np.uint8), {RE_LIT}),
    "as it was": (lambda p: p, {RE_LIT}),
    "solarised": (lambda p: np.asarray(ImageOps.solarize(Image.fromarray(p), 128)), {RE_LIT}),
    "posterised": (lambda p: np.asarray(ImageOps.posterize(Image.fromarray(p), 2)), {FAR}),
}


@pytest.mark.parametrize("name", [*CASES, *(pytest.param(name, marks=SLOW) for name in OTHERS)])
def test_nonsense_is_found_on_the_outputs(planted, name):
    translator, expected = (CASES | OTHERS)[name]
    assert expected <= said(planted(translator)), name


COPIES_MADE = {
    "as they are": lambda p: p,
    "mirrored": lambda p: p[:, ::-1].copy(),
    "recompressed": jpeg,
    "noised": noised,
    "cropped": cropped,
    "paler": lambda p: (p * 0.7 + 60).astype(np.uint8),
}


@pytest.mark.parametrize(
    ("of", "name"),
    [("train", "mirrored"), *(pytest.param(of, name, marks=SLOW) for of, name in [
        ("own", "as they are"), ("own", "mirrored"), ("train", "recompressed"), ("own", "noised"), ("train", "cropped"),
        ("own", "paler")])],
)  # fmt: skip
def test_copies_of_training_pictures_of_either_domain_are_found(planted, name, of):
    taken = itertools.cycle(getattr(planted, of))
    result = planted(lambda picture: COPIES_MADE[name](next(taken)))
    assert {COPIES, LOST} <= said(result)
    assert share(result, "copies") > 0.8
    assert share(result, "copies", IDENTITY) < 0.1 > share(result, "copies", REAL)


def test_doubts_stand_in_table_page_console_json_and_comparison(tmp_path, bamkit):
    workspace, rows = w.world(tmp_path, train=20, test=20)
    flat = np.full((SIZE, SIZE, 3), (20, 22, 40), np.uint8)
    w.write_translations(workspace, "flat", rows, lambda picture, direction: flat)
    output = bamkit("evaluate flat --pictures 1", cwd=workspace.root).output
    run = read(workspace, "flat")
    sentences = run.about["doubts"]["happy-to-scary"]
    assert run.about["warnings"][0] == f"happy-to-scary: {sentences[0]}"
    assert len(sentences) == 3
    summary = summary_of(run.figures, "happy-to-scary").set_index("metric")["the model"]
    assert summary["all alike"].startswith("1.00 [")
    assert {"far from both domains", "copies of training pictures", "inverted"} <= set(summary.index)
    html = (workspace.reports / "evaluate-flat" / "index.html").read_text()
    for sentence in sentences:
        assert html.index(sentence) < html.index("<table")  # before all tables: on the first screen
        assert sentence in " ".join(output.split())
        assert f"flat, happy-to-scary: {sentence}" in warnings_of([run])


def test_even_rows_are_spread_and_never_more_than_there_are():
    vectors = np.arange(10.0)[:, None]
    assert EvenRows(vectors, 4)[:].ravel().tolist() == [0, 2, 5, 7]
    assert len(EvenRows(vectors, 99)) == 10
    assert len(EvenRows(vectors[:0], 5)) == 0


def test_other_sources_are_of_other_projects():
    others = other_sources(12, np.repeat(np.arange(4), 3))
    assert others.shape == (12, 9)
    assert others[0].tolist() == list(range(3, 12))
    assert others[10].tolist() == list(range(9))
    assert other_sources(1).size == other_sources(0).size == 0
    assert other_sources(4, np.array([0, 0, 0, 1])).tolist() == [[3, 3, 3], [3, 3, 3], [3, 3, 3], [0, 1, 2]]
    assert other_sources(3, np.zeros(3, int)).tolist() == [[1, 2], [2, 0], [0, 1]]
    many = other_sources(60, np.repeat([0, 1], [50, 10]))  # none of the next ones is of another project
    assert many[0].tolist() == list(range(50, 59))
    assert other_sources(3).tolist() == [[1, 2], [2, 0], [0, 1]]


def test_copies_are_looked_for_in_blocks(monkeypatch):
    """The block of training pictures a copy lies in does not matter."""
    from bamkit.gan.evaluate.outputs import copies

    training, outputs = FeatureStore(64 * 64 * 3, np.uint8), FeatureStore(64 * 64 * 3, np.uint8)
    training.append(np.stack([small_copy_of(w.paint(i, "scary", True)).ravel() for i in range(20)]))
    chosen = [17, 3, 8, 11]
    outputs.append(np.stack([small_copy_of(w.paint(i, "scary", True)[:, ::-1].copy()).ravel() for i in chosen]))
    whole = TrainingCopies([training]).find(outputs)
    monkeypatch.setattr(copies, "BLOCK", 3)
    assert TrainingCopies([training]).find(outputs).tolist() == whole.tolist() == chosen


def test_pictures_table_has_the_project(planted):
    assert (
        planted(w.darken)
        .pictures["project"]
        .equals(
            pd.Series([row["project_id"] for row in planted.rows["happy"] if row["split"] == "test"], dtype="Int64")
        )
    )
