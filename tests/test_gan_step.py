"""One training step: agreement with the public implementation, with numbers of our own, and with itself."""

import ast
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import gan_parts
import numpy as np
import pytest
import torch

from bamkit.gan.train import losses
from bamkit.gan.train.augment import augment
from bamkit.gan.train.data.loader import unit
from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.image_pool import ImagePool
from bamkit.gan.train.methods.base import Networks
from bamkit.gan.train.methods.cyclegan import Step
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.train.networks import cyclegan, public_layout
from bamkit.gan.train.networks.normalisation import normalise
from bamkit.gan.train.random_draws import RandomDraws, Sampler
from bamkit.gan.train.schedule import Schedule, rate_factor
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.translate.generator import Translator
from bamkit.gan.translate.tiling import to_uint8

PARITY = Path(os.environ.get("BAMKIT_PARITY", Path(__file__).parent / "data"))
NUMBERS = Path(__file__).parent / "data" / "gan_steps.json"
LOSSES = METHODS["cyclegan"].losses
NO_DRAWS = RandomDraws(*[None] * 13)
NAMES = ("G_A", "G_B", "D_A", "D_B")


def fill(network, arrays):
    """Set every convolution's weight and bias, in order, from (weight, bias) arrays; biases may be None."""
    with torch.no_grad():
        for (_, conv), (weight, bias) in zip(cyclegan.convolutions(network), arrays, strict=True):
            conv.weight.copy_(torch.from_numpy(weight))
            if conv.bias is not None:
                conv.bias.copy_(torch.from_numpy(bias)) if bias is not None else conv.bias.zero_()


FLAT = np.full((200, 200, 3), (245, 240, 230), np.uint8)
FLAT[10:16, 8:30] = (230, 225, 215)
"""A picture as flat as posters are: one light colour, and a small patch of a slightly darker one."""


def double_step(arrays, acceleration=None, **settings):
    config = gan_parts.tiny(**{"pool": 0, **settings})
    nets = Networks(config).double()
    for name in NAMES if arrays else ():
        fill(getattr(nets, name), arrays[name])
    (acceleration or Acceleration()).prepare(nets)
    return Step(nets, config, acceleration or Acceleration())


CASES = sorted(PARITY.glob("cyclegan*.npz"))
OPTIONS = {
    "ngf": "width", "ndf": "discriminator_width", "lambda_A": "lambda_a", "lambda_B": "lambda_b", "lr": "learning_rate",
    "lambda_identity": "lambda_identity", "beta1": "beta1",
}  # fmt: skip
"""Options of the public code, and what they are called here."""


def parity_settings(options, batch):
    """The settings of TrainConfig for a case's `settings`. Fails for an option that is not known."""
    settings = {"width": 64, "discriminator_width": 64, "blocks": 9, "batch": batch}
    for name, value in options.items():
        if name == "netG":
            kind, number = re.fullmatch(r"(resnet|unet)_(\d+)(?:blocks)?", value).groups()
            unet = {"generator": "unet", "halvings": int(number).bit_length() - 1, "crop": 0, "size": 0}
            settings |= unet if kind == "unet" else {"blocks": int(number)}
        elif name == "gan_mode":
            settings["objective"] = {"lsgan": "lsgan", "vanilla": "log-likelihood"}[value]
        elif name in OPTIONS:
            settings[OPTIONS[name]] = value
        elif name not in ("mode", "size", "batch", "pool_size"):  # the first steps pass through a pool
            pytest.fail(f"no setting for the option {name}")
    return settings


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_agrees_with_the_public_implementation(path):
    """Three steps in float64 of every case in a folder, BAMKIT_PARITY, with the options in the case's `settings`."""
    known = np.load(path)
    options = ast.literal_eval(str(known["settings"]))
    step = double_step(None, **parity_settings(options, len(known["step0/real_A"])))
    for name in NAMES:
        network = getattr(step.nets, name)
        public = dict(public_layout.names(network))
        keys = [f"{name}/{public[ours]}" for ours, _ in cyclegan.convolutions(network)]
        fill(network, [(known[f"{key}.weight"], known[f"{key}.bias"]) for key in keys])
    order = [LOSSES.index(n) for n in known["loss_names"]]
    for i in range(len(known["losses"])):
        tolerance = (1e-9, 1e-7, 1e-6)[min(i, 2)]
        real_a, real_b = (torch.from_numpy(known[f"step{i}/real_{d}"]).double() for d in "AB")
        with torch.no_grad():
            fake_b = step.nets.G_A(real_a)
            rec_a = step.nets.G_B(fake_b)
        np.testing.assert_allclose(fake_b, known[f"step{i}/fake_B"], atol=tolerance)
        np.testing.assert_allclose(rec_a, known[f"step{i}/rec_A"], atol=tolerance)
        found = step(real_a, real_b, NO_DRAWS)
        np.testing.assert_allclose(found[order], known["losses"][i], rtol=tolerance)
        norms = [torch.stack([p.grad.norm() for p in getattr(step.nets, n).parameters()]).norm().item() for n in NAMES]
        np.testing.assert_allclose(norms, known[f"step{i}/grad_norm"], rtol=tolerance)
    after = torch.from_numpy(known["after/input"]).double()
    with torch.no_grad():
        np.testing.assert_allclose(step.nets.G_A(after), known["after/G_A(input)"], atol=1e-6)
        np.testing.assert_allclose(step.nets.D_A(after), known["after/D_A(input)"], atol=1e-6)


