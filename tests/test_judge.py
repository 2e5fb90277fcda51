"""The judge: what it may be trained on, how it is fitted, its card, its refusal, its pretrained weights."""

import json
import math
import shutil
from types import SimpleNamespace

import evaluation_world as w
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from bamkit.common.contract import CONTENT
from bamkit.common.errors import BamkitError
from bamkit.common.near_duplicates import DISTANCE
from bamkit.common.workspace import Workspace
from bamkit.gan.domains import FetchedDomain
from bamkit.gan.evaluate.inputs.translations import open_run
from bamkit.gan.evaluate.measures import FORM, IDENTITY, JUDGE, ImageSet, Measured
from bamkit.gan.evaluate.run import evaluate, evaluate_and_write
from bamkit.gan.evaluate.settings import EvaluateOptions
from bamkit.gan.evaluate.verdicts import content_survives, emotion_reached, verdicts
from bamkit.gan.judge import fit
from bamkit.gan.judge.backbones import BACKBONES, HOG, IMAGENET, PLAIN, Backbone, pretrained
from bamkit.gan.judge.identity import parts, shared
from bamkit.gan.judge.model import Network, Shape, load_judge
from bamkit.gan.judge.settings import JudgeConfig
from bamkit.gan.judge.train import train_judge

QUICK = JudgeConfig(size=32, epochs=6, device="cpu")


def judge_rows(first=9000, each=50):
    """Pictures of both moods, none of them in the world's splits."""
    rows = w.mood_rows("happy", first, each, 0) + w.mood_rows("scary", first + 10_000, each, 0)
    return [{**row, "rank": index + 1} for index, row in enumerate(rows)]


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    workspace, rows = w.world(tmp_path_factory.mktemp("judged"))
    w.write_split(workspace, "judge", judge_rows())
    return workspace, rows, train_judge(workspace, config=QUICK)


# --- sameness ---


def table(rows):
    return pa.Table.from_pylist(
        rows,
        schema=pa.schema(
            [("mid", pa.int64()), ("project_id", pa.int64()), ("original_sha256", pa.string()), ("phash", pa.string())]
        ),
    )


def identity(mid, project=None, sha=None, phash=None):
    return {"mid": mid, "project_id": project, "original_sha256": sha, "phash": phash}


def test_refusal_by_hash_is_no_weaker_than_near_duplicates_elsewhere():
    """The judge keeps no pictures: whatever `bamkit check` could call a near-duplicate is refused unconfirmed."""
    known = table([identity(1, None, "aa", "0" * 16)])
    rows = table([identity(10 + bits, None, f"x{bits}", f"{(1 << bits) - 1:016x}") for bits in range(9)])
    assert shared(rows, known)["near-duplicate"].tolist() == [bits <= DISTANCE for bits in range(9)]


def test_a_hash_that_is_none_names_its_image():
    with pytest.raises(BamkitError, match="image 7: 'xyz' is no perceptual hash"):
        parts(table([identity(6, None, "a", None), identity(7, None, "b", "xyz")]))


def test_shared_gives_each_row_one_reason():
    known = table([identity(1, 10, "aa", "0" * 16), identity(2, None, "bb", None)])
    rows = table(
        [
            identity(1, 99, "x", "f" * 16),
            identity(3, 99, "bb", "f" * 16),
            identity(4, 10, "y", "0" * 15 + "1"),
            identity(5, 10, "z", "f" * 16),
            identity(6, None, None, None),
        ]
    )
    found = shared(rows, known)
    assert found["same image"].tolist() == [True, True, False, False, False]
    assert found["near-duplicate"].tolist() == [False, False, True, False, False]
    assert found["same project"].tolist() == [False, False, False, True, False]


def test_parts_never_tear_projects_or_near_duplicates():
    rng = np.random.default_rng(0)
    rows = [identity(i, int(rng.integers(0, 60)), f"{i}", f"{int(rng.integers(0, 2**63)):016x}") for i in range(300)]
    rows += [identity(1000 + i, None, f"d{i}", rows[i]["phash"]) for i in range(40)]
    found = parts(table(rows))
    by_project = {}
    for one, part in zip(rows, found, strict=True):
        if one["project_id"] is not None:
            assert by_project.setdefault(one["project_id"], part) == part
    assert all(found[300 + i] == found[i] for i in range(40))
    shares = np.bincount(found, minlength=3) / len(found)
    np.testing.assert_allclose(shares, [0.6, 0.15, 0.25], atol=0.06)
    shuffled = rng.permutation(len(rows))
    again = parts(table([rows[i] for i in shuffled]))
    np.testing.assert_array_equal(again, found[shuffled])


