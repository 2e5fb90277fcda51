"""One training step of CycleGAN, top to bottom as in the paper (Zhu et al. 2017, arXiv:1703.10593).

Names are those of the public code: G_A translates domain A into B, G_B translates B into A; D_A tells real pictures of
B from G_A's, D_B those of A from G_B's. Equation numbers are the paper's:

    (1)  L_GAN(G_A, D_A) = E[(D_A(b) - 1)^2] + E[D_A(G_A(a))^2]            (least squares, section 4)
    (2)  L_cyc = E|G_B(G_A(a)) - a| + E|G_A(G_B(b)) - b|
    (3)  L = L_GAN(G_A, D_A) + L_GAN(G_B, D_B) + lambda L_cyc + lambda_idt lambda (E|G_A(b) - b| + E|G_B(a) - a|)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from bamkit.gan.train import losses
from bamkit.gan.train.augment import augment
from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.image_pool import ImagePool
from bamkit.gan.train.networks import cyclegan
from bamkit.gan.train.random_draws import RandomDraws
from bamkit.gan.train.settings import TrainConfig

LOSSES = (
    "G_A", "G_B", "cycle_A", "cycle_B", "idt_A", "idt_B", "D_A", "D_B", "D_A_accuracy", "D_B_accuracy",
)  # fmt: skip
"""What a step returns, in this order. Cycle and identity terms include their weights, D's losses are halved."""

VIEWS = {"fake_b": 0, "fake_a": 1, "real_b": 2, "shown_b": 3, "real_a": 4, "shown_a": 5}
"""The batches that discriminators see in a step: rows of `RandomDraws.augment`."""

Losses = dict[str, Tensor]


class Networks(nn.Module):
    """The four networks."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.G_A = cyclegan.generator(config)
        self.G_B = cyclegan.generator(config)
        self.D_A = cyclegan.discriminator(config)
        self.D_B = cyclegan.discriminator(config)
        for i, network in enumerate((self.G_A, self.G_B, self.D_A, self.D_B)):
            cyclegan.initialise(network, config.seed * 4 + i)

    def generators(self) -> list[nn.Parameter]:
        return [*self.G_A.parameters(), *self.G_B.parameters()]

    def discriminators(self) -> list[nn.Parameter]:
        return [*self.D_A.parameters(), *self.D_B.parameters()]


class Step:
    """Networks, optimizers and pools, and the step that changes them."""

    def __init__(
        self,
        nets: Networks,
        config: TrainConfig,
        acceleration: Acceleration,
        group: ProcessGroup = ProcessGroup(),  # noqa: B008  (frozen)
        averages: list[nn.Parameter] | None = None,
    ) -> None:
        self.nets, self.config, self.acceleration, self.group = nets, config, acceleration, group
        first = next(nets.parameters())
        self.device, self.dtype = first.device, first.dtype
        self._rate = config.learning_rate
        self.averages = averages
        """Parameters of the generators' moving averages, in the order of `nets.generators()`."""
        self.optimizers = {
            "generators": acceleration.adam(nets.generators(), config),
            "discriminators": acceleration.adam(nets.discriminators(), config),
        }
        self.pools = {
            name: ImagePool(config.pool, config.crop, config.crop, self.device, self.dtype) for name in ("D_A", "D_B")
        }

    def __call__(self, real_a: Tensor, real_b: Tensor, draws: RandomDraws) -> Tensor:
        """One step on real_a, real_b [N, 3, crop, crop] in [-1, 1]. Returns what LOSSES names, float32 [10]."""
        values: Losses = dict.fromkeys(("idt_A", "idt_B"), real_a.new_zeros(()))

        # The generators: one Adam step on equation (3), the discriminators held fixed.
        self.nets.D_A.requires_grad_(requires_grad=False)
        self.nets.D_B.requires_grad_(requires_grad=False)
        self.optimizers["generators"].zero_grad(set_to_none=True)
        values |= self._backward(self._objective(real_a, real_b, draws))
        self.group.average_gradients(self.nets.generators())
        self.optimizers["generators"].step()
        if self.averages is not None:
            with torch.no_grad():
                torch._foreach_lerp_([*self.averages], [*self.nets.generators()], 1 - self.config.ema)

        # The discriminators: one Adam step on half of equation (1), with fakes from the image pool.
        self.nets.D_A.requires_grad_(requires_grad=True)
        self.nets.D_B.requires_grad_(requires_grad=True)
        self.optimizers["discriminators"].zero_grad(set_to_none=True)
        shown_b = self.pools["D_A"].exchange(self.fake_b, draws.slot_a, draws.swap_a)
        shown_a = self.pools["D_B"].exchange(self.fake_a, draws.slot_b, draws.swap_b)
        values |= self._discriminate("D_A", self._seen(real_b, "real_b", draws), self._seen(shown_b, "shown_b", draws))
        values |= self._discriminate("D_B", self._seen(real_a, "real_a", draws), self._seen(shown_a, "shown_a", draws))
        self.group.average_gradients(self.nets.discriminators())
        self.optimizers["discriminators"].step()
        dtype = torch.promote_types(self.dtype, torch.float32)
        return torch.stack([values[name].detach().to(dtype) for name in LOSSES])

    def _objective(self, real_a: Tensor, real_b: Tensor, draws: RandomDraws) -> Iterator[Losses]:
        """The terms of equation (3), weighted, in parts that may be backpropagated one after the other."""
        config, nets = self.config, self.nets
        G_A, G_B = self._passes(nets.G_A, real_a, real_b), self._passes(nets.G_B, real_b, real_a)

        # A -> B -> A
        fake_b = G_A(real_a)
        adversarial = losses.adversarial(nets.D_A(self._seen(fake_b, "fake_b", draws)), True, config.objective)
        yield {"G_A": adversarial, "cycle_A": config.lambda_a * losses.cycle(G_B(fake_b), real_a)}
        self.fake_b = fake_b.detach()

        # B -> A -> B
        fake_a = G_B(real_b)
        adversarial = losses.adversarial(nets.D_B(self._seen(fake_a, "fake_a", draws)), True, config.objective)
        yield {"G_B": adversarial, "cycle_B": config.lambda_b * losses.cycle(G_A(fake_a), real_b)}
        self.fake_a = fake_a.detach()

        # B -> B and A -> A
        if config.lambda_identity:
            weight = config.lambda_b * config.lambda_identity
            yield {"idt_A": weight * losses.identity(G_A(real_b), real_b)}
            weight = config.lambda_a * config.lambda_identity
            yield {"idt_B": weight * losses.identity(G_B(real_a), real_a)}

    def _passes(self, network: nn.Module, translated: Tensor, kept: Tensor) -> Callable[[Tensor], Tensor]:
        """`network`, or, where merging passes pays, a function that has done both of its real pictures in one pass.

        Instance norm treats every picture by itself, so that the results are the same.
        """
        if not self.acceleration.merged or self.config.low_memory or not self.config.lambda_identity:
            return network
        fake, same = network(torch.cat([translated, kept])).chunk(2)
        done = {id(translated): fake, id(kept): same}
        return lambda x: done[id(x)] if id(x) in done else network(x)

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
        """Half of equation (1) for one discriminator, backpropagated, and the share of patches that it told apart."""
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
        """The learning rate of both optimizers from now on."""
        if rate == self._rate:
            return
        self._rate = rate
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate
