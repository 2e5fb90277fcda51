"""Feature extractors and LPIPS: real loading code on weights made here, against the libraries' own functions."""

import evaluation_world as w
import numpy as np
import pytest
import torch

from bamkit.common.errors import BamkitError
from bamkit.common.pictures.feature_store import FeatureStore
from bamkit.gan.evaluate.features import Colours, Inception, ScaledFeatures, inception_weights, unit_scale
from bamkit.gan.evaluate.lpips import Lpips, alexnet_weights
from bamkit.gan.vision import torchvision


@pytest.fixture
def pictures():
    return [w.paint(1, "happy", True), w.paint(2, "scary", False, 64), w.paint(3, "scary", True)]


def random_inception(path, monkeypatch):
    """A file in torch-fidelity's own format with random weights of the real network (the real ones are not to be had
    without a download)."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    torch.manual_seed(0)
    torch.save({}, path)
    with monkeypatch.context() as patch:
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        made = module.FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    torch.save(made.state_dict(), path)


def test_colours_separate_moods_and_take_any_size(pictures):
    extractor = Colours()
    found = extractor(pictures)
    assert (found.shape, found.dtype) == ((3, extractor.dimensions), np.float32)
    same = extractor([np.asarray(w.Image.fromarray(pictures[0]).resize((96, 96)))])
    assert np.linalg.norm(same - found[0]) < 0.3 * np.linalg.norm(found[1] - found[0])
    assert np.linalg.norm(found[2] - found[1]) < np.linalg.norm(found[0] - found[1])
    assert extractor.sha256 == Colours().sha256


def test_store_gives_back_what_was_appended():
    store = FeatureStore(3)
    assert (len(store), store.shape, store[0:5].shape) == (0, (0, 3), (0, 3))
    data = np.arange(21, dtype=np.float32).reshape(7, 3)
    store.append(data[:2])
    store.append(data[2:])
    np.testing.assert_array_equal(store[:], data)
    np.testing.assert_array_equal(store[5:9], data[5:])
    np.testing.assert_array_equal(store[np.array([6, 0, 2])], data[[6, 0, 2]])
    store.append(data[:1])
    np.testing.assert_array_equal(store[6:8], data[[6, 0]])
    with pytest.raises(ValueError, match="3 numbers"):
        store.append(np.zeros((2, 4)))
    scaled = ScaledFeatures(store, unit_scale(store))
    assert (len(scaled), scaled.shape) == (8, (8, 3))
    assert np.mean(scaled[np.arange(8)] ** 2) == pytest.approx(1)
    np.testing.assert_allclose(scaled[2:4] / scaled[2:4][0, 0], data[2:4] / data[2, 0])
    assert unit_scale(np.zeros((4, 2))) == unit_scale(np.zeros((0, 2))) == 1.0


def test_inception_is_torch_fidelitys(tmp_path, monkeypatch, pictures):
    """The file is made from torch-fidelity's own network with random weights; the features must be that network's."""
    torchvision()
    network = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    random_inception(tmp_path / "weights.pth", monkeypatch)
    extractor = Inception(tmp_path / "weights.pth")
    found = extractor(pictures)
    assert found.shape == (3, 2048)
    again = network("inception", ["2048"], feature_extractor_weights_path=str(tmp_path / "weights.pth"))
    expected = again(torch.from_numpy(pictures[1]).permute(2, 0, 1)[None])[0].numpy()
    np.testing.assert_allclose(found[1:2], expected, rtol=1e-4, atol=1e-6)
    assert len(extractor.sha256) == 64
    torch.save({}, tmp_path / "empty.pth")
    with pytest.raises(BamkitError, match="does not hold Inception's weights"):
        Inception(tmp_path / "empty.pth")
    with pytest.raises(BamkitError, match="no file"):
        Inception(tmp_path / "none.pth")


def test_a_pickle_that_is_more_than_tensors_is_never_run(tmp_path):
    torchvision()
    pytest.importorskip("torch_fidelity")
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    torch.save({"x": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(BamkitError, match="does not hold Inception's weights"):
        Inception(tmp_path / "hostile.pth")
    assert not ran.exists()


def test_lpips_is_torchmetrics_too(tmp_path, pictures):
    """Random AlexNet weights through the authors' package and through torchmetrics: the same distance."""
    models = torchvision().models
    pytest.importorskip("lpips")
    torch.manual_seed(0)
    torch.save(models.alexnet(weights=None).state_dict(), tmp_path / "alexnet.pth")
    distance = Lpips(tmp_path / "alexnet.pth")
    assert distance(pictures[0], pictures[0]) == pytest.approx(0, abs=1e-7)
    found = distance(pictures[0], pictures[2])
    assert found > 0
    theirs = pytest.importorskip("torchmetrics.functional.image.lpips")
    network = theirs._LPIPS(pretrained=True, net="alex", pnet_rand=True, eval_mode=True)
    state = torch.load(tmp_path / "alexnet.pth", weights_only=True)
    network.net.load_state_dict({k: state[f"features.{k.split('.', 1)[1]}"] for k in network.net.state_dict()})
    one, other = (torch.from_numpy(p / 127.5 - 1).float().permute(2, 0, 1)[None] for p in (pictures[0], pictures[2]))
    with torch.no_grad():
        assert found == pytest.approx(network(one, other).item(), rel=1e-4)