# --- fitting ---


def test_masked_loss_leaves_unsure_labels_out():
    logits = torch.tensor([[0.0, 5.0], [0.0, -3.0]])
    labels = torch.tensor([[1.0, float("nan")], [0.0, float("nan")]])
    assert fit.masked_loss(logits, labels).item() == pytest.approx(np.log(2))


def test_linear_head_agrees_with_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)) * [1, 2, 3, 1, 1] + [0, 5, 0, 0, 0]
    y = rng.random(200) < 1 / (1 + np.exp(-(x[:, 0] - 0.3 * x[:, 2])))
    z = (x - x.mean(0)) / x.std(0)
    weight, bias = fit._logistic(torch.from_numpy(z), torch.from_numpy(y.astype(float))[:, None], 0.01)
    theirs = linear.LogisticRegression(C=1 / (2 * 0.01 * 200)).fit(z, y)
    np.testing.assert_allclose(weight[0], theirs.coef_[0], atol=1e-3)
    assert bias.item() == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_augmentation_keeps_colours():
    batch = torch.randint(0, 256, (1, 3, 1, 1), dtype=torch.uint8).expand(8, 3, 32, 32).contiguous()
    assert torch.equal(fit.augmented(batch, np.random.default_rng(0)), batch)


def test_calibration_is_taken_to_even_odds():
    """Logits that say nothing, one positive in five: calibrated to about 1/5, judged at about 1/2."""
    network = Network(Shape("resnet10", 32, *PLAIN, False, ("emotion_scary",)))
    labels = np.array([[1.0], [0], [0], [0], [0]] * 40)
    logits = np.random.default_rng(0).normal(0, 1e-3, labels.shape)
    fit.calibrate(network, logits, labels)
    mixture = torch.sigmoid(network.slope * float(logits.mean()) + network.offset)
    assert mixture.item() == pytest.approx(0.2, abs=0.02)
    even = torch.sigmoid(network.slope * float(logits.mean()) + network.offset - network.prior)
    assert even.item() == pytest.approx(0.5, abs=0.02)


def test_platt_recovers_the_slope_and_never_reverses_the_order():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 6000)
    labels = rng.random(6000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    a, b = fit.platt(labels, logits)
    assert a == pytest.approx(0.5, abs=0.05)
    assert b == pytest.approx(-1, abs=0.1)
    assert fit.platt([False, True] * 20, [5.0, -5.0] * 20)[0] > 0
    a, b = fit.platt([True] * 5 + [False] * 5, [9.0] * 5 + [-9.0] * 5)
    assert math.isfinite(a)
    assert fit.platt([True, True], [1.0, 2.0]) == (1.0, 0.0)


def test_platt_agrees_with_scikit_learn():
    calibration = pytest.importorskip("sklearn.calibration")
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, 300)
    labels = rng.random(300) < 1 / (1 + np.exp(-logits))
    expected = calibration._SigmoidCalibration().fit(logits, labels.astype(int))
    a, b = fit.platt(labels, logits)
    assert (a, b) == (pytest.approx(-expected.a_, abs=1e-3), pytest.approx(-expected.b_, abs=1e-3))


# --- training ---


def test_learns_the_moods_and_says_how_well(judged):
    _, _, judge = judged
    assert set(judge.attributes) == {"emotion_happy", "emotion_scary", "content_flower"}
    happy = judge.card["held_out"]["emotion_happy"]
    assert happy["average_precision"]["value"] > 0.95
    assert happy["average_precision"]["low"] <= happy["average_precision"]["value"]
    assert 0 < happy["prevalence"] < 1
    assert happy["calibration_error"] < 0.3
    assert sum(row["n"] for row in happy["reliability"]) == happy["n"]
    features, probabilities = judge.predict([w.paint(77, "happy", False), w.paint(78, "scary", False, 96)])
    assert features.shape == (2, judge.dimensions)
    happy = judge.attributes.index("emotion_happy")
    assert probabilities[0, happy] > 0.5 > probabilities[1, happy]


def test_the_card_is_written_when_the_judge_of_form_is_there(judged):
    """A kill before it leaves no judge that counts."""
    folder = judged[0].root / "judge"
    before = [
        folder / "form" / "card.json",
        folder / "form" / "judge.pt",
        folder / "known.parquet",
        folder / "judge.pt",
    ]
    assert all(path.stat().st_mtime_ns <= (folder / "card.json").stat().st_mtime_ns for path in before)


def test_card_says_what_it_was_trained_on_and_what_not(judged):
    workspace, _, judge = judged
    card = json.loads((workspace.root / "judge" / "card.json").read_text())
    assert card["trained_on"]["splits"] == {"judge": "id-of-judge"}
    assert card["not_judged"]["content_people"] == "0 positive and 0 negative pictures"
    assert card["images"]["fit"] == 60
    assert card["sha256"] == judge.sha256
    assert "The judge" in (workspace.root / "judge" / "index.html").read_text()


def test_leaves_out_what_it_will_judge(tmp_path):
    workspace, rows = w.world(tmp_path)
    mine = judge_rows(each=40)
    mine[0]["original_sha256"] = rows["happy"][0]["original_sha256"]
    mine[1]["phash"] = rows["scary"][3]["phash"]
    mine[2]["project_id"] = rows["happy"][30]["project_id"]
    mine.append({**rows["scary"][5], "split": "train", "rank": 99})
    w.write_split(workspace, "judge", mine)
    judge = train_judge(workspace, config=JudgeConfig(size=32, epochs=1, device="cpu"))
    assert judge.card["excluded"] == {"same image": 2, "near-duplicate": 1, "same project": 1, "twice": 0}
    known = set(judge.known["mid"].to_pylist())
    assert len(known) == 77
    assert not known & {mine[0]["mid"], mine[1]["mid"], mine[2]["mid"], rows["scary"][5]["mid"]}
    for name in ("happy", "scary"):
        judge.refuse_known(FetchedDomain(name, workspace).identity, name)


def test_same_seed_same_judge(judged, tmp_path):
    workspace, _, judge = judged
    again = train_judge(workspace, config=QUICK, folder=tmp_path / "again")
    assert again.card["held_out"] == judge.card["held_out"]
    for one, other in zip(again.network.state_dict().values(), judge.network.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_refuses_what_it_was_trained_on(judged, tmp_path):
    workspace, rows, _ = judged
    other = Workspace.open(tmp_path)
    (tmp_path / "judge").symlink_to(workspace.root / "judge")
    seen = [{**row, "split": "test", "rank": 1} for row in judge_rows()[:30]]
    w.write_split(other, "happy", seen + w.mood_rows("happy", 500, 20, 0))
    w.write_split(other, "scary", rows["scary"])
    w.write_translations(other, "run", {"happy": seen}, lambda picture, direction: picture)
    with pytest.raises(BamkitError, match=r"refuses to judge happy: .* 30 of its 50 images \(30 same image\)"):
        evaluate(other)


def test_mistakes_are_named(tmp_path, judged, bamkit):
    workspace, _, _ = judged
    with pytest.raises(BamkitError, match=r"a judge at .* already"):
        train_judge(workspace)
    with pytest.raises(BamkitError, match="there is no split nobody"):
        train_judge(workspace, ["nobody"], force=True)
    empty = Workspace.open(tmp_path)
    with pytest.raises(BamkitError, match="--name judge-happy --sample stratified"):
        train_judge(empty)
    w.write_split(empty, "judge", judge_rows(each=3))
    with pytest.raises(BamkitError, match="too few to train a judge"):
        train_judge(empty)
    with pytest.raises(BamkitError, match="no judge at"):
        load_judge(tmp_path / "none")
    for wrong in ({"epochs": 0}, {"size": 8}, {"finetune": True}, {"learning_rate": 0}):
        with pytest.raises(BamkitError):
            JudgeConfig(**wrong)
    assert "judge" in bamkit("judge train", cwd=tmp_path, code=3).stderr


def test_damaged_judges_are_refused(judged, tmp_path):
    workspace, _, _ = judged
    for name in ("judge.pt", "known.parquet", "card.json"):
        folder = tmp_path / name
        shutil.copytree(workspace.root / "judge", folder)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(BamkitError):
            load_judge(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda card: card["images"].pop("held out"),
        lambda card: card["held_out"].pop("emotion_happy"),
        lambda card: card["held_out"]["emotion_happy"].update(auc="0.9"),
        lambda card: card["held_out"]["emotion_happy"]["average_precision"].update(value=None),
    ],
)
def test_a_card_with_other_values_is_named(judged, tmp_path, wrong):
    folder = shutil.copytree(judged[0].root / "judge", tmp_path / "judge")
    card = json.loads((folder / "card.json").read_text())
    wrong(card)
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(BamkitError, match=r"card\.json is not the card of a judge"):
        load_judge(folder)


def test_a_card_of_an_earlier_version_is_read(judged, tmp_path):
    workspace, _, judge = judged
    folder = shutil.copytree(workspace.root / "judge", tmp_path / "judge")
    card = json.loads((folder / "card.json").read_text())
    card["weights"]["told"] = card["weights"].pop("training")
    (folder / "card.json").write_text(json.dumps(card))
    assert load_judge(folder).card["weights"]["training"] == judge.card["weights"]["training"] == "from scratch"


def test_command_prints_the_card(judged, bamkit):
    workspace, _, _ = judged
    output = bamkit("judge card", cwd=workspace.root).output
    assert "emotion_happy" in output
    assert "Average precision on" in output
    assert json.loads(bamkit("judge card --json", cwd=workspace.root).stdout)["kind"] == "judge"


# --- with a judge, evaluation says whether the mood changed ---


def test_evaluation_with_a_judge(judged):
    workspace, rows, judge = judged
    found, folder, _ = evaluate_and_write(workspace)
    name = "happy-to-scary"
    before, after, real = (found.find("reached", name, m) for m in ("identity", "translation", "real"))
    assert before.value < 0.2 < 0.5 < after.value <= 1
    assert real.value > 0.8
    assert (after.n, after.clusters, after.method) == (24, 24, "clustered wilson")
    change = found.find("probability change", name)
    assert 0 < change.low < change.value < change.high < 1
    by_content = found.figures.query("metric == 'reached with content' and direction == @name")
    flowers = sum(row["content_flower"] == "positive" for row in rows["happy"] if row["split"] == "test")
    assert list(zip(by_content["attribute"], by_content["n"], strict=True)) == [("content_flower", flowers)]
    # 30 held-out pictures do not show that it tells flowers: then it says so instead of counting them.
    assert judge.is_reliable("emotion_scary")
    assert not judge.is_reliable("content_flower")
    assert found.find("content survives", name) is None
    assert any("hardly tells: flower" in text for text in found.warnings)
    about = json.loads((folder / "metrics.json").read_text())
    assert about["features"]["name"] == "judge"
    assert about["features"]["sha256"] == about["judge"]["sha256"] == judge.sha256
    assert "By content" in (folder / "index.html").read_text()
    # What was only darkened: the judge of colour and form takes dark discs for scary, the one of form sees discs.
    name = "happy-to-scary"
    by_form = found.find("reached by form", name)
    assert found.find("reached", name).value > 0.8
    assert by_form.value < 0.35 > found.find("reached by form", name, IDENTITY).value
    assert found.find("reached by form", name, "real").value > 0.7
    assert any("most were re-lit or recoloured, not repainted" in text for text in found.warnings)
    assert f"{100 * by_form.value:.0f} % by form alone" in (folder / "index.html").read_text()
    assert FORM in about["further_judges"]
    assert "translation probability by form" in (folder / "pictures.csv").read_text().splitlines()[0]


def test_a_judge_of_form_is_trained_beside_the_judge(judged):
    workspace, _, judge = judged
    form = load_judge(workspace.root / "judge" / "form")
    assert form.network.shape.backbone == HOG
    assert form.attributes == judge.attributes
    assert form.known.equals(judge.known)
    assert form.card["held_out"]["emotion_scary"]["auc"]["value"] > 0.8  # bars are not discs
    assert "The judge of form alone" in (workspace.root / "judge" / "index.html").read_text()


