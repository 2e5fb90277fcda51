"""What the steps of all methods share: networks in both directions, optimizers, pools, precision, memory.

Names are those of the public code: G_A translates domain A into B, G_B translates B into A; D_A tells real pictures of
B from G_A's, D_B those of A from G_B's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from bamkit.gan.train import losses
from bamkit.gan.train.augment import augment
from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.image_pool import ImagePool
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.train.networks import cyclegan
from bamkit.gan.train.random_draws import RandomDraws
from bamkit.gan.train.settings import TrainConfig

VIEWS = {"fake_b": 0, "fake_a": 1, "real_b": 2, "shown_b": 3, "real_a": 4, "shown_a": 5}
"""The batches that discriminators see in a step: rows of `RandomDraws.augment`."""

Losses = dict[str, Tensor]


class Networks(nn.Module):
    """The four networks that every method has, and those that it has beside them."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.G_A = cyclegan.generator(config)
        self.G_B = cyclegan.generator(config)
        self.D_A = cyclegan.discriminator(config)
        self.D_B = cyclegan.discriminator(config)
        for i, network in enumerate((self.G_A, self.G_B, self.D_A, self.D_B)):
            cyclegan.initialise(network, config.seed * 4 + i)

    def others(self) -> dict[str, nn.Module]:
        """By name, what is trained beside generators and discriminators and translates nothing itself."""
        return {}

    def generators(self) -> list[nn.Parameter]:
        return [*self.G_A.parameters(), *self.G_B.parameters()]

    def discriminators(self) -> list[nn.Parameter]:
        return [*self.D_A.parameters(), *self.D_B.parameters()]

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """By name, the parameters of each optimizer."""
        return {"generators": self.generators(), "discriminators": self.discriminators()}


class Step(ABC):
    """Networks, optimizers and pools, and the step that changes them."""

    pooled: tuple[str, ...] = ()
    """The discriminators that see fakes of an image pool."""

    def __init__(
        self,
        nets: Networks,
        config: TrainConfig,
        acceleration: Acceleration,
        group: ProcessGroup = ProcessGroup(),  # noqa: B008  (frozen)
        averages: list[nn.Parameter] | None = None,
    ) -> None:
        self.nets, self.config, self.acceleration, self.group = nets, config, acceleration, group
        self.losses = METHODS[config.method].losses
        first = next(nets.parameters())
        self.device, self.dtype = first.device, first.dtype
        self._rate = config.learning_rate
        self.averages = averages
        """Parameters of the generators' moving averages, in the order of `nets.generators()`."""
        self.groups = nets.groups()
        self.optimizers = {name: acceleration.adam(group, config) for name, group in self.groups.items()}
        side = config.crop
        self.pools = {name: ImagePool(config.pool, side, side, self.device, self.dtype) for name in self.pooled}

    @abstractmethod
    def __call__(self, real_a: Tensor, real_b: Tensor, draws: RandomDraws) -> Tensor:
        """One step on real_a, real_b [N, 3, crop, crop] in [-1, 1]. Returns what `losses` names, float32."""

    def _update(self, name: str) -> None:
        """One step of an optimizer, on gradients averaged over the processes."""
        self.group.average_gradients(self.groups[name])
        self.optimizers[name].step()

    def _average(self) -> None:
        """Move the generators' averages."""
        if self.averages is not None:
            with torch.no_grad():
                torch._foreach_lerp_([*self.averages], [*self.nets.generators()], 1 - self.config.ema)

    def _stacked(self, values: Losses) -> Tensor:
        """What a step returns."""
        dtype = torch.promote_types(self.dtype, torch.float32)
        return torch.stack([values[name].detach().to(dtype) for name in self.losses])

    def _backward(self, objective: Iterator[Losses]) -> Losses:
        """Backpropagates the sum of the terms, and returns them; with low memory part by part, as they are computed.

        The terms are computed under autocast, and backpropagated outside of it.
        """
        terms: Losses = {}
        if not self.config.low_memory:
            with self._autocast():
                for part in objective:
                    terms |= part
            torch.stack(list(terms.values())).sum().backward()
            return terms
        while True:
            with self._autocast():
                part = next(objective, {})
            if not part:
                return terms
            torch.stack(list(part.values())).sum().backward()
            terms |= part

    def _discriminate(self, name: str, real: Tensor, fake: Tensor) -> Losses:
        """Half of equation (1) of CycleGAN's paper for one discriminator, backpropagated, and the share of patches that
        it told apart.
        """
        network, objective = getattr(self.nets, name), self.config.objective
        with self._autocast():
            if self.acceleration.merged:
                on_real, on_fake = network(torch.cat([real, fake])).chunk(2)
            else:
                on_real, on_fake = network(real), network(fake)
            loss = losses.discriminator(on_real, on_fake, objective)
        loss.backward()
        return {name: loss, f"{name}_accuracy": losses.accuracy(on_real.detach(), on_fake.detach(), objective)}

    def _seen(self, pictures: Tensor, view: str, draws: RandomDraws) -> Tensor:
        """What a discriminator sees: the pictures, augmented if the run asks for it."""
        return augment(pictures, draws.augment[VIEWS[view]]) if self.config.diffaug else pictures

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.acceleration.bf16 else nullcontext()

    def set_rate(self, rate: float) -> None:
        """The learning rate of all optimizers from now on."""
        if rate == self._rate:
            return
        self._rate = rate
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate
