"""One training step of CycleGAN, top to bottom as in the paper (Zhu et al. 2017, arXiv:1703.10593).

Names are those of the public code: G_A translates domain A into B, G_B translates B into A; D_A tells real pictures of
B from G_A's, D_B those of A from G_B's. Equation numbers are the paper's:

    (1)  L_GAN(G_A, D_A) = E[(D_A(b) - 1)^2] + E[D_A(G_A(a))^2]            (least squares, section 4)
    (2)  L_cyc = E|G_B(G_A(a)) - a| + E|G_A(G_B(b)) - b|
    (3)  L = L_GAN(G_A, D_A) + L_GAN(G_B, D_B) + lambda L_cyc + lambda_idt lambda (E|G_A(b) - b| + E|G_B(a) - a|)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from bamkit.gan.train import losses
from bamkit.gan.train.methods import base
from bamkit.gan.train.methods.base import Losses
from bamkit.gan.train.random_draws import RandomDraws
from bamkit.gan.train.settings import TrainConfig


def kept_passes(config: TrainConfig) -> tuple[int, int]:
    """Three passes of each generator (fake, cycle, identity); one direction's two at a time with low memory."""
    if config.low_memory:
        return 2, 1
    return (6 if config.lambda_identity else 4), 2


class Step(base.Step):
    """Four networks, two optimizers and two pools, and the step that changes them."""

    pooled = ("D_A", "D_B")

    def __call__(self, real_a: Tensor, real_b: Tensor, draws: RandomDraws) -> Tensor:
        """One step on real_a, real_b [N, 3, crop, crop] in [-1, 1]. Returns what `losses` names, float32 [10]."""
        values: Losses = dict.fromkeys(("idt_A", "idt_B"), real_a.new_zeros(()))

        # The generators: one Adam step on equation (3), the discriminators held fixed.
        self.nets.D_A.requires_grad_(requires_grad=False)
        self.nets.D_B.requires_grad_(requires_grad=False)
        self.optimizers["generators"].zero_grad(set_to_none=True)
        values |= self._backward(self._objective(real_a, real_b, draws))
        self._update("generators")
        self._average()

        # The discriminators: one Adam step on half of equation (1), with fakes from the image pool.
        self.nets.D_A.requires_grad_(requires_grad=True)
        self.nets.D_B.requires_grad_(requires_grad=True)
        self.optimizers["discriminators"].zero_grad(set_to_none=True)
        shown_b = self.pools["D_A"].exchange(self.fake_b, draws.slot_a, draws.swap_a)
        shown_a = self.pools["D_B"].exchange(self.fake_a, draws.slot_b, draws.swap_b)
        values |= self._discriminate("D_A", self._seen(real_b, "real_b", draws), self._seen(shown_b, "shown_b", draws))
        values |= self._discriminate("D_B", self._seen(real_a, "real_a", draws), self._seen(shown_a, "shown_a", draws))
        self._update("discriminators")
        return self._stacked(values)

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