def own_case():
    """Tiny networks and batches from numpy, the same for the baseline and for bamkit."""
    nets = Networks(gan_parts.tiny(blocks=2))
    arrays = {name: gan_parts.numpy_weights(getattr(nets, name), i) for i, name in enumerate(NAMES)}
    rng = np.random.Generator(np.random.PCG64(7))
    batches = [[torch.from_numpy(rng.uniform(-1, 1, (2, 3, 32, 40))) for _ in "AB"] for _ in range(3)]
    return arrays, batches


def baseline_losses():
    """What benchmarks/baseline.py, which shares no code with bamkit.gan, makes of `own_case`."""
    arrays, batches = own_case()
    peer = gan_parts.baseline().Baseline(4, 2, 4, dtype=torch.float64, pool=0)
    for name, network in zip(NAMES, peer.networks(), strict=True):
        fill(network, arrays[name])
    return [peer.step(*batch) for batch in batches]


def test_agrees_with_the_committed_numbers():
    known = json.loads(NUMBERS.read_text())["losses"]
    for ours, theirs in zip(baseline_losses(), known, strict=True):
        for name, value in theirs.items():
            assert ours[name] == pytest.approx(value, rel=1e-9), f"the baseline's {name}"
    arrays, batches = own_case()
    # Fused Adam holds its rate in float32.
    for acceleration, tolerance in (
        (Acceleration(), 1e-9),
        (Acceleration(merged=True), 1e-9),
        (Acceleration(fused_adam=True), 1e-6),
    ):
        for low_memory in (False, True):
            step = double_step(arrays, acceleration, blocks=2, batch=2, low_memory=low_memory)
            for batch, theirs in zip(batches, known, strict=True):
                found = dict(zip(LOSSES, step(*batch, NO_DRAWS).tolist(), strict=True))
                for name, value in theirs.items():
                    assert found[name] == pytest.approx(value, rel=tolerance), (name, acceleration)


def gradients(**settings):
    acceleration = settings.pop("acceleration", Acceleration())
    arrays, batches = own_case()
    step = double_step(arrays, acceleration, blocks=2, batch=2, **settings)
    step(*batches[0], NO_DRAWS)
    return [p.grad.clone() for n in NAMES for p in getattr(step.nets, n).parameters()]


@pytest.mark.parametrize("objective", ["lsgan", "log-likelihood"])
@pytest.mark.parametrize("identity", [0.5, 0.0])
def test_low_memory_merged_passes_and_channels_last_give_the_same_gradients(objective, identity):
    settings = {"objective": objective, "lambda_identity": identity}
    plain = gradients(**settings)
    nhwc = Acceleration(merged=True, channels_last=True)
    for other in (
        gradients(low_memory=True, **settings),
        gradients(acceleration=Acceleration(merged=True), **settings),
        gradients(acceleration=nhwc, **settings),
    ):
        for a, b in zip(plain, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    arrays, batches = own_case()
    step = double_step(arrays, blocks=2, batch=2)
    real_a, real_b = batches[0]

    def objective():
        parts = [value for part in step._objective(real_a, real_b, NO_DRAWS) for value in part.values()]
        return torch.stack(parts).sum()

    parameters = step.nets.G_A.stem.weight, step.nets.G_B.blocks[1].second.weight, step.nets.G_A.head.bias
    gan_parts.assert_gradients(objective, parameters, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 6, 9, 12), (1, 3, 4, 4)])