def test_a_second_judge_of_the_same_projects_is_refused(judged):
    workspace, _, _ = judged
    with pytest.raises(BamkitError, match="it would repeat it"):
        evaluate(workspace, options=EvaluateOptions(second=workspace.root / "judge"))


def test_content_figures_count_pictures_and_attributes(judged):
    """Four pictures, two attributes: flower kept in 1 of 2 and painted into 1 of 2, cat kept in 1 of 1, into 0 of 3."""
    workspace, _, _ = judged
    direction = open_run(workspace, "happy-scary").directions[0]
    direction.pairs = direction.pairs[:4]

    def judged_as(rows):
        one = ImageSet(2)
        one.append([np.zeros((4, 4, 3), np.uint8)] * 4, np.zeros((4, 2), np.float32), {JUDGE: np.array(rows)})
        return one

    before = [[0.9, 0.9, 0.1], [0.9, 0.1, 0.1], [0.1, 0.1, 0.1], [0.1, 0.1, 0.1]]
    after = [[0.9, 0.9, 0.9], [0.1, 0.1, 0.9], [0.6, 0.1, 0.9], [0.4, 0.1, 0.1]]
    images = {"identity": judged_as(before), "translation": judged_as(after), "colour transfer": judged_as(before)}
    measured = Measured(direction, images, None, pd.DataFrame())
    attributes = ("content_flower", "content_cat", "emotion_scary")
    figures = content_survives(measured, attributes, ["content_flower", "content_cat"])
    own = {(f["metric"], f["attribute"]): (f["value"], f["n"]) for f in figures if f["method"] == "translation"}
    assert own["content survives", "content_flower"] == (0.5, 2)
    assert own["painted in", "content_flower"] == (0.5, 2)
    assert own["content survives", "content_cat"] == (1.0, 1)
    assert own["painted in", "content_cat"] == (0.0, 3)
    assert own["content survives", ""] == (pytest.approx(2 / 3), 3)
    assert own["painted in", ""] == (pytest.approx(1 / 5), 5)
    same = {(f["metric"], f["value"]) for f in figures if f["method"] == "colour transfer"}
    assert same == {("content survives", 1.0), ("painted in", 0.0)}
    assert content_survives(measured, attributes, []) == []

    shows = {f"content_{c}": np.zeros(4, bool) for c in CONTENT} | {
        "content_flower": np.array([True, False, False, True])
    }
    found = verdicts(measured, judged_as(after), {JUDGE: SimpleNamespace(attributes=attributes)})
    reached = emotion_reached(measured, found, attributes, shows)
    shares = {(f["metric"], f["method"], f["attribute"]): (f["value"], f["n"]) for f in reached}
    assert shares["reached", "identity", "emotion_scary"] == (0.0, 4)
    assert shares["reached", "translation", "emotion_scary"] == (0.75, 4)
    assert shares["reached with content", "translation", "content_flower"] == (0.5, 2)
    assert shares["probability change", "translation", "emotion_scary"] == (pytest.approx(0.6), 4)


# --- backbones ---


@pytest.mark.parametrize("name", ["resnet10", "mobilenet_v3_small"])
def test_torch_weights_are_recognised_and_give_the_same_features(name, tmp_path):
    torch.manual_seed(1)
    one = Backbone(name).eval()
    classifier = {**one.network.state_dict(), "fc.weight": torch.zeros(1000, one.dimensions)}
    torch.save(classifier, tmp_path / "weights.pth")
    other, normal = pretrained(tmp_path / "weights.pth")
    assert (other.name, normal) == (name, IMAGENET)
    x = torch.rand(2, 3, 40, 40)
    with torch.no_grad():
        assert torch.equal(other.eval()(x), one(x))


