"""The methods beside CycleGAN: agreement with the public code, with their equations in plain loops, with themselves."""

import ast
import itertools
import math
import os
from pathlib import Path

import gan_parts
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bamkit.common.errors import BamkitError
from bamkit.gan.train import losses, memory, settings
from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.methods import build, cut
from bamkit.gan.train.networks import cyclegan, public_layout
from bamkit.gan.train.random_draws import RandomDraws, Sampler, different

PARITY = Path(os.environ.get("BAMKIT_PARITY", Path(__file__).parent / "data"))
CASES = sorted([*PARITY.glob("cut*.npz"), *PARITY.glob("fastcut*.npz")])


def native_norm(x, activation="none", pad=0):
    """Instance norm as the public code calls it. On a CPU its gradient is wrong where it arrives in channels_last."""
    h = F.instance_norm(x)
    h = F.relu(h) if activation == "relu" else F.leaky_relu(h, 0.2) if activation == "leaky" else h
    return F.pad(h, (pad,) * 4, mode="reflect") if pad else h


def normalised_layers(network, x):
    """The features of the public layers 6 and 9: the downsampling convolutions behind norm and ReLU."""
    image, first, second, *blocks = network.encode(x)
    return [image, native_norm(first, "relu"), native_norm(second, "relu"), *blocks]


def public_step(known, options):
    """A step in float64 with the weights of a case, the first layer being the padded picture as in the public code."""
    fast, bare = options["mode"] == "FastCUT", 2 if "4,7" in options["nce_layers"] else 0
    config = gan_parts.tiny(
        method="cut", fastcut=fast, width=options["ngf"], discriminator_width=options["ndf"], blocks=9, size=64, crop=64
    )
    nets, channels = build.networks(config), [count for count, _ in cut.layers(config)]
    nets.F_A, nets.F_B = (cut.Heads(channels, bare, options["netF_nc"]) for _ in "AB")
    nets.double()
    wanted = {f"mlp_{i}.{j}": head[j] for i, head in enumerate(nets.F_A.layers) for j in (0, 2)}
    layers = [(f"F/{name}", layer) for name, layer in wanted.items()]
    for name, network in (("G", nets.G_A), ("D", nets.D_A)):
        public = dict(public_layout.names(network))
        layers += [(f"{name}/{public[ours]}", conv) for ours, conv in cyclegan.convolutions(network)]
    with torch.no_grad():
        for name, layer in layers:
            layer.weight.copy_(torch.from_numpy(known[f"{name}.weight"]))
            if layer.bias is not None:
                layer.bias.copy_(torch.from_numpy(known[f"{name}.bias"]))
    step = cut.Step(nets, config, Acceleration())
    encode = step.encode if bare else normalised_layers
    step.encode = lambda network, x: [F.pad(x, (3,) * 4, mode="reflect"), *encode(network, x)[1:]]
    return step


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_agrees_with_the_public_contrastive_code(path, monkeypatch):
    """Three steps in float64 of every case in a folder, BAMKIT_PARITY."""
    monkeypatch.setattr(cyclegan, "normalise", native_norm)
    known = np.load(path)
    options = ast.literal_eval(str(known["settings"]))
    step, share = public_step(known, options), 1 if options["mode"] == "FastCUT" else 2
    nets = step.nets
    for i in range(len(known["losses"])):
        real_a, real_b = (torch.from_numpy(known[f"step{i}/real_{side}"]).double() for side in "AB")
        places = [torch.from_numpy(known[f"step{i}/patches{j}"]) for j in range(5 * share)]
        chosen = [places[start : start + 5] for start in range(0, len(places), 5)]
        monkeypatch.setattr(step, "chosen_places", lambda side, draws, chosen=chosen: chosen)
        uniform = torch.full((2, 1), 0.0 if known[f"step{i}/flipped"] else 1.0)
        draws = RandomDraws(*[None] * 11, uniform=uniform, key=None)
        with torch.no_grad():
            seen = real_a.flip(3) if known[f"step{i}/flipped"] else real_a
            np.testing.assert_allclose(nets.G_A(seen), known[f"step{i}/fake_B"], atol=1e-12)
        found = dict(zip(step.losses, step(real_a, real_b, draws).tolist(), strict=True))
        theirs = dict(zip(known["loss_names"], known["losses"][i], strict=True))
        ours = [found["G_A"], share * found["nce_A"], share * found["nce_idt_A"], 2 * found["D_A"]]
        expected = [theirs["G_GAN"], theirs["NCE"], theirs["NCE_Y"], theirs["D_real"] + theirs["D_fake"]]
        np.testing.assert_allclose(ours, expected, rtol=1e-12)
        groups = [[*nets.G_A.parameters(), *nets.F_A.offsets], nets.D_A.parameters(), nets.F_A.layers.parameters()]
        norms = [torch.stack([p.grad.norm() for p in group]).norm().item() for group in groups]
        np.testing.assert_allclose(norms, known[f"step{i}/grad_norm"], rtol=1e-11)
    with torch.no_grad():
        after = nets.G_A(torch.from_numpy(known["after/input"]).double())
    np.testing.assert_allclose(after, known["after/G(input)"], atol=1e-12)