def test_normalise_is_instance_norm_with_right_gradients_in_every_memory_format(memory_format, shape):
    x = torch.randn(shape, dtype=torch.float64).to(memory_format=memory_format).requires_grad_()
    gradient = torch.randn(shape, dtype=torch.float64).to(memory_format=memory_format)
    y = normalise(x, "leaky")
    y.backward(gradient)
    z = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    mean, variance = z.mean((2, 3), keepdim=True), z.var((2, 3), correction=0, keepdim=True)
    expected = torch.nn.functional.leaky_relu((z - mean) / (variance + 1e-5).sqrt(), 0.2)
    expected.backward(gradient.contiguous())
    torch.testing.assert_close(y.contiguous(), expected)
    torch.testing.assert_close(x.grad.contiguous(), z.grad)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("gradient_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.0, 1e-3), (10.0, 1e-2)])
def test_normalise_is_right_in_float32_where_a_channel_hardly_varies(memory_format, gradient_format, mean, deviation):
    generator = torch.Generator().manual_seed(0)
    value = mean + deviation * torch.randn(2, 4, 48, 40, generator=generator)
    gradient = torch.randn(value.shape, generator=generator)
    x = value.clone(memory_format=memory_format).requires_grad_()
    y = normalise(x)
    y.backward(gradient.clone(memory_format=gradient_format))
    z = value.double().requires_grad_()
    expected = (z - z.mean((2, 3), keepdim=True)) / (z.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    expected.backward(gradient.double())
    assert (y.double() - expected).abs().max() < 4e-6
    assert (x.grad.double() - z.grad).norm() < 1e-6 * z.grad.norm()


def test_flat_art_is_translated_as_in_float64_whole_and_in_tiles():
    network = cyclegan.ResnetGenerator(8, 3)
    cyclegan.initialise(network, 0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)
    translator = Translator(network, torch.device("cpu"), tile=96)
    whole, tiled = translator.whole([FLAT])[0], translator.tiled(FLAT)
    pixels = torch.from_numpy(FLAT).permute(2, 0, 1)[None].double() / 127.5 - 1
    exact = to_uint8(network.double()(pixels))[0].permute(1, 2, 0).numpy().astype(int)
    assert np.ptp(exact) > 50
    assert abs(whole - exact).max() <= 1
    assert abs(tiled - exact).max() <= 1


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (245, 240, 230), (13, 77, 201)])
@pytest.mark.parametrize("tile", [32, 96])
def test_one_colour_becomes_one_colour_whole_and_in_tiles(colour, tile):
    """Every norm gives exactly 0 there; a mean that is one rounding off would grow 300-fold in each layer."""
    network = cyclegan.ResnetGenerator(4, 2)
    cyclegan.initialise(network, 1)
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([0.3, -0.4, 0.1]))
    translator = Translator(network, torch.device("cpu"), tile=tile)
    picture = np.full((64, 64, 3), colour, np.uint8)
    expected = to_uint8(torch.tanh(network.head.bias)).tolist()
    for made in (translator.whole([picture])[0], translator.tiled(picture)):
        assert np.unique(made.reshape(-1, 3), axis=0).tolist() == [expected]


@pytest.mark.parametrize("channels_last", [False, True])
def test_gradients_on_flat_art_are_those_of_float64(channels_last):
    def gradients(dtype):
        nets = Networks(gan_parts.tiny(blocks=2)).to(dtype)
        acceleration = Acceleration(merged=True, channels_last=channels_last)
        acceleration.prepare(nets)
        step = Step(nets, gan_parts.tiny(blocks=2, pool=0), acceleration)
        pictures = torch.from_numpy(np.stack([FLAT[:64, :64], FLAT[63::-1, :64]]))  # neither wholly of one colour
        real_a, real_b = (unit(x[None], dtype, channels_last=channels_last) for x in pictures)
        step(real_a, real_b, NO_DRAWS)
        return torch.cat([p.grad.double().flatten() for p in nets.parameters()])

    exact = gradients(torch.float64)
    assert (gradients(torch.float32) - exact).norm() < 1e-3 * exact.norm()


def test_black_and_white_keep_a_gradient_in_bfloat16():
    """tanh(3.5) is 1 in bfloat16, which would leave no gradient; in float32 it is 0.0036."""
    for network in (cyclegan.ResnetGenerator(2, 1), cyclegan.UnetGenerator(2, 2)):
        last = network.head if isinstance(network, cyclegan.ResnetGenerator) else network.up[0]
        with torch.no_grad():
            last.weight.zero_()
            last.bias.fill_(3.5)
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.zeros(1, 3, 8, 8)).mean().backward()
        assert last.bias.grad.tolist() == pytest.approx([0.00364 / 3] * 3, rel=0.05)


