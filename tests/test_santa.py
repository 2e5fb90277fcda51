"""SANTA: its losses against an independent implementation, its noise, and pictures at a strength, near and far."""

import itertools
import json

import gan_parts
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from test_translate import network, picture, write_split

import bamkit as library
from bamkit.common.errors import BamkitError
from bamkit.gan.exchange import export
from bamkit.gan.train import checkpoint, settings
from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.methods import build, santa
from bamkit.gan.train.networks import public_layout
from bamkit.gan.train.random_draws import Sampler, normal
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.translate import tiled_networks, tiling
from bamkit.gan.translate.generator import Translator, modulations, weights_id
from bamkit.gan.translate.origin import read_about

RESNET = TrainConfig(method="santa", width=4, blocks=3)
AFFINE = TrainConfig(method="santa", generator="affine", width=4, halvings=3)
BOTH = pytest.mark.parametrize("config", [RESNET, AFFINE], ids=["resnet", "affine"])

# ---------------------------------------------------------------- the losses


def instance(x):
    """Instance norm by its equation."""
    flat = x.reshape(*x.shape[:2], -1)
    return ((flat - flat.mean(2, keepdim=True)) / (flat.var(2, unbiased=False, keepdim=True) + 1e-5).sqrt()).view_as(x)


def conditioned(x, weights, number, t):
    """(1 + g) norm(x) + s, g and s 8 (w t + b): the `number`-th one of the decoder."""
    line = 8 * (weights[f"turns.{number}.weight"].flatten() * t + weights[f"turns.{number}.bias"])
    gain, shift = line[: x.shape[1]], line[x.shape[1] :]
    return (1 + gain)[:, None, None] * instance(x) + shift[:, None, None]


def mirror(x, by):
    return F.pad(x, (by,) * 4, mode="reflect")


def encode(x, w):
    h = F.relu(instance(F.conv2d(mirror(x, 3), w["stem.weight"])))
    for i in (0, 1):
        h = F.relu(instance(F.conv2d(h, w[f"down.{i}.weight"], stride=2, padding=1)))
    inner = F.relu(instance(F.conv2d(mirror(h, 1), w["blocks.0.first.weight"])))  # one of three blocks
    return h + instance(F.conv2d(mirror(inner, 1), w["blocks.0.second.weight"]))


def decode(z, w, t):
    """(picture, the outputs whose path is measured) for one picture's code and one strength."""
    h, along = z, []
    for i in (1, 2):
        inner = F.conv2d(mirror(h, 1), w[f"blocks.{i}.first.weight"])
        inner = F.relu(conditioned(inner, w, 2 * i - 2, t))
        h = h + conditioned(F.conv2d(mirror(inner, 1), w[f"blocks.{i}.second.weight"]), w, 2 * i - 1, t)
        along.append(h)
    for i in (0, 1):
        h = F.conv_transpose2d(h, w[f"up.{i}.weight"], stride=2, padding=1, output_padding=1)
        along.append(h)
        h = F.relu(conditioned(h, w, 4 + i, t))
    h = F.conv2d(mirror(h, 3), w["head.weight"], w["head.bias"])
    return torch.tanh(h), [*along, h]


def judged(x, w):
    h = F.leaky_relu(F.conv2d(x, w["first.weight"], w["first.bias"], stride=2, padding=1), 0.2)
    for i, stride in enumerate((2, 2, 1)):
        h = F.leaky_relu(instance(F.conv2d(h, w[f"middle.{i}.weight"], stride=stride, padding=1)), 0.2)
    return F.conv2d(h, w["last.weight"], w["last.bias"], padding=1)