def test_foreign_weights_are_refused(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"nonsense")
    with pytest.raises(BamkitError, match="not a file of torch weights"):
        pretrained(tmp_path / "a.pth")
    torch.save({"x": torch.zeros(3)}, tmp_path / "b.pth")
    with pytest.raises(BamkitError, match="does not hold weights of"):
        pretrained(tmp_path / "b.pth")
    with pytest.raises(BamkitError, match="no file"):
        pretrained(tmp_path / "c.pth")
    with pytest.raises(BamkitError, match="no backbone"):
        Backbone("vgg1")
    assert "resnet18" in BACKBONES


def test_pretrained_weights_get_a_linear_head(tmp_path, judged):
    workspace, _, _ = judged
    torch.manual_seed(0)
    torch.save(Backbone("resnet10").network.state_dict(), tmp_path / "weights.pth")
    config = JudgeConfig(weights=tmp_path / "weights.pth", size=48, device="cpu")
    judge = train_judge(workspace, config=config, folder=tmp_path / "judge")
    assert judge.card["weights"]["training"] == "pretrained weights, linear head"
    assert len(judge.card["weights"]["sha256"]) == 64
    assert judge.card["held_out"]["emotion_scary"]["average_precision"]["value"] > 0.9  # random features see colours
    frozen = torch.load(tmp_path / "weights.pth", weights_only=True)
    assert torch.equal(judge.network.backbone.network.state_dict()["conv1.weight"], frozen["conv1.weight"])


def write_keras(path, network, keras3=True):
    """Keras' file layout, from a torchvision MobileNetV2 with random numbers in it."""
    import h5py

    from bamkit.gan.judge.keras import _keras_layers, _torch_layers

    with h5py.File(path, "w") as file:
        for (convolution, norm), (kernel, batch_norm) in zip(_torch_layers(network), _keras_layers(), strict=True):
            depthwise = convolution.groups > 1
            value = convolution.weight.detach().numpy()
            name = "depthwise_kernel" if depthwise and not keras3 else "kernel"
            end = "" if keras3 else ":0"
            root = f"model_weights/mobilenetv2_1.00_160/{kernel}" if keras3 else f"{kernel}/{kernel}"
            file[f"{root}/{name}{end}"] = value.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
            root = f"model_weights/mobilenetv2_1.00_160/{batch_norm}" if keras3 else f"{batch_norm}/{batch_norm}"
            pairs = (("gamma", norm.weight), ("beta", norm.bias))
            pairs += (("moving_mean", norm.running_mean), ("moving_variance", norm.running_var))
            for name, tensor in pairs:
                file[f"{root}/{name}{end}"] = tensor.detach().numpy()
        file["optimizer_weights/adam/Conv1/kernel"] = np.zeros(3)


@pytest.mark.parametrize("kind", ["torch", "keras"])
def test_finetuning_trains_the_whole_network(tmp_path, judged, kind):
    """From a torch file and from Keras': every layer moves, the card says so, the judge reads back the same."""
    workspace, _, _ = judged
    torch.manual_seed(0)
    if kind == "torch":
        path, one = tmp_path / "weights.pth", Backbone("resnet10")
        torch.save(one.network.state_dict(), path)
        first, last = "conv1.weight", "layer4.0.conv2.weight"
    else:
        pytest.importorskip("h5py")
        path, one = tmp_path / "weights.h5", Backbone("mobilenet_v2")
        write_keras(path, one.network)
        # Keras' padding stands around the convolutions of stride 2.
        first, last = "features.0.0.convolution.weight", "features.18.0.weight"
    config = JudgeConfig(weights=path, finetune=True, size=32, epochs=2, learning_rate=0.02, device="cpu")
    judge = train_judge(workspace, config=config, folder=tmp_path / "judge")
    assert judge.card["weights"]["training"] == "pretrained weights, fine-tuned"
    assert judge.card["epoch"] in range(3)
    assert judge.card["config"]["finetune"]
    given = one.network.state_dict()
    for name in (first, last):
        after = judge.network.backbone.network.state_dict()[name]
        assert torch.equal(after, given[name.replace("convolution.", "")]) == (judge.card["epoch"] == 0), name
    if kind == "torch":
        assert judge.card["held_out"]["emotion_scary"]["average_precision"]["value"] > 0.9
    again = load_judge(tmp_path / "judge")
    picture = [w.paint(5, "scary", False)]
    np.testing.assert_array_equal(again.predict(picture)[1], judge.predict(picture)[1])


