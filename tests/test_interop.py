"""Networks in and out: the public names against networks in stock layers; ONNX, safetensors, TorchScript."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from bamkit.common.errors import BamkitError
from bamkit.gan.exchange import export
from bamkit.gan.train import checkpoint
from bamkit.gan.train.networks import cyclegan, public_layout
from bamkit.gan.train.networks.cyclegan import PatchDiscriminator, ResnetGenerator, initialise
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.translate.generator import weights_id

RESNET = TrainConfig(width=4, blocks=2)
UNET = TrainConfig(generator="unet", width=4, halvings=4)
AFFINE = TrainConfig(generator="affine", width=4, halvings=3)


def norm(channels, old=False):
    return nn.InstanceNorm2d(channels, affine=False, track_running_stats=old)


class Block(nn.Module):
    def __init__(self, channels, dropout, old):
        super().__init__()
        layers = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels, old), nn.ReLU()]
        layers += [nn.Dropout(0.5)] if dropout else []
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels, old)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv_block(x)


class Stock(nn.Module):
    """A network whose state dict has the public names because its layers stand in the public order."""

    def __init__(self, *layers):
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


def stock_resnet(width, blocks, dropout=False, old=False):
    w = width
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7), norm(w, old), nn.ReLU()]
    for k in (1, 2):
        layers += [nn.Conv2d(w * k, w * 2 * k, 3, stride=2, padding=1), norm(w * 2 * k, old), nn.ReLU()]
    layers += [Block(w * 4, dropout, old) for _ in range(blocks)]
    for k in (4, 2):
        up = nn.ConvTranspose2d(w * k, w * k // 2, 3, stride=2, padding=1, output_padding=1)
        layers += [up, norm(w * k // 2, old), nn.ReLU()]
    return Stock(*layers, nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh())


class Skip(nn.Module):
    def __init__(self, outer, inner, inside=None, first=False):
        super().__init__()
        down = nn.Conv2d(3 if first else outer, inner, 4, 2, 1)
        up = nn.ConvTranspose2d(inner if inside is None else 2 * inner, 3 if first else outer, 4, 2, 1)
        if first:
            layers = [down, inside, nn.ReLU(), up, nn.Tanh()]
        elif inside is None:
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, norm(outer)]
        else:
            layers = [nn.LeakyReLU(0.2), down, norm(inner), inside, nn.ReLU(), up, norm(outer)]
        self.first, self.model = first, nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.first else torch.cat([x, self.model(x)], 1)


class StockUnet(nn.Module):
    def __init__(self, width, halvings):
        super().__init__()
        channels = [width * min(2**level, 8) for level in range(halvings)]
        block = None
        for level in range(halvings - 1, 0, -1):
            block = Skip(channels[level - 1], channels[level], block)
        self.model = Skip(3, channels[0], block, first=True)

    def forward(self, x):
        return self.model(x)


def stock_judge(width):
    layers = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for k in (1, 2, 4):
        layers += [nn.Conv2d(width * k, width * k * 2, 4, 2 if k < 4 else 1, 1), norm(width * k * 2), nn.LeakyReLU(0.2)]
    return Stock(*layers, nn.Conv2d(width * 8, 1, 4, 1, 1))


def drawn(network, seed=0):
    torch.manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    return network.double().eval()


STOCK = {
    "resnet": lambda: stock_resnet(4, 2),
    "resnet with dropout": lambda: stock_resnet(4, 3, dropout=True),
    "resnet from before torch 0.4": lambda: stock_resnet(4, 1, old=True),
    "unet": lambda: StockUnet(4, 5),
    "discriminator": lambda: stock_judge(4),
}


def make_run(root, config=RESNET, judges=True, name="happy-scary"):
    run = root / "runs" / name
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"run_id": "r1", "name": name, "config": config.as_dict()}))
    nets = {}
    for i, key in enumerate(("a_to_b", "b_to_a")):
        nets[key] = cyclegan.generator(config)
        initialise(nets[key], i)
        with torch.no_grad():
            for parameter in nets[key].parameters():
                parameter.mul_(4)
    state = {"generators": {key: net.state_dict() for key, net in nets.items()}, "config": config.as_dict()}
    state |= {"names": ["happy", "scary"], "run_id": "r1", "step": 3}
    if judges:
        state["discriminators"] = {
            f"D_{x}": PatchDiscriminator(config.discriminator_channels).state_dict() for x in "AB"
        }
    checkpoint.write(checkpoint.path_of(run, 3), state)
    return run, {key: net.eval().requires_grad_(requires_grad=False) for key, net in nets.items()}


# ---------------------------------------------------------------- the public layout


@pytest.mark.parametrize("kind", STOCK)
def test_public_weights_in_and_out(kind):
    """A network in stock layers, read by bamkit, paints the same; written back, it loads strictly."""
    theirs = drawn(STOCK[kind]())
    ours = public_layout.network(theirs.state_dict()).double()
    x = torch.rand(1, 3, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    if "before" in kind:
        theirs.train()  # instance norm as it was meant: with each picture's own statistics
    assert (ours(x) - theirs(x)).abs().max() < 1e-5  # weights travel as float32
    back = STOCK[kind]().eval()
    old, dropout = "before" in kind, "dropout" in kind
    back.load_state_dict(public_layout.weights(ours, dropout=dropout, statistics=old), strict=not old)
    if old:
        back.train()
    assert (ours.float()(x.float()) - back(x.float())).abs().max() < 1e-5


def test_a_data_parallel_prefix_and_a_wrapper_are_taken_off(tmp_path):
    theirs = drawn(stock_resnet(4, 1)).float()
    state = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "x.pth")
    ours = export.load_public(tmp_path / "x.pth")
    assert isinstance(ours, ResnetGenerator)
    assert public_layout.config_of(ours) == TrainConfig(width=4, blocks=1)
    x = torch.rand(1, 3, 32, 32)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)


def test_the_legacy_file_format_is_read(tmp_path):
    theirs = drawn(stock_resnet(4, 1)).float()
    torch.save(theirs.state_dict(), tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert isinstance(export.load_public(tmp_path / "x.pth"), ResnetGenerator)


def _without(state, name):
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {}, "hold nothing"),
        (lambda s: _without(s, "model.18.weight"), "lack model.18.weight"),
        (lambda s: _without(s, "model.4.weight"), "lack model.4.weight"),
        (lambda s: s | {"model.99.weight": torch.zeros(1, 1, 1, 1)}, "hold model.99.weight"),
        (lambda s: s | {"model.2.weight": torch.ones(4)}, "learned norm"),
        (lambda s: s | {"model.1.weight": torch.zeros(4, 1, 7, 7)}, r"is \(4, 1, 7, 7\)"),
        (lambda s: s | {"model.4.weight": torch.zeros(9, 4, 3, 3)}, "has the shape"),
        (lambda s: s | {"epoch": 3}, "no tensor"),
        (
            lambda s: {re.sub(r"block\.5", "block.3", re.sub(r"block\.1", "block.0", k)): t for k, t in s.items()},
            "zero",
        ),
        (lambda s: {"encoder.weight": torch.zeros(3, 3)}, "hold encoder.weight"),
    ],
)
def test_foreign_weights_are_named(change, said):
    with pytest.raises(BamkitError, match=said):
        public_layout.network(change(stock_resnet(4, 1).state_dict()))


def test_pickled_code_is_not_run(tmp_path):
    torch.save(stock_resnet(4, 1), tmp_path / "whole.pth")
    with pytest.raises(BamkitError, match="pickled code"):
        export.load_public(tmp_path / "whole.pth")


# ---------------------------------------------------------------- export a run


def test_cyclegan_files_load_in_stock_layers(tmp_path, bamkit):
    _, nets = make_run(tmp_path)
    shown = bamkit("export happy-scary --to cyclegan", cwd=tmp_path).output
    out = tmp_path / "exports" / "happy-scary-cyclegan"
    assert "latest_net_G_A.pth" in shown
    bamkit("export happy-scary --to cyclegan --force --json", cwd=tmp_path)
    files = sorted(path.name for path in out.iterdir())
    letters = [f"latest_net_{kind}_{letter}.pth" for kind in "DG" for letter in "AB"]
    assert files == sorted([*letters, "bamkit-export.json", "README.md"])
    x = torch.rand(1, 3, 32, 32)
    for letter, key in (("A", "a_to_b"), ("B", "b_to_a")):
        theirs = stock_resnet(4, 2)
        theirs.load_state_dict(torch.load(out / f"latest_net_G_{letter}.pth", weights_only=True))
        assert torch.allclose(theirs(x), nets[key](x), atol=1e-5)
        judge = stock_judge(4)
        judge.load_state_dict(torch.load(out / f"latest_net_D_{letter}.pth", weights_only=True))
    card = json.loads((out / "bamkit-export.json").read_text())
    assert card["networks"]["happy-to-scary"]["weights"] == weights_id(nets["a_to_b"])
    assert "is already there" in bamkit("export happy-scary --to cyclegan", cwd=tmp_path, code=3).output
    bamkit("export happy-scary --to cyclegan --force", cwd=tmp_path)


def test_one_direction_is_a_one_way_model(tmp_path, bamkit):
    _, nets = make_run(tmp_path)
    bamkit("export happy-scary --to cyclegan --direction scary-to-happy --output one", cwd=tmp_path)
    assert {p.name for p in (tmp_path / "one").iterdir()} == {"README.md", "bamkit-export.json", "latest_net_G.pth"}
    ours = export.load_public(tmp_path / "one" / "latest_net_G.pth")
    assert weights_id(ours) == weights_id(nets["b_to_a"])


def test_the_same_export_gives_the_same_bytes(tmp_path):
    run, _ = make_run(tmp_path)
    for name in ("one", "two"):
        export.export_run(run, "cyclegan", tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


@pytest.mark.parametrize("config", [RESNET, UNET, AFFINE], ids=["resnet", "unet", "affine"])
def test_torchscript_paints_the_same_at_other_sizes(tmp_path, config):
    run, nets = make_run(tmp_path, config)
    exported = export.export_run(run, "torchscript", tmp_path / "out")
    extra = {"bamkit.json": ""}
    script = torch.jit.load(tmp_path / "out" / "happy-to-scary.pt", _extra_files=extra)
    assert json.loads(extra["bamkit.json"])["direction"] == "happy-to-scary"
    assert [path.suffix for path in exported.files] == [".pt", ".pt", ".md"]
    for shape in ((1, 3, 64, 64), (2, 3, 32, 112)):
        x = torch.rand(*shape) * 2 - 1
        assert torch.allclose(script(x), nets["a_to_b"](x), atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [RESNET, UNET, pytest.param(AFFINE, marks=pytest.mark.slow)],
    ids=["resnet", "unet", "affine"],
)
def test_onnx_against_onnxruntime(tmp_path, config):
    runtime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    run, nets = make_run(tmp_path, config)
    export.export_run(run, "onnx", tmp_path / "out", direction="scary-to-happy")
    path = tmp_path / "out" / "scary-to-happy.onnx"
    about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(about["bamkit"])["run_id"] == "r1"
    assert about["multiple"] == str(config.multiple)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((1, 3, 64, 64), (3, 3, 32, 112)):
        x = torch.rand(*shape) * 2 - 1
        (found,) = session.run(None, {"picture": x.numpy()})
        assert np.abs(found - nets["b_to_a"](x).numpy()).max() < 1e-4


@pytest.mark.parametrize("config", [RESNET, AFFINE], ids=["resnet", "affine"])
def test_safetensors_both_ways(tmp_path, config):
    library = pytest.importorskip("safetensors")
    run, nets = make_run(tmp_path, config)
    export.export_run(run, "safetensors", tmp_path / "out")
    path = tmp_path / "out" / "happy-to-scary.safetensors"
    with library.safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["bamkit"])["checkpoint"] == "step-00000003"
    read = export.load_public(path)
    assert public_layout.config_of(read) == config
    card = (tmp_path / "out" / "README.md").read_text()
    assert ("names of the public CycleGAN implementation" in card) == (config == RESNET)
    assert ("AffineGenerator" in card) == (config == AFFINE)
    assert weights_id(read) == weights_id(nets["a_to_b"])


def test_the_public_format_refuses_the_generator_that_it_cannot_hold(tmp_path, bamkit):
    make_run(tmp_path, AFFINE)
    refused = bamkit("export happy-scary --to cyclegan", cwd=tmp_path, code=3).output
    assert "its format cannot hold this run" in refused
    assert not list((tmp_path / "exports").glob("*/*"))


def test_a_weights_file_is_converted(tmp_path, bamkit):
    torch.save(drawn(stock_resnet(4, 2, dropout=True)).float().state_dict(), tmp_path / "latest_net_G.pth")
    bamkit("export latest_net_G.pth --to torchscript --output out", cwd=tmp_path)
    assert (tmp_path / "out" / "latest_net_G.pt").is_file()


def test_safetensors_are_the_same_every_time(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    state = {"b": torch.arange(3.0), "a.weight": torch.ones(2, 2, dtype=torch.float16)}
    about = {f"key {index}": f"é{index}" for index in range(8)}
    for name in ("first", "second"):
        public_layout.save_safetensors(state, tmp_path / name, about)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    found = library.load_file(tmp_path / "first")
    assert all(torch.equal(found[name], value) for name, value in state.items())
    with pytest.importorskip("safetensors").safe_open(tmp_path / "first", "pt") as opened:
        assert opened.metadata() == {"format": "pt", **about}


@pytest.mark.parametrize("package", ["onnx", "safetensors"])
def test_a_missing_package_is_named(tmp_path, bamkit, monkeypatch, package):
    import sys

    make_run(tmp_path)
    for name in ("onnx", "safetensors", "safetensors.torch"):
        monkeypatch.setitem(sys.modules, name, None)
    shown = bamkit(f"export happy-scary --to {package}", cwd=tmp_path, code=3).output
    assert "pip install" in shown


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("export happy-scary --to pickle", "Invalid value for '--to'"),
        ("export nothing --to onnx", "there is no run, split or selection 'nothing'"),
        ("export happy-scary --to onnx --direction up", "--direction happy-to-scary or scary-to-happy"),
        ("export happy-scary --to imagefolder", "is a training run"),
        ("export broken.pth --to onnx --output out", "no readable file of weights"),
        ("export happy-scary --to cyclegan --output file", "is a file"),
    ],
)
def test_mistakes_get_one_line(tmp_path, bamkit, line, said):
    make_run(tmp_path)
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    (tmp_path / "file").write_bytes(b"")
    result = bamkit(line, cwd=tmp_path, code=None)
    assert result.exit_code in (2, 3)
    assert said in result.output


# ---------------------------------------------------------------- import a run


def test_two_public_generators_become_a_run(tmp_path, bamkit):
    from PIL import Image

    folder = tmp_path / "checkpoints" / "horse2zebra"
    folder.mkdir(parents=True)
    pair = {letter: drawn(stock_resnet(4, 2), seed).float() for seed, letter in enumerate("AB")}
    for letter, network in pair.items():
        torch.save(network.state_dict(), folder / f"latest_net_G_{letter}.pth")
        torch.save(stock_judge(4).state_dict(), folder / f"latest_net_D_{letter}.pth")
    bamkit("export checkpoints/horse2zebra --to run --name horses --domains horse,zebra", cwd=tmp_path)
    made = checkpoint.load_generators(tmp_path / "runs" / "horses")
    assert made.names == ("horse", "zebra")
    x = torch.rand(1, 3, 32, 32)
    assert torch.allclose(made.a_to_b(x), pair["A"](x), atol=1e-5)
    assert torch.allclose(made.b_to_a(x), pair["B"](x), atol=1e-5)
    Image.new("RGB", (20, 20), "red").save(tmp_path / "red.png")
    bamkit("translate horses --input red.png --direction zebra-to-horse --output out", cwd=tmp_path)
    assert (tmp_path / "out" / "zebra-to-horse" / "red.png").is_file()
    again = bamkit("export checkpoints/horse2zebra --to run --name horses", cwd=tmp_path, code=3)
    assert "is already there" in again.output


def test_a_run_needs_both_generators(tmp_path, bamkit):
    torch.save(stock_resnet(4, 1).state_dict(), tmp_path / "latest_net_G.pth")
    shown = bamkit("export latest_net_G.pth --to run --name x", cwd=tmp_path, code=3).output
    assert "found latest_net_G.pth" in shown
    assert "bamkit translate --weights" in shown
    torch.save(stock_resnet(4, 2).state_dict(), tmp_path / "latest_net_G_B.pth")
    shown = bamkit("export latest_net_G.pth latest_net_G_B.pth --to run --name x", cwd=tmp_path, code=3).output
    assert "networks of different sizes" in shown


# ---------------------------------------------------------------- the model card

SSIM = ("ssim", "happy-to-scary", "translation")


def evaluated_run(root):
    """A run on an evaluated little world: its run.json names the splits, its evaluation is of this very training."""
    from evaluation_world import world

    from bamkit.common.lineage import split_about
    from bamkit.gan.evaluate.run import evaluate_and_write

    workspace, _ = world(root)
    run, _ = make_run(root)
    about = json.loads((run / "run.json").read_text())
    for side, name in (("from", "happy"), ("to", "scary")):
        split_id = split_about(workspace, name).get("split_id")
        about[side] = {"name": name, "split_id": split_id, "pictures": 24, "where": "/home/somebody/private"}
    about |= {"run_id": "id-of-happy-scary", "steps": 1200, "device": "a CPU", "versions": {"torch": "2.9"}}
    (run / "run.json").write_text(json.dumps(about))
    state = torch.load(checkpoint.path_of(run, 3), weights_only=True)
    checkpoint.write(checkpoint.path_of(run, 3), state | {"run_id": "id-of-happy-scary"})
    evaluate_and_write(workspace)
    return run


@pytest.mark.slow
def test_the_model_card_says_what_the_run_learned_from_how_well_it_does_and_where_it_fails(tmp_path, bamkit):
    import hashlib

    run = evaluated_run(tmp_path)
    bamkit("export happy-scary --to torchscript", cwd=tmp_path)
    out = tmp_path / "exports" / "happy-scary-torchscript"
    card = (out / "README.md").read_text(encoding="utf-8")
    weights = json.loads((out / "bamkit-export.json").read_text())["networks"]["happy-to-scary"]["weights"]
    assert f"| happy-to-scary | `{weights}` |" in card
    assert f"`{hashlib.sha256((out / 'happy-to-scary.pt').read_bytes()).hexdigest()}`" in card
    assert "| split_id | `id-of-happy` | `id-of-scary` |" in card
    assert "| licences | CC-BY-4.0: 24 | CC-BY-4.0: 24 |" in card
    assert "Step 3 of 1,200, on a CPU; torch 2.9." in card
    figures = json.loads((tmp_path / "reports" / "evaluate-happy-scary" / "metrics.json").read_text())["figures"]
    (ssim,) = (f for f in figures if (f["metric"], f["direction"], f["method"]) == SSIM)
    assert f"| SSIM | {ssim['value']:.3f} [{ssim['low']:.3f}, {ssim['high']:.3f}] |" in card
    assert re.search(r"\| inverted \| 1(\.00)? \[0\.\d\d, 1\.00\] \| 0(\.00)? \[", card)
    assert "Light and dark were exchanged most in mid 3" in card
    assert "- scary-to-happy: 100 % of the outputs have light and dark exchanged." in card
    assert "The figures are of checkpoint best, not of step-00000003." in card
    assert "private" not in card
    assert "{{" not in card
    assert "was not evaluated" not in card
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(about | {"run_id": "another"}))
    state = torch.load(checkpoint.path_of(run, 3), weights_only=True)
    checkpoint.write(checkpoint.path_of(run, 3), state | {"run_id": "another"})
    bamkit("export happy-scary --to torchscript --force", cwd=tmp_path)
    assert "This training was not evaluated" in (out / "README.md").read_text(encoding="utf-8"), "of another training"


def test_the_hub_reads_the_model_card(tmp_path, bamkit):
    hub = pytest.importorskip("huggingface_hub")
    make_run(tmp_path)
    bamkit("export happy-scary --to cyclegan --output out", cwd=tmp_path)
    card = hub.ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.pipeline_tag == "image-to-image"
    assert card.data.library_name == "pytorch"
    assert "cyclegan" in card.data.tags
    assert card.text.lstrip().startswith("# happy-scary: happy to scary, and back")
    assert "bamkit evaluate happy-scary" in card.text


def test_a_readme_of_the_users_is_not_replaced(tmp_path, bamkit):
    make_run(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("mine")
    assert "README.md is already there" in bamkit("export happy-scary --to cyclegan --output out", tmp_path, 3).output
    assert (tmp_path / "out" / "README.md").read_text() == "mine"