@pytest.mark.parametrize("low_memory", [False, True])
def test_gradients_are_not_computed_under_autocast(low_memory, monkeypatch):
    seen = []
    original = torch.Tensor.backward
    monkeypatch.setattr(
        torch.Tensor, "backward", lambda x: (seen.append(torch.is_autocast_enabled("cpu")), original(x))[1]
    )
    config = gan_parts.tiny(pool=0, low_memory=low_memory)
    Step(Networks(config), config, Acceleration(bf16=True))(*[torch.zeros(1, 3, 28, 28) for _ in "AB"], NO_DRAWS)
    assert seen == [False] * (6 if low_memory else 3)


def test_bfloat16_normalisation_keeps_float32_statistics():
    x = 100 + torch.randn(1, 4, 64, 64)
    error = (normalise(x.bfloat16()).float() - normalise(x.bfloat16().float())).abs().max()
    assert error < 0.02


def test_bfloat16_step_stays_near_float32():
    config = gan_parts.tiny(batch=2, pool=0)
    batch = [torch.rand(2, 3, 28, 28) * 2 - 1 for _ in "AB"]
    found = [
        Step(Networks(config), config, acceleration)(*batch, NO_DRAWS)
        for acceleration in (Acceleration(), Acceleration(bf16=True))
    ]
    torch.testing.assert_close(found[0][:8], found[1][:8], rtol=0.03, atol=0.02)


def test_generator_step_leaves_the_discriminators_alone():
    config = gan_parts.tiny(pool=0)
    step = Step(Networks(config), config, Acceleration())
    step.set_rate(0.0)
    batch = [torch.rand(1, 3, 28, 28) for _ in "AB"]
    before = {name: value.clone() for name, value in step.nets.state_dict().items()}
    step(*batch, NO_DRAWS)
    for name, value in step.nets.state_dict().items():
        assert torch.equal(before[name], value), name
    step.optimizers["generators"].param_groups[0]["lr"] = 0.01
    step(*batch, NO_DRAWS)
    after = step.nets.state_dict()
    assert {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])} == {"G_A", "G_B"}


def test_learning_rate_is_the_public_codes():
    factors = [rate_factor(e) for e in range(1, 201)]
    assert factors[:100] == [1.0] * 100
    assert factors[100] == pytest.approx(1 - 1 / 101)
    assert factors[199] == pytest.approx(1 / 101)
    by_epochs = Schedule(TrainConfig(), 1000)
    assert by_epochs.total == 200_000
    assert [by_epochs.factor(s) for s in (0, 99_999, 100_000, 199_999)] == [1.0, 1.0, factors[100], factors[199]]
    stretched = Schedule(TrainConfig(steps=400), 1000)
    assert [stretched.factor(s) for s in (199, 200, 201, 202, 399)] == [
        1.0, factors[100], factors[100], factors[101], factors[199],
    ]  # fmt: skip


def test_pool_passes_through_until_full_and_swaps_afterwards():
    sampler = Sampler(40, 40, 2, 32, 28, 5, 0)
    pool, seen, shown = ImagePool(5, 1, 1, torch.device("cpu"), torch.float64), [], []
    for epoch in range(3):
        draws = sampler.epoch(epoch)
        for i in range(sampler.steps_per_epoch):
            d = draws.at(i)
            new = torch.arange(2, dtype=torch.float64) + 2 * (epoch * sampler.steps_per_epoch + i)
            fakes = new.reshape(2, 1, 1, 1).expand(2, 3, 1, 1)
            seen += new.tolist()
            shown += pool.exchange(fakes, d.slot_a, d.swap_a)[:, 0, 0, 0].tolist()
    assert shown[:5] == seen[:5], "until it is full every fake is shown"
    assert all(s in seen[: i + 1] for i, s in enumerate(shown)), "only fakes that were made before are shown"
    share = np.mean([a != b for a, b in zip(shown[5:], seen[5:], strict=True)])
    assert 0.35 < share < 0.65
    assert max(shown.count(s) for s in set(shown)) <= 2, "a fake swapped out of the pool has left it"


