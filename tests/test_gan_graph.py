"""The step keeps the rules of a CUDA graph, shown on a CPU by recording its operations once and repeating them."""

from dataclasses import replace

import gan_parts
import pytest
import torch
from tape import Tape, TapedStep

from bamkit.gan.train import state
from bamkit.gan.train.data import loader
from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.methods import cut


def trained(monkeypatch, graph, acceleration, settings, steps=8):
    """Losses of `steps` steps and the state after them; with `graph`, all but the first steps are replays."""
    rng = torch.Generator().manual_seed(0)

    class Bench(state.TrainState):
        def decode(self, domain, split, most=None):
            return torch.randint(0, 256, (6, 32, 32, 3), generator=rng, dtype=torch.uint8).numpy()

    monkeypatch.setattr(state, "GraphedStep", TapedStep)
    monkeypatch.setattr(loader, "cut", loader.gather)
    monkeypatch.setattr(cut, "PLACES", 16)
    config = gan_parts.tiny(**settings)
    made = Bench(
        config, ("a", "b"), torch.device("cpu"), ProcessGroup(), acceleration=replace(acceleration, graph=graph)
    )
    for step in range(steps):
        made.set_rate(2e-3 * (1 - step / steps))
        made.train_step(step)
    return torch.tensor([list(row.values()) for row in made.read_losses()]), made.state_dict()


def same(one, other):
    """Whether two nested states hold the same bits."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(
    ("acceleration", "settings"),
    [
        (Acceleration(), {}),
        (Acceleration(merged=True), {"batch": 2, "pool": 2}),
        (
            Acceleration(merged=True),
            {"generator": "unet", "halvings": 3, "crop": 24, "objective": "log-likelihood"},
        ),
        (Acceleration(merged=True), {"generator": "affine", "halvings": 3, "crop": 24}),
        (Acceleration(), {"low_memory": True, "lambda_identity": 0.0, "pool": 0}),
        (Acceleration(merged=True, channels_last=True, bf16=True), {"diffaug": True, "ema": 0.9}),
        (
            Acceleration(merged=True, channels_last=True, bf16=True),
            {"method": "cut", "batch": 2, "diffaug": True, "ema": 0.9},
        ),
        (Acceleration(), {"method": "cut", "fastcut": True, "batch": 2}),
        (Acceleration(merged=True, bf16=True), {"method": "santa", "batch": 2, "ema": 0.9}),
        (Acceleration(), {"method": "santa", "generator": "affine", "halvings": 2, "low_memory": True}),
    ],
    ids=[
        "plain",
        "merged",
        "unet",
        "affine",
        "low memory",
        "bf16 and all options",
        "cut and all options",
        "fastcut",
        "santa",
        "santa affine",
    ],
)
def test_a_replayed_step_is_the_step(monkeypatch, acceleration, settings):
    """Rate, draws, pools, averages and Adam's count reach a replay, as they must reach a CUDA graph."""
    acceleration = replace(acceleration, fused_adam=True)
    losses, state = trained(monkeypatch, False, acceleration, settings)
    replayed, state_replayed = trained(monkeypatch, True, acceleration, settings)
    assert torch.equal(losses, replayed)
    assert same(state, state_replayed)
    assert (losses[4:] - losses[3:-1]).abs().sum(1).min() > 0, "every replay is a step of its own"


def test_the_tape_notices_what_a_graph_would_not_take():
    """A rate that Python keeps stays what it was; a value that Python asks for is an error."""
    weight, rate = torch.ones(2), [0.5]
    tape = Tape()
    with tape:
        weight.mul_(rate[0])
    rate[0] = 1.0
    tape.replay()
    assert weight.tolist() == [0.25, 0.25]
    with pytest.raises(RuntimeError, match="asks a tensor"), Tape():
        weight.sum().item()