def objective(w, judge, source, target, uniform, path, ends):
    """The generator's objective as its equation reads, picture by picture; {term: value}."""
    terms = dict.fromkeys(("G", "path", "source", "target"), 0.0)
    count = len(source)
    for i in range(count):
        middle, apart, *noises = uniform[:, i].tolist()
        a, b = source[i : i + 1], target[i : i + 1]
        code_a, code_b = encode(a, w), encode(b, w)
        noise_a, noise_b = (normal(torch.tensor([int(u * 2**24)]), code_a.shape[1:]).double() for u in noises)
        fake, _ = decode(code_a + noise_a, w, 1.0)
        terms["G"] += ((judged(fake, judge) - 1) ** 2).mean() / count
        restored, kept = decode(code_a + noise_a, w, 0.0)[0], decode(code_b + noise_b, w, 1.0)[0]
        terms["source"] += (ends * (restored - a).abs().mean() + 0.005 * (code_a**2).mean()) / count
        terms["target"] += (ends * (kept - b).abs().mean() + 0.005 * (code_b**2).mean()) / count
        half = 0.05 + 0.05 * apart
        last, first = min(middle + half, 1.0), max(middle - half, 0.0)
        pairs = zip(decode(code_a + noise_a, w, last)[1], decode(code_a + noise_a, w, first)[1], strict=True)
        lengths = [(((x - y) / max(last - first, 0.1)) ** 2).mean() for x, y in pairs]
        terms["path"] += path * sum(lengths) / len(lengths) / count
    return terms


def double_step(**changed):
    config = gan_parts.tiny(method="santa", blocks=3, batch=2, lambda_path=0.3, lambda_ends=4.0, **changed)
    nets = build.networks(config)
    with torch.no_grad():  # weights as large as trained ones, so that no term is next to nothing
        for parameter in nets.parameters():
            parameter.mul_(3)
    return config, build.step(nets.double(), config, Acceleration(merged=True))


def drawn(config, count=2):
    """Real pictures of both domains, float64, and the draws of a step."""
    rng = torch.Generator().manual_seed(5)
    pictures = torch.rand(2, count, 3, config.crop, config.crop, generator=rng, dtype=torch.float64) * 2 - 1
    uniforms = build.uniforms(config)
    return *pictures, Sampler(9, 9, count, 32, config.crop, 3, 1, uniforms=uniforms).epoch(0).at(0)


@pytest.mark.parametrize("side", ["A", "B"])
def test_the_objective_and_its_gradient_are_those_of_its_equation(side):
    config, step = double_step()
    real_a, real_b, draws = drawn(config)
    source, target = (real_a, real_b) if side == "A" else (real_b, real_a)
    network, judge = getattr(step.nets, f"G_{side}"), getattr(step.nets, f"D_{side}")
    translated = step._translate(side, source, target, draws)
    ours = {k: v for part in step._objective(side, translated, source, target, draws) for k, v in part.items()}
    sum(ours.values()).backward()
    weights = {name: p.detach().clone().requires_grad_() for name, p in network.named_parameters()}
    rows = draws.uniform[:4] if side == "A" else draws.uniform[4:]
    theirs = objective(weights, dict(judge.named_parameters()), source, target, rows, 0.3, 4.0)
    sum(theirs.values()).backward()
    for name, value in theirs.items():
        assert ours[f"{name}_{side}"].item() == pytest.approx(value.item(), rel=1e-9), name
        assert value.item() > 1e-3
    for name, parameter in network.named_parameters():
        scale = weights[name].grad.abs().max()
        torch.testing.assert_close(parameter.grad, weights[name].grad, rtol=1e-7, atol=float(scale) * 1e-9)


@pytest.mark.parametrize("options", [{}, {"generator": "affine", "halvings": 2}], ids=["resnet", "affine"])
def test_low_memory_takes_the_same_step(options):
    results = []
    for low in (False, True):
        config, step = double_step(low_memory=low, **options)
        values = step(*drawn(config))
        results.append((values, [p.detach().clone() for p in step.nets.parameters()]))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-10, atol=0)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-12)


