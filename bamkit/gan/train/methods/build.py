"""Networks and step of the method that a run's settings name: the one place that asks which it is."""

from __future__ import annotations

from torch import nn

from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.methods import base, cut, cyclegan
from bamkit.gan.train.random_draws import Further
from bamkit.gan.train.settings import TrainConfig


def networks(config: TrainConfig) -> base.Networks:
    """New networks, with the initial weights of the run's seed."""
    return cut.Networks(config) if config.method == "cut" else base.Networks(config)


def further_draws(config: TrainConfig) -> Further:
    """What the method draws at random beside what all methods draw."""
    return cut.further_draws(config) if config.method == "cut" else Further()


def kept_passes(config: TrainConfig) -> tuple[float, float]:
    """Passes of a generator, and of a discriminator, whose activations a step keeps at the same time, at its largest.

    Both are of `config.batch` pictures.
    """
    return cut.kept_passes(config) if config.method == "cut" else cyclegan.kept_passes(config)


def step(
    nets: base.Networks,
    config: TrainConfig,
    acceleration: Acceleration,
    group: ProcessGroup = ProcessGroup(),  # noqa: B008  (frozen)
    averages: list[nn.Parameter] | None = None,
) -> base.Step:
    """The step on these networks; `averages` are the parameters of the generators' moving averages."""
    kind = cut.Step if config.method == "cut" else cyclegan.Step
    return kind(nets, config, acceleration, group, averages)
