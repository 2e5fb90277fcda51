"""Networks and step of the method that a run's settings name: the one place that asks which it is."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.methods import base, cut, cyclegan, one_sided, santa
from bamkit.gan.train.settings import TrainConfig

NETWORKS: dict[str, Callable[[TrainConfig], base.Networks]] = {
    "cyclegan": base.Networks, "cut": cut.Networks, "santa": one_sided.Networks,
}  # fmt: skip
STEPS: dict[str, Callable[..., base.Step]] = {"cyclegan": cyclegan.Step, "cut": cut.Step, "santa": santa.Step}
UNIFORMS: dict[str, Callable[[TrainConfig], int]] = {"cut": cut.uniforms, "santa": santa.uniforms}
KEPT: dict[str, Callable[[TrainConfig], tuple[float, float]]] = {
    "cyclegan": cyclegan.kept_passes, "cut": cut.kept_passes, "santa": santa.kept_passes,
}  # fmt: skip


def networks(config: TrainConfig) -> base.Networks:
    """New networks, with the initial weights of the run's seed."""
    return NETWORKS[config.method](config)


def uniforms(config: TrainConfig) -> int:
    """Numbers in [0, 1) for each picture that the method draws beside what all methods draw."""
    return UNIFORMS[config.method](config) if config.method in UNIFORMS else 0


def kept_passes(config: TrainConfig) -> tuple[float, float]:
    """Passes of a generator, and of a discriminator, whose activations a step keeps at the same time, at its largest.

    Both are of `config.batch` pictures.
    """
    return KEPT[config.method](config)


def step(
    nets: base.Networks,
    config: TrainConfig,
    acceleration: Acceleration,
    group: ProcessGroup = ProcessGroup(),  # noqa: B008  (frozen)
    averages: list[nn.Parameter] | None = None,
) -> base.Step:
    """The step on these networks; `averages` are the parameters of the generators' moving averages."""
    return STEPS[config.method](nets, config, acceleration, group, averages)