def test_strengths_of_the_path_stay_within_it():
    last, first = santa.interval(torch.tensor([0.0, 0.5, 0.999]), torch.tensor([0.0, 1.0, 0.5]))
    torch.testing.assert_close(last, torch.tensor([0.05, 0.6, 1.0]))
    torch.testing.assert_close(first, torch.tensor([0.0, 0.4, 0.924]))
    ends = [(torch.full((3, 1, 2, 2), 2.0), torch.ones(3, 1, 2, 2))]
    energies = [1 / 0.1**2, 1 / 0.2**2, 1 / 0.1**2]  # what is nearer than 0.1 counts as 0.1
    assert santa.path_energy(ends, last - first).item() == pytest.approx(sum(energies) / 3)


def test_noise_is_normal_and_follows_from_its_key_alone():
    several, alone = normal(torch.tensor([3, 77]), (5, 40, 41)), normal(torch.tensor([77]), (5, 40, 41))
    assert torch.equal(several[1:], alone)
    from scipy.stats import kstest

    for one in several:
        assert kstest(one.flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(float((several[0] * several[1]).mean())) < 0.05
    neighbours = (several[..., 1:] * several[..., :-1]).mean(), (several[:, :, 1:] * several[:, :, :-1]).mean()
    assert max(map(abs, map(float, neighbours))) < 0.05


def test_settings_of_one_method_are_refused_elsewhere():
    with pytest.raises(BamkitError, match="lambda_path is a setting of santa"):
        TrainConfig(lambda_path=0.1)
    with pytest.raises(BamkitError, match="lambda_a is a setting of cyclegan"):
        TrainConfig(method="santa", lambda_a=3.0)
    with pytest.raises(BamkitError, match="no unet generator"):
        settings.build("small", None, {"method": "santa", "generator": "unet"})
    assert settings.build("quick", None, {"method": "santa"}).lambda_path == 0.01
    assert "lambda_path" not in TrainConfig().as_dict(), "runs of before keep their ids"


# ---------------------------------------------------------------- pictures at a strength


def turned(config, seed=0):
    """A generator on which a strength has a visible effect."""
    made = network(config, seed)
    with torch.no_grad():
        for turn in made.turns:
            turn.weight.mul_(3)
    return made


@BOTH
def test_tiles_give_the_untiled_result_at_every_strength(config, monkeypatch):
    made, pixels = turned(config), picture(72, 88)
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].double() / 127.5 - 1
    run = getattr(tiled_networks, f"run_{config.generator}")
    seen = []
    for strength in (0.0, 0.3, 1.0):
        whole = turned(config).double()(x, torch.tensor([strength], dtype=torch.float64))[0]
        tiles = []
        monkeypatch.setattr(
            tiled_networks,
            "to_uint8",
            lambda values, tiles=tiles: (tiles.append(values), tiling.to_uint8(values.clone()))[1],
        )
        weights = public_layout.weights(made) | modulations(made.double(), strength)
        made.float()
        run(pixels, weights, tiling.Store(dtype=torch.float64), 32)
        parts = iter(tiles)
        for top, left in itertools.product(range(0, 72, 32), range(0, 88, 32)):
            part = next(parts)
            there = whole[:, top : top + part.shape[1], left : left + part.shape[2]]
            assert (part - there).abs().max() < 1e-10
        seen.append(whole)
    assert (seen[1] - seen[0]).abs().mean() > 0.01
    assert (seen[2] - seen[1]).abs().mean() > 0.01


@BOTH
def test_a_generator_without_a_strength_goes_the_whole_way_and_batches_agree(config):
    made = turned(config)
    x = torch.rand(3, 3, 32, 40) * 2 - 1
    assert torch.equal(made(x), made(x, torch.ones(1)))
    alone = torch.cat([made(one[None], torch.tensor([t])) for one, t in zip(x, (0.0, 0.4, 1.0), strict=True)])
    torch.testing.assert_close(made(x, torch.tensor([0.0, 0.4, 1.0])), alone, rtol=0, atol=1e-5)


