"""Methods that need one direction only: both are trained as two models that know nothing of each other.

A step takes one direction after the other, in the order of the public code of CUT (Park et al. 2020): the translation,
one step of the discriminator on it, then one of the generator against the discriminator as it is now. There is no image
pool. Two models cost what CycleGAN's two generators cost, and whatever translates both ways takes either.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor, nn

from bamkit.gan.train import losses
from bamkit.gan.train.methods import base
from bamkit.gan.train.methods.base import Losses
from bamkit.gan.train.random_draws import RandomDraws


class Networks(base.Networks):
    """Generators and discriminators, an optimizer for each; a further network `F_A` learns with `G_A`."""

    def groups(self) -> dict[str, list[nn.Parameter]]:
        groups = {name: [*getattr(self, name).parameters()] for name in ("G_A", "D_A", "G_B", "D_B")}
        for name, network in self.others().items():
            groups[f"G_{name[-1]}"] += network.parameters()
        return groups


@dataclass
class Translated:
    """What a direction's translation leaves for its losses: a method adds what it needs."""

    fake: Tensor
    """float [N, 3, H, W] in [-1, 1], with its graph."""


T = TypeVar("T", bound=Translated)


class Step(base.Step, Generic[T]):
    """Two models, each with its optimizers, and the step that changes them."""

    def __call__(self, real_a: Tensor, real_b: Tensor, draws: RandomDraws) -> Tensor:
        """One step on real_a, real_b [N, 3, crop, crop] in [-1, 1]. Returns what `losses` names, float32."""
        values: Losses = {}
        for side, source, target in (("A", real_a, real_b), ("B", real_b, real_a)):
            values |= self._one_side(side, source, target, draws)
        self._average()
        return self._stacked(values)

    def _one_side(self, side: str, source: Tensor, target: Tensor, draws: RandomDraws) -> Losses:
        """The step of the model that translates `source` into the domain of `target`; `side` is its letter."""
        generator, discriminator, seen = f"G_{side}", f"D_{side}", "b" if side == "A" else "a"
        with self._autocast():
            translated = self._translate(side, source, target, draws)

        getattr(self.nets, discriminator).requires_grad_(requires_grad=True)
        self.optimizers[discriminator].zero_grad(set_to_none=True)
        real = self._seen(target, f"real_{seen}", draws)
        values = self._discriminate(discriminator, real, self._seen(translated.fake.detach(), f"shown_{seen}", draws))
        self._update(discriminator)

        getattr(self.nets, discriminator).requires_grad_(requires_grad=False)
        self.optimizers[generator].zero_grad(set_to_none=True)
        values |= self._backward(self._objective(side, translated, source, target, draws))
        self._update(generator)
        return values

    def _adversarial(self, side: str, fake: Tensor, draws: RandomDraws) -> Tensor:
        """The generator's adversarial term, the discriminator held fixed."""
        scores = getattr(self.nets, f"D_{side}")(self._seen(fake, "fake_b" if side == "A" else "fake_a", draws))
        return losses.adversarial(scores, True, self.config.objective)

    @abstractmethod
    def _translate(self, side: str, source: Tensor, target: Tensor, draws: RandomDraws) -> T:
        """The forward pass of a direction."""

    @abstractmethod
    def _objective(
        self, side: str, translated: T, source: Tensor, target: Tensor, draws: RandomDraws
    ) -> Iterator[Losses]:
        """The generator's terms, weighted, in parts that may be backpropagated one after the other.

        Names are those of `losses`: `G_<side>` for the adversarial one.
        """