def made(acceleration=None, dtype=torch.float64, **changed):
    """A step with networks whose weights are large enough for features to differ, and a batch with its draws."""
    config = gan_parts.tiny(**{"method": "cut", "blocks": 2, "batch": 2, **changed})
    nets = build.networks(config).to(dtype)
    with torch.no_grad():
        for parameter in nets.parameters():
            parameter.mul_(4)
    acceleration = acceleration or Acceleration()
    acceleration.prepare(nets)
    rng = torch.Generator().manual_seed(5)
    batch = [(torch.rand(2, 3, 28, 28, generator=rng, dtype=torch.float64) * 2 - 1).to(dtype) for _ in "AB"]
    uniforms = build.uniforms(config)
    draws = Sampler(6, 6, 2, 32, 28, 0, 3, diffaug=config.diffaug, uniforms=uniforms).epoch(0).at(0)
    return build.step(nets, config, acceleration), batch, draws


def loops(query, key, temperature):
    """PatchNCE of one layer, from equation 1 of the paper, a place and a negative at a time; lists of lists."""
    total, count = 0.0, 0
    for q_picture, k_picture in zip(query, key, strict=True):
        for s, q in enumerate(q_picture):
            logits = [sum(x * y for x, y in zip(q, k, strict=True)) / temperature for k in k_picture]
            total -= logits[s] - math.log(math.fsum(math.exp(logit) for logit in logits))
            count += 1
    return total / count


def by_hand(step, side, source, target, chosen):
    """Both contrast terms of a direction in plain loops, each place through head and length by itself."""
    network, heads = getattr(step.nets, f"G_{side}"), getattr(step.nets, f"F_{side}")

    def vectors(x, layer, places):
        """[N][S] of unit vectors of one layer."""
        feature = network.encode(x)[layer]
        found = []
        for picture in feature:
            rows = []
            for place in places.tolist():
                y, x_ = divmod(place, picture.shape[2])
                patch = picture[:, y, x_]
                if 1 <= layer <= len(heads.offsets):
                    patch = patch + heads.offsets[layer - 1]
                first, second = heads.layers[layer][0], heads.layers[layer][2]
                hidden = [max(0.0, float(w @ patch + c)) for w, c in zip(first.weight, first.bias, strict=True)]
                out = [
                    float(w @ torch.tensor(hidden, dtype=w.dtype) + c)
                    for w, c in zip(second.weight, second.bias, strict=True)
                ]
                length = math.sqrt(sum(v * v for v in out)) + 1e-7
                rows.append([v / length for v in out])
            found.append(rows)
        return found

    terms = []
    for x, places in zip((source, target), chosen, strict=True):
        y = network(x)
        each = [
            loops(vectors(y, layer, p), vectors(x, layer, p), 0.07)
            for layer, p in enumerate(places)
        ]  # fmt: skip
        terms.append(sum(each) / len(each))
    return terms


@torch.no_grad()
def test_the_contrast_is_that_of_the_equations_in_plain_loops(monkeypatch):
    monkeypatch.setattr(cut, "PLACES", 3)
    monkeypatch.setattr(cut.Heads.__init__, "__defaults__", (0, 6))
    step, (real_a, real_b), draws = made(blocks=1)
    places = {side: step.chosen_places(side, draws) for side in "AB"}
    assert [[len(each) for each in layers] for layers in places["A"]] == [[3] * 4] * 2, "source and target, four layers"
    expected = {}
    for side, source, target in (("A", real_a, real_b), ("B", real_b, real_a)):
        expected[f"nce_{side}"], expected[f"nce_idt_{side}"] = by_hand(step, side, source, target, places[side])
    with torch.enable_grad():
        found = dict(zip(step.losses, step(real_a, real_b, draws).tolist(), strict=True))
    for name, value in expected.items():
        assert found[name] == pytest.approx(value / 2, rel=1e-9), name


def gradients(acceleration=None, **changed):
    """What a step returns, and the gradients of all weights by name."""
    step, batch, draws = made(acceleration, **changed)
    return step(*batch, draws), {name: p.grad.clone() for name, p in step.nets.named_parameters()}


