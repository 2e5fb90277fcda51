"""Networks and step of the method that a run's settings name: the one place that asks which it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.methods import base, cut, cyclegan, one_sided, santa
from bamkit.gan.train.settings import TrainConfig


@dataclass(frozen=True)
class _Method:
    """The code of a method."""

    networks: Callable[[TrainConfig], base.Networks]
    step: Callable[..., base.Step]
    kept_passes: Callable[[TrainConfig], tuple[float, float]]
    uniforms: Callable[[TrainConfig], int] = lambda config: 0


METHODS = {
    "cyclegan": _Method(base.Networks, cyclegan.Step, cyclegan.kept_passes),
    "cut": _Method(cut.Networks, cut.Step, cut.kept_passes, cut.uniforms),
    "santa": _Method(one_sided.Networks, santa.Step, santa.kept_passes, santa.uniforms),
}
"""By the setting `method`, as terms.METHODS."""


def networks(config: TrainConfig) -> base.Networks:
    """New networks, with the initial weights of the run's seed."""
    return METHODS[config.method].networks(config)


def uniforms(config: TrainConfig) -> int:
    """Numbers in [0, 1) for each picture that the method draws beside what all methods draw."""
    return METHODS[config.method].uniforms(config)


def kept_passes(config: TrainConfig) -> tuple[float, float]:
    """Passes of a generator, and of a discriminator, whose activations a step keeps at the same time, at its largest.

    Both are of `config.batch` pictures.
    """
    return METHODS[config.method].kept_passes(config)


def step(
    nets: base.Networks,
    config: TrainConfig,
    acceleration: Acceleration,
    group: ProcessGroup = ProcessGroup(),  # noqa: B008  (frozen)
    averages: list[nn.Parameter] | None = None,
) -> base.Step:
    """The step on these networks; `averages` are the parameters of the generators' moving averages."""
    return METHODS[config.method].step(nets, config, acceleration, group, averages)