def test_foreign_weights_are_refused(tmp_path):
    pytest.importorskip("lpips")
    torch.save({"x": torch.zeros(2)}, tmp_path / "a.pth")
    with pytest.raises(BamkitError, match="does not hold AlexNet's weights"):
        Lpips(tmp_path / "a.pth")
    with pytest.raises(BamkitError, match="no file"):
        Lpips(tmp_path / "none.pth")


def test_caches_are_looked_into_and_nothing_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert inception_weights() is None
    assert alexnet_weights() is None
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "alexnet-owt-7be5be79.pth").write_bytes(b"x")
    assert alexnet_weights() == folder / "alexnet-owt-7be5be79.pth"


def test_missing_packages_are_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lpips", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(BamkitError, match="pip install lpips"):
        Lpips(tmp_path / "a.pth")
    with pytest.raises(BamkitError, match="pip install torch-fidelity"):
        Inception(tmp_path / "a.pth")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_evaluation_on_inception_gives_torch_fidelitys_fid_and_kid(tmp_path, monkeypatch):
    """The whole way: `evaluate` with both weight files, against calculate_metrics on folders of the same pictures."""
    from bamkit.gan.evaluate.metrics.distribution import polynomial_mmd
    from bamkit.gan.evaluate.run import evaluate
    from bamkit.gan.evaluate.settings import EvaluateOptions

    torchvision()
    fidelity = pytest.importorskip("torch_fidelity")
    random_inception(tmp_path / "inception.pth", monkeypatch)
    torch.save(torchvision().models.alexnet(weights=None).state_dict(), tmp_path / "alexnet.pth")
    workspace, rows = w.world(tmp_path / "w", train=4, test=6)
    w.write_translations(workspace, "happy-scary", rows, lambda picture, direction: w.darken(picture))
    options = EvaluateOptions(inception=tmp_path / "inception.pth", alexnet=tmp_path / "alexnet.pth", device="cpu")
    found = evaluate(workspace, options=options)
    about = found.about()
    assert about["features"]["name"] == "inception"
    assert not about["features"]["scaled_to_unit"]
    assert about["lpips"]["sha256"]
    assert found.find("lpips", "happy-to-scary").n == 6
    for method, of in (("translation", w.darken), ("identity", lambda picture: picture)):
        folders = {name: tmp_path / f"{method}-{name}" for name in ("happy", "scary")}
        for name, folder in folders.items():
            folder.mkdir()
            for one in (r for r in rows[name] if r["split"] == "test"):
                shown = np.asarray(w.Image.open(w.io.BytesIO(one["image"]["bytes"])).convert("RGB"))
                shown = of(shown) if name == "happy" else shown
                w.Image.fromarray(shown).save(folder / f"{one['mid']}.png")
        theirs = fidelity.calculate_metrics(
            input1=str(folders["happy"]), input2=str(folders["scary"]), cuda=False, batch_size=1, kid=True,
            fid=method == "translation",  # half a minute: the square root of a matrix of 2,048 rows
            kid_subsets=1, kid_subset_size=6, feature_extractor_weights_path=str(tmp_path / "inception.pth"),
            cache=False, verbose=False, save_cpu_ram=True,
        )  # fmt: skip
        if method == "translation":
            fid = found.find("fid", "happy-to-scary", method).value
            assert fid == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)
        features = [found.results[0].measured.images[method].features[:], found.real["scary", "test"].features[:]]
        expected = theirs["kernel_inception_distance_mean"]
        assert polynomial_mmd(*features) == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_lpips_is_the_authors_own(tmp_path, pictures, monkeypatch):
    """The package's own way of loading AlexNet, given a file of random weights instead of a download."""
    models = torchvision().models
    lpips = pytest.importorskip("lpips")
    torch.manual_seed(1)
    network = models.alexnet(weights=None)
    torch.save(network.state_dict(), tmp_path / "alexnet.pth")
    monkeypatch.setattr("lpips.pretrained_networks.tv.alexnet", lambda pretrained: network)
    theirs = lpips.LPIPS(net="alex", verbose=False)
    with torch.no_grad():
        expected = theirs(*(lpips.im2tensor(picture) for picture in (pictures[0], pictures[2]))).item()
    assert Lpips(tmp_path / "alexnet.pth")(pictures[0], pictures[2]) == pytest.approx(expected, rel=1e-5)