@pytest.mark.parametrize("fastcut", [False, True])
@pytest.mark.parametrize("objective", ["lsgan", "log-likelihood"])
def test_low_memory_merged_passes_and_channels_last_give_the_same_gradients(fastcut, objective):
    changed = {"fastcut": fastcut, "objective": objective}
    values, plain = gradients(**changed)
    for other, found in (
        gradients(low_memory=True, **changed),
        gradients(Acceleration(merged=True), **changed),
        gradients(Acceleration(merged=True, channels_last=True), **changed),
    ):
        torch.testing.assert_close(other, values, rtol=1e-9, atol=1e-12)
        for name, gradient in plain.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("fastcut", [False, True])
def test_gradients_are_those_of_finite_differences(fastcut):
    """The source's features are held: they are computed once, before the weights are nudged."""
    step, (real_a, real_b), draws = made(Acceleration(merged=True), fastcut=fastcut)
    with torch.no_grad():
        held = step._translate("A", real_a, real_b, draws)

    def objective():
        translated = step._translate("A", real_a, real_b, draws)
        translated.key, translated.same_key = held.key, held.same_key
        parts = step._objective("A", translated, real_a, real_b, draws)
        return torch.stack([value for part in parts for value in part.values()]).sum()

    network = step.nets.G_A
    parameters = network.stem.weight, network.down[1].weight, network.blocks[1].second.weight, network.head.bias
    gan_parts.assert_gradients(objective, parameters, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("fastcut", [False, True])
def test_bfloat16_gradients_reach_every_weight(fastcut):
    """Autocast keeps weights that it has cast: cast first without a graph, they would get no gradient."""
    values, plain = gradients(Acceleration(merged=True), dtype=torch.float32, fastcut=fastcut)
    other, found = gradients(Acceleration(merged=True, bf16=True), dtype=torch.float32, fastcut=fastcut)
    torch.testing.assert_close(other, values, rtol=0.1, atol=0.1)
    for name, gradient in plain.items():
        assert torch.cosine_similarity(found[name].flatten(), gradient.flatten(), dim=0) > 0.5, name


def test_flat_pictures_give_finite_gradients():
    """Behind a norm a flat picture is 0 everywhere, and a vector of length 0 has no direction."""
    step, _, draws = made(dtype=torch.float32)
    flat = [torch.full((2, 3, 28, 28), value) for value in (0.0, 1.0)]
    assert step(*flat, draws).isfinite().all()
    assert all(p.grad.isfinite().all() for p in step.nets.parameters())


def test_both_directions_are_models_of_their_own():
    """What one direction learns from does not reach the other."""
    _, first = gradients()
    step, (real_a, real_b), draws = made()
    step(real_a, real_b, draws)
    once = {name: p.grad.clone() for name, p in step.nets.named_parameters()}
    step, (real_a, real_b), draws = made()
    with torch.no_grad():
        step.nets.G_B.stem.weight.mul_(2)
    step(real_a, real_b, draws)
    for name, p in step.nets.named_parameters():
        assert torch.equal(once[name], p.grad) == (name[2] == "A"), name
    assert all(torch.equal(first[name], once[name]) for name in once)


def test_places_are_different_from_each_other_as_likely_and_follow_from_the_key():
    keys = range(2**32 - 1000, 2**32 + 1000)
    chosen = torch.stack([different(torch.tensor(key), 5, 9) for key in keys])
    assert all(len(set(row)) == 5 for row in chosen.tolist())
    pairs = torch.zeros(9, 9)
    for row in chosen.tolist():
        for first, second in itertools.permutations(row, 2):
            pairs[first, second] += 1
    expected = 2000 * 5 * 4 / 72
    off = (pairs[~torch.eye(9, dtype=torch.bool)] - expected).abs().max()
    assert off < 5 * expected**0.5  # five standard deviations, in 72 cells
    assert torch.equal(different(torch.tensor(keys[7]), 5, 9), chosen[7])
    assert sorted(different(torch.tensor(3), 7, 7).tolist()) == list(range(7))


def test_what_a_method_draws_is_shared_by_processes_and_leaves_the_rest_as_it_is():
    draws = Sampler(8, 8, 2, 32, 28, 0, 1, uniforms=2).epoch(3)
    assert draws.uniform.shape == (4, 2, 2)
    assert len(set(draws.key.tolist())) == 4
    halves = [Sampler(8, 8, 1, 32, 28, 0, 1, rank=r, world=2, uniforms=2).epoch(3) for r in (0, 1)]
    assert all(torch.equal(half.key, draws.key) for half in halves)
    assert torch.equal(torch.cat([half.uniform for half in halves], dim=2), draws.uniform)
    plain = Sampler(8, 8, 2, 32, 28, 0, 1).epoch(3)
    assert all(torch.equal(getattr(plain, name), getattr(draws, name)) for name in ("index_a", "corner_b", "flip_a"))


def test_layers_are_those_of_the_paper():
    study = settings.TrainConfig(method="cut").fitted(286)
    assert cut.layers(study) == [(3, 256**2), (128, 128**2), (256, 64**2), (256, 64**2), (256, 64**2)]
    quick = settings.build("quick", None, {"method": "cut", "fastcut": True}).fitted(112)
    assert [places for _, places in cut.layers(quick)] == [96**2, 48**2, 24**2, 12**2, 6**2]
    step = build.step(build.networks(quick), quick, Acceleration())
    chosen = step.chosen_places("A", Sampler(8, 8, 2, 32, 28, 0, 1, uniforms=2).epoch(0).at(0))
    assert [[len(places) for places in layers] for layers in chosen] == [[256, 256, 256, 144, 36]]
    unet = settings.TrainConfig(method="cut", generator="unet").fitted(286)
    assert len(cut.layers(unet)) == 5


@pytest.mark.parametrize("kind", ["unet", "affine"])
def test_unets_train(kind):
    config = gan_parts.tiny(method="cut", generator=kind, halvings=3, crop=24)
    step = build.step(build.networks(config), config, Acceleration(merged=True))
    batch = [torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    draws = Sampler(6, 6, 1, 32, 24, 0, 0, uniforms=build.uniforms(config)).epoch(0)
    nce = [float(step(*batch, draws.at(i % 6))[step.losses.index("nce_A")]) for i in range(12)]
    assert nce[-1] < nce[0]


def test_heads_are_a_function_of_the_seed():
    first, again, other = (build.networks(gan_parts.tiny(method="cut", seed=seed)) for seed in (0, 0, 1))
    weight = first.F_A.layers[0][2].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert torch.equal(weight, again.F_A.layers[0][2].weight)
    for unlike in (other.F_A, first.F_B):
        assert not torch.equal(weight, unlike.layers[0][2].weight)
    assert not any(offset.any() for offset in first.F_A.offsets)
    plain = build.networks(gan_parts.tiny())
    assert all(torch.equal(p, first.get_parameter(name)) for name, p in plain.named_parameters()), "the same generators"


@pytest.mark.parametrize(
    ("given", "words", "hint"),
    [
        (
            {"method": "cut", "lambda_a": 5.0},
            "lambda_a is a setting of cyclegan: cut has nothing",
            "leave --lambda-a away",
        ),
        ({"method": "cut", "pool": 0}, "pool is a setting of cyclegan", "--method cyclegan"),
        ({"fastcut": True}, "fastcut is a setting of cut", "--method cut"),
        ({"lambda_nce": 2.0}, "lambda_nce is a setting of cut", "leave --lambda-nce away"),
    ],
)
def test_settings_of_another_method_are_refused(given, words, hint):
    with pytest.raises(BamkitError, match=words) as caught:
        settings.build(None, None, given)
    assert hint in caught.value.hint


def test_a_preset_leaves_out_what_is_another_methods(tmp_path):
    quick = settings.build("quick", None, {"method": "cut"})
    assert (quick.width, quick.lambda_a) == (16, settings.TrainConfig.lambda_a)
    recorded = quick.as_dict()
    assert recorded["method"] == "cut"
    assert not {"lambda_a", "lambda_b", "lambda_identity", "pool", "fastcut"} & set(recorded)
    assert settings.TrainConfig.from_dict(recorded) == quick
    assert (quick.contrast_weight, settings.TrainConfig(method="cut", fastcut=True).contrast_weight) == (1.0, 10.0)
    (tmp_path / "mine.toml").write_text('method = "cut"\nlambda-a = 5.0\n')
    with pytest.raises(BamkitError, match="lambda_a is a setting of cyclegan"):
        settings.build("quick", tmp_path / "mine.toml")


def test_memory_is_estimated_for_the_method():
    whole, fast, saving = (
        memory.activation_bytes(gan_parts.tiny(method="cut", **more))
        for more in ({}, {"fastcut": True}, {"low_memory": True})
    )
    assert fast == saving < 0.7 * whole < memory.activation_bytes(gan_parts.tiny())
    with_pool, without = gan_parts.tiny(pool=50), gan_parts.tiny(method="cut")
    assert memory.fixed_bytes(without) - memory.fixed_bytes(with_pool) > 0, "heads, and no pool"


def test_patch_contrast_is_least_where_each_place_is_itself():
    vectors = F.normalize(torch.randn(2, 9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=2)
    right = losses.patch_contrast(vectors, vectors)
    wrong = losses.patch_contrast(vectors, vectors.roll(1, 1))
    assert right < 0.1 < 5 < wrong
    assert losses.patch_contrast(vectors.bfloat16(), vectors.bfloat16()).dtype == torch.float32