def test_finetuning_takes_a_tenth_of_the_rate(monkeypatch):
    rates = []

    class Noted(torch.optim.AdamW):
        def __init__(self, parameters, lr, **rest):
            rates.append(lr)
            super().__init__(parameters, lr=lr, **rest)

    monkeypatch.setattr(torch.optim, "AdamW", Noted)
    shape = Shape("resnet10", 32, *PLAIN, False, ("emotion_scary",))
    pictures = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    labels, part = torch.tensor([[0.0], [1.0]] * 4), np.array([0, 0, 0, 0, 1, 1, 2, 2])
    for settings in ({}, {"finetune": True, "weights": "any"}):
        config, network = JudgeConfig(epochs=1, batch=4, **settings), Network(shape)
        with torch.no_grad():
            negative, positive = network.eval().features(pictures[4:6])
            network.head.weight.copy_((negative - positive)[None])  # as wrong as can be: epoch 1 cannot be worse
        before = network.backbone.network.conv1.weight.clone()
        assert fit.fit_network(network, pictures, labels, part, config, torch.device("cpu")) == 1
        assert not torch.equal(before, network.backbone.network.conv1.weight)
    assert rates == pytest.approx([0.001, 0.0001])


def test_finetuning_keeps_the_linear_head_where_no_epoch_is_as_good(monkeypatch):
    scores = iter([0.9, 0.8, 0.7])
    monkeypatch.setattr(fit, "mean_precision", lambda logits, labels: next(scores))
    network = Network(Shape("resnet10", 32, *PLAIN, False, ("emotion_scary",)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pictures = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    labels, part = torch.tensor([[0.0], [1.0]] * 4), np.array([0, 0, 0, 0, 1, 1, 2, 2])
    config = JudgeConfig(epochs=2, batch=4, finetune=True, weights="any")
    assert fit.fit_network(network, pictures, labels, part, config, torch.device("cpu")) == 0
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("keras3", [True, False])
def test_keras_files_of_both_kinds_are_read(tmp_path, keras3):
    pytest.importorskip("h5py")
    torch.manual_seed(0)
    one = Backbone("mobilenet_v2")
    write_keras(tmp_path / "weights.h5", one.network, keras3)
    other, normal = pretrained(tmp_path / "weights.h5")
    assert (other.name, normal) == ("mobilenet_v2", PLAIN)
    weights = [v for k, v in one.network.state_dict().items() if "num_batches" not in k]
    read = [v for k, v in other.network.state_dict().items() if "num_batches" not in k]
    assert all(torch.equal(a, b) for a, b in zip(weights, read, strict=True))
    shape = Shape("mobilenet_v2", 32, *PLAIN, True, ("emotion_happy",))
    network = Network(shape, other)
    again = Network(shape)
    again.load_state_dict(network.state_dict())
    x = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(network.eval()(x)[1], again.eval()(x)[1])


def test_keras_files_without_the_layers_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["Conv1/kernel"] = np.zeros((3, 3, 3, 16))
    with pytest.raises(BamkitError, match=r"width 1\.0"):
        pretrained(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(b"nonsense")
    with pytest.raises(BamkitError, match="not a readable HDF5"):
        pretrained(tmp_path / "b.h5")


@pytest.mark.parametrize("side", [160, 97])
def test_keras_features_agree_with_keras(tmp_path, side, monkeypatch):
    """Against Keras' own MobileNetV2 on its torch backend, even and odd sides."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("h5py")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("keras runs on another backend")
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(input_shape=(side, side, 3), include_top=False, weights=None, pooling="avg")
    rng = np.random.default_rng(0)
    model.set_weights([v + np.abs(rng.normal(0, 0.1, v.shape)) if v.ndim == 1 else v for v in model.get_weights()])
    model.save_weights(tmp_path / "w.weights.h5")
    model.save(tmp_path / "model.h5")
    backbone, _ = pretrained(tmp_path / "model.h5")
    x = rng.uniform(-1, 1, (2, side, side, 3)).astype(np.float32)
    expected = np.asarray(model(x).detach().cpu())
    with torch.no_grad():
        found = backbone.eval()(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
