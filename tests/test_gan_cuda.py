"""What only a GPU can run: gradients first, then graphs, compilation, streaming, resumption; compilation on a CPU."""

from dataclasses import replace

import gan_parts
import pytest
import torch

from bamkit.gan.train import checkpoint, trainer
from bamkit.gan.train.data import domains
from bamkit.gan.train.data.loader import UnpairedLoader
from bamkit.gan.train.device.acceleration import WARM_UP, Acceleration, GraphedStep, compile_failure
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.methods import build
from bamkit.gan.train.random_draws import Sampler
from bamkit.gan.train.state import TrainState

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def gradients(device, dtype, acceleration, method):
    """Gradients of the first step, in float64 on the CPU."""
    config = gan_parts.tiny(width=8, blocks=2, batch=2, method=method, **({"pool": 0} if method == "cyclegan" else {}))
    nets = build.networks(config).to(device, dtype)
    acceleration.prepare(nets)
    generator = torch.Generator().manual_seed(3)
    batch = [(torch.rand(2, 3, 28, 28, generator=generator) * 2 - 1).to(device, dtype) for _ in "AB"]
    if acceleration.channels_last:
        batch = [x.contiguous(memory_format=torch.channels_last) for x in batch]
    draws = Sampler(2, 2, 2, 32, 28, 0, 0, uniforms=build.uniforms(config)).epoch(0).at(0).to(device)
    losses = build.step(nets, config, acceleration)(*batch, draws)
    return losses.cpu().double(), [p.grad.cpu().double() for p in nets.parameters()]


def compare(acceleration, device, method="cyclegan"):
    """Against float64. bf16 flips ReLU masks: with plain autocast, too, gradients at the first steps are 30 % off."""
    known_losses, known = gradients(torch.device("cpu"), torch.float64, Acceleration(), method)
    losses, found = gradients(device, torch.float32, acceleration, method)
    tolerance = 0.03 if acceleration.bf16 else 1e-4
    torch.testing.assert_close(losses[:8], known_losses[:8], rtol=tolerance, atol=tolerance)
    for a, b in zip(found, known, strict=True):
        if acceleration.bf16:
            assert torch.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.85
        else:
            assert (a - b).norm() <= 1e-3 * b.norm() + 1e-9


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("method", "bf16"), [("cyclegan", False), ("cyclegan", True), ("cut", False)])
def test_compiled_gradients_on_a_cpu(method, bf16):
    compare(Acceleration(merged=True, channels_last=True, compile=True, bf16=bf16), torch.device("cpu"), method)


@pytest.mark.parametrize(
    "acceleration",
    [
        Acceleration(),
        Acceleration(merged=True, channels_last=True, fused_adam=True),
        Acceleration(merged=True, channels_last=True, bf16=True),
        Acceleration(merged=True, channels_last=True, compile=True),
        Acceleration(merged=True, channels_last=True, bf16=True, compile=True, fused_adam=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["cyclegan", "cut"])
@pytest.mark.gpu
@needs_gpu
def test_gradients_on_a_gpu_are_those_of_float64(acceleration, method, monkeypatch):
    if acceleration.compile and compile_failure("cuda"):
        pytest.skip("torch.compile does not work here")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    compare(acceleration, torch.device("cuda"), method)


def learned(acceleration, steps=12, resident=None, **settings):
    """Losses of a few steps on a GPU."""
    config = gan_parts.tiny(diffaug=True, ema=0.9, **settings)
    rng = torch.Generator().manual_seed(0)

    class Pictures:
        def __init__(self):
            self.array = torch.randint(0, 256, (6, 32, 32, 3), generator=rng, dtype=torch.uint8).numpy()

    class Bench(TrainState):
        def decode(self, domain, split, most=None):
            return domain.array

    train_state = Bench(
        config, (Pictures(), Pictures()), torch.device("cuda"), ProcessGroup(), acceleration=acceleration
    )
    if resident is not None:
        arrays = [d.cpu().numpy() for d in (train_state.loader.data_a, train_state.loader.data_b)]
        train_state.loader = UnpairedLoader(*arrays, config.crop, train_state.device, resident=resident)
    for step in range(steps):
        train_state.set_rate(2e-4 * (1 - step / steps))
        train_state.train_step(step)
    return torch.tensor([[*row.values()][:8] for row in train_state.read_losses()])


@pytest.mark.parametrize("settings", [{"pool": 2}, {"method": "cut"}, {"method": "cut", "fastcut": True}], ids=str)
@pytest.mark.gpu
@needs_gpu
def test_a_replayed_graph_is_the_eager_step(settings):
    base = Acceleration(merged=True, fused_adam=True)
    eager, graphed = (learned(replace(base, graph=graph), **settings) for graph in (False, True))
    torch.testing.assert_close(eager, graphed, rtol=2e-2, atol=2e-2)
    assert (graphed[5:] - graphed[4:-1]).abs().sum(1).min() > 0, "every replay is a step of its own"


@pytest.mark.gpu
@needs_gpu
def test_pictures_that_do_not_fit_are_streamed():
    acceleration = Acceleration(merged=True, fused_adam=True, graph=True)
    torch.testing.assert_close(learned(acceleration), learned(acceleration, resident=False), rtol=2e-2, atol=2e-2)


@pytest.mark.gpu
@needs_gpu
def test_nccl_works_inside_a_captured_graph(tmp_path):
    """One process: what the step does with several, at the same place in the capture."""
    torch.distributed.init_process_group("nccl", init_method=f"file://{tmp_path}/nccl", rank=0, world_size=1)
    try:
        x = torch.ones(1000, device="cuda")
        group = ProcessGroup(world=2)  # one process answers, so that the mean is half the sum
        step = GraphedStep(pytest.fail)
        for _ in range(WARM_UP + 3):
            result = step(lambda: group.mean(x))
        torch.testing.assert_close(result, x / 2)
        assert step.graph is not None
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.gpu
@needs_gpu
def test_resuming_on_a_gpu_is_within_noise(tmp_path):
    workspace = gan_parts.make_workspace(tmp_path)
    pair = domains.find_pair(workspace, None, None)
    config = gan_parts.tiny(steps=30, samples=0, validations=0)
    whole = trainer.train(workspace.run("whole"), pair, config, "cuda", say=lambda _: None).run
    cut = gan_parts.tiny(steps=30, samples=0, validations=0, checkpoint_minutes=1e-9)
    half = trainer.train(workspace.run("half"), pair, cut, "cuda", say=print).run
    checkpoint.path_of(half, 30).unlink()
    again = trainer.train(half, pair, cut, "cuda", resume=True, say=print).run
    rows = [(run / "metrics.csv").read_text().splitlines()[-1].split(",")[4:12] for run in (whole, again)]
    assert [float(v) for v in rows[0]] == pytest.approx([float(v) for v in rows[1]], rel=0.05, abs=0.05)


def test_plan_fits_a_graph():
    """All of an epoch's steps have the same shapes: a graph is captured once."""
    draws = Sampler(7, 5, 3, 32, 28, 4, 0, diffaug=True).epoch(0)
    shapes = {tuple(getattr(draws.at(i), name).shape for name in draws.__dict__) for i in range(3)}
    assert len(shapes) == 1