def write_santa(root, config=RESNET, name="happy-scary"):
    run, nets = root / "runs" / name, {"a_to_b": turned(config, 3), "b_to_a": turned(config, 4)}
    about = {"run_id": "s1", "name": name, "config": {**config.as_dict(), "size": 24}}
    about |= {"from": {"name": "happy", "split_id": "id-happy"}, "to": {"name": "scary", "split_id": "id-scary"}}
    (run / "checkpoints").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps(about))
    state = {"generators": {key: net.state_dict() for key, net in nets.items()}, "config": about["config"]}
    checkpoint.write(checkpoint.path_of(run, 3), {**state, "names": ["happy", "scary"], "run_id": "s1", "step": 3})
    return run, nets


@pytest.fixture
def workspace(tmp_path):
    for name, first in (("happy", 11), ("scary", 21)):
        write_split(tmp_path, name, "test", [first, first + 1])
    write_santa(tmp_path)
    return tmp_path


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_translations_of_different_strengths_are_never_taken_for_each_other(workspace, bamkit):
    bamkit("translate --direction happy-to-scary", cwd=workspace)
    bamkit("translate --direction happy-to-scary --strength 0.3", cwd=workspace)
    folders = sorted(path.name for path in (workspace / "translations").iterdir())
    assert folders == ["happy-scary", "happy-scary-strength-0.3"]
    whole, part = (next((workspace / "translations" / name).rglob("happy-to-scary/*.png")) for name in folders)
    assert (read_about(whole)["strength"], read_about(part)["strength"]) == (1.0, 0.3)
    assert not np.array_equal(pixels_of(whole), pixels_of(part))
    with Image.open(part) as image:
        assert "strength 0.3" in image.info["XML:com.adobe.xmp"]
        assert "bamkit SANTA, run happy-scary" in image.info["XML:com.adobe.xmp"]
    again = bamkit("translate --direction happy-to-scary --strength 1", cwd=workspace)
    assert "2 were there already" in again.output
    other = bamkit(
        "translate --direction happy-to-scary --strength 0.4 --output translations/happy-scary-strength-0.3",
        cwd=workspace,
        code=3,
    ).output
    assert "is not empty" in other
    forced = bamkit(
        "translate --direction happy-to-scary --strength 0.4 --force --output translations/happy-scary-strength-0.3",
        cwd=workspace,
    )
    assert "2 pictures translated" in forced.output, "nothing of another strength is kept"


def test_evaluation_tells_the_strength_and_a_stale_one_how_to_renew_it(workspace, bamkit):
    bamkit("translate --strength 0.3", cwd=workspace)
    shown = bamkit("evaluate happy-scary-strength-0.3 --json", cwd=workspace).output
    assert json.loads(shown)["strength"] == 0.3
    page = (workspace / "reports" / "evaluate-happy-scary-strength-0.3" / "index.html").read_text()
    assert "Strength: 0.3." in page
    about = workspace / "runs" / "happy-scary" / "run.json"
    about.write_text(about.read_text().replace('"s1"', '"s2"'))
    stale = bamkit("evaluate happy-scary-strength-0.3", cwd=workspace, code=3).output
    assert "bamkit translate happy-scary --strength 0.3 --force" in stale


def test_from_python_and_a_file(workspace, bamkit):
    pytest.importorskip("safetensors")
    run = library.Run(workspace / "runs" / "happy-scary")
    given = picture(40, 56)
    some = run.translate(given, strength=0.3)
    assert not np.array_equal(some, run.translate(given))
    assert np.array_equal(run.translate(given), run.translate(given, strength=1))
    expected = Translator(turned(RESNET, 3), torch.device("cpu"), strength=0.3)([given])[0]
    assert np.array_equal(some, expected)
    Image.fromarray(given).save(workspace / "given.png")
    export.export_run(run.path, "safetensors", workspace / "out", direction="happy-to-scary")
    words = "--input given.png --strength 0.3"
    bamkit(f"translate happy-scary {words} --direction happy-to-scary --output one.png", cwd=workspace)
    bamkit(f"translate --weights out/happy-to-scary.safetensors {words} --output two.png", cwd=workspace)
    assert np.array_equal(pixels_of(workspace / "one.png"), some)
    assert np.array_equal(pixels_of(workspace / "two.png"), some)