def test_plan_depends_on_seed_and_epoch_alone_and_is_shared_out():
    sampler = Sampler(7, 5, 3, 32, 28, 4, 1, diffaug=True)
    assert sampler.steps_per_epoch == 3
    again, other = sampler.epoch(4), sampler.epoch(5)
    assert torch.equal(sampler.epoch(4).index_a, again.index_a)
    assert not torch.equal(again.index_a, other.index_a)
    assert sorted(again.index_a.flatten()[:7].tolist()) == list(range(7)), "one pass over the larger domain"
    assert int(again.index_b.max()) < 5
    assert 0 <= int(again.corner_a.min()) <= int(again.corner_a.max()) <= 4
    joint = Sampler(7, 5, 4, 32, 28, 4, 1).epoch(0)
    halves = [Sampler(7, 5, 2, 32, 28, 4, 1, rank=rank, world=2).epoch(0) for rank in (0, 1)]
    for name in ("index_a", "index_b", "corner_b", "flip_a"):
        assert torch.equal(torch.cat([getattr(h, name) for h in halves], dim=1), getattr(joint, name)), name
    assert halves[0].slot_a[:2].tolist() == [[0, 1], [2, 3]] == halves[1].slot_a[:2].tolist(), "each its own pool"


def test_differentiable_augmentation_changes_and_lets_gradients_through():
    x = torch.rand(4, 3, 16, 16, dtype=torch.float64).requires_grad_()
    draws = torch.rand(4, 7)
    y = augment(x, draws)
    assert y.shape == x.shape
    assert not torch.allclose(x, y)
    y.sum().backward()
    assert x.grad.abs().sum() > 0
    still = torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.5, 2.0, 2.0]])
    torch.testing.assert_close(augment(x[:1], still), x[:1])
    assert torch.autograd.gradcheck(lambda z: augment(z, draws[:1]), x[:1, :, :6, :6].detach().requires_grad_())


def test_augmented_and_averaged_training_runs():
    config = gan_parts.tiny(diffaug=True, ema=0.5, batch=2)
    nets = Networks(config)
    averages = [p.clone().detach() for p in nets.generators()]
    sampler = Sampler(6, 6, 2, 32, 28, 3, 0, diffaug=True)
    step = Step(nets, config, Acceleration(), averages=averages)
    start = [p.clone().detach() for p in nets.generators()]
    step(*[torch.rand(2, 3, 28, 28) for _ in "AB"], sampler.epoch(0).at(0))
    for average, first, now in zip(averages, start, nets.generators(), strict=True):
        torch.testing.assert_close(average, (first + now.detach()) / 2)


def test_networks_have_the_published_size():
    # The public networks' numbers, less the biases that a norm cancels.
    assert cyclegan.parameters(cyclegan.ResnetGenerator()) == 11_378_179 - 5_248
    assert cyclegan.parameters(cyclegan.PatchDiscriminator()) == 2_764_737 - 896
    assert cyclegan.PatchDiscriminator(8)(torch.zeros(1, 3, 70, 70)).shape == (1, 1, 6, 6)
    unet = cyclegan.generator(TrainConfig(generator="unet", halvings=5, crop=64))
    assert unet(torch.zeros(2, 3, 64, 32)).shape == (2, 3, 64, 32)


def test_initial_weights_are_normal_and_depend_on_the_seed():
    nets = Networks(gan_parts.tiny(width=16))
    weight = nets.G_A.blocks[0].first.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not torch.equal(weight, nets.G_B.blocks[0].first.weight)
    assert torch.equal(weight, Networks(gan_parts.tiny(width=16)).G_A.blocks[0].first.weight)
    assert not torch.equal(weight, Networks(gan_parts.tiny(width=16, seed=1)).G_A.blocks[0].first.weight)
    assert nets.G_A.head.bias.abs().max() == 0


def test_accuracy_and_objectives():
    real, fake = torch.tensor([0.9, 0.6, 0.1, 0.7]), torch.tensor([0.2, 0.8, 0.1, 0.3])
    assert losses.accuracy(real, fake).item() == pytest.approx(0.75)
    assert losses.adversarial(real, True).item() == pytest.approx(((1 - real) ** 2).mean().item())
    expected = -torch.log(1 - torch.sigmoid(fake)).mean().item()
    assert losses.adversarial(fake, False, "log-likelihood").item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["unet", "affine"])
def test_unets_train(kind):
    config = gan_parts.tiny(generator=kind, halvings=3, crop=24, pool=0)
    step = Step(Networks(config), replace(config), Acceleration())
    batch = [torch.rand(1, 3, 24, 24) for _ in "AB"]
    first = step(*batch, NO_DRAWS)
    for _ in range(12):
        last = step(*batch, NO_DRAWS)
    assert last[LOSSES.index("cycle_A")] < first[LOSSES.index("cycle_A")]


def test_the_examples_of_the_public_networks():
    import doctest

    from bamkit import networks

    found = doctest.testmod(networks, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 5
    assert not found.failed
    assert all(f"networks.{name}" in networks.__doc__ for name in networks.__all__)