def test_a_strength_is_refused_where_there_is_none(tmp_path, bamkit):
    from test_translate import write_run

    write_split(tmp_path, "happy", "test", [11])
    write_split(tmp_path, "scary", "test", [21])
    run = write_run(tmp_path)
    said = bamkit("translate --strength 0.5", cwd=tmp_path, code=3).output
    assert "this generator has no strength" in said
    assert "--method santa" in said
    assert not (tmp_path / "translations").exists()
    assert "strength" not in read_about_after(bamkit, tmp_path)
    with pytest.raises(BamkitError, match="no strength"):
        library.Run(run).translate(picture(24, 24), strength=0.5)
    assert "not in the range 0<=x<=1" in bamkit("translate --strength 1.5", cwd=tmp_path, code=2).output


def read_about_after(bamkit, root):
    bamkit("translate", cwd=root)
    return read_about(next((root / "translations").rglob("happy-to-scary/*.png")))


# ---------------------------------------------------------------- other programs


@BOTH
def test_torchscript_and_safetensors_keep_the_strength(tmp_path, config):
    pytest.importorskip("safetensors")
    run, nets = write_santa(tmp_path, config)
    for to in ("torchscript", "safetensors"):
        export.export_run(run, to, tmp_path / to)
    script = torch.jit.load(tmp_path / "torchscript" / "happy-to-scary.pt")
    read = export.load_public(tmp_path / "safetensors" / "happy-to-scary.safetensors")
    assert weights_id(read) == weights_id(nets["a_to_b"])
    assert public_layout.config_of(read) == config
    for shape, strength in itertools.product(((1, 3, 64, 64), (2, 3, 32, 48)), (0.0, 0.3, 1.0)):
        x, t = torch.rand(*shape) * 2 - 1, torch.tensor([strength])
        expected = nets["a_to_b"](x, t)
        torch.testing.assert_close(script(x, t), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(read(x, t), expected, rtol=0, atol=1e-6)
    assert "a second input, `strength`" in " ".join(
        (tmp_path / "safetensors" / "README.md").read_text().lower().split()
    )
    assert "[1]" in json.loads((tmp_path / "safetensors" / "bamkit-export.json").read_text())["strength"]


@pytest.mark.parametrize("config", [RESNET, pytest.param(AFFINE, marks=pytest.mark.slow)], ids=["resnet", "affine"])
def test_onnx_has_a_second_input(tmp_path, config):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    run, nets = write_santa(tmp_path, config)
    export.export_run(run, "onnx", tmp_path / "out", direction="scary-to-happy")
    session = runtime.InferenceSession(tmp_path / "out" / "scary-to-happy.onnx", providers=["CPUExecutionProvider"])
    assert [(one.name, one.shape[-1]) for one in session.get_inputs()][1] == ("strength", 1)
    assert session.get_modelmeta().custom_metadata_map["strength"] == "0..1"
    for shape, strength in itertools.product(((1, 3, 64, 64), (3, 3, 32, 112)), (0.0, 0.3, 1.0)):
        x, t = torch.rand(*shape) * 2 - 1, torch.tensor([strength])
        (found,) = session.run(None, {"picture": x.numpy(), "strength": t.numpy()})
        assert np.abs(found - nets["b_to_a"](x, t).numpy()).max() < 1e-4


def test_the_public_format_is_refused_with_its_reason(workspace, bamkit):
    said = bamkit("export happy-scary --to cyclegan", cwd=workspace, code=3).output
    assert "have no strength, so that its format cannot hold this run" in said
