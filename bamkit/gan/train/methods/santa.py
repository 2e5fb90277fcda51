"""SANTA: one generator and a strength, held to a short path (Xie, Xu, Gong & Zhang, CVPR 2023).

An encoder E gives the code of a picture, a decoder G makes a picture of a code and a strength t: the source again at 0,
the whole translation at 1. For sources a, target pictures b and a discriminator D that tells b from G(z, 1):

    L = E[(D(G(z, 1)) - 1)^2] + ends (E|G(z, 0) - a| + E|G(z_b, 1) - b|) + 0.01 E[E(a)^2 + E(b)^2] / 2 + path P
    P = mean over layers h of E[((h(z, t + d) - h(z, t - d)) / max(2 d, 0.1))^2],    t ~ U(0, 1), d ~ U(0.05, 0.1)

z is E(a) plus noise of N(0, 1), z_b likewise; the third term keeps codes from outgrowing that noise (the prior of a
variational autoencoder). P is the energy of the path from source to translation by finite differences, strengths kept
within [0, 1]: of all ways to reach the target, the generator shall take a short one. The layers are those that the
generators' `forward` gives.

Weights, noise, steps and layers are those of the authors' published settings. What differs here: gain and shift of the
norm are lines in t without an embedding between (networks/strength.py); convolutions with a stride stand in place of
blurred ones; one run trains both directions; and the affine generator hands all levels of its way down over to the way
up, with noise at the innermost only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bamkit.gan.train import losses
from bamkit.gan.train.methods import one_sided
from bamkit.gan.train.methods.base import Losses
from bamkit.gan.train.networks.normalisation import at_least_float32
from bamkit.gan.train.random_draws import RandomDraws
from bamkit.gan.train.settings import TrainConfig

CODE_WEIGHT = 0.01
"""Weight of the codes' mean square."""
NEAREST, FARTHEST = 0.05, 0.1
"""Half the distance of the two strengths whose difference is taken."""
SHORTEST = 0.1
"""A difference of strengths counts as at least so much (strengths that [0, 1] has brought together)."""
KEYS = 2**24
"""So many keys of noise can be told apart by a float32 in [0, 1)."""
ROWS = 4
"""Uniform numbers for each picture and side: where on the path, how far apart, the source's noise, the target's."""


@dataclass
class Translated(one_sided.Translated):
    """A direction's forward pass."""

    restored: Tensor
    """The source at strength 0, [N, 3, H, W]."""
    code: Tensor
    """The source's, without noise."""
    path: Tensor
    """The path's energy."""


class Step(one_sided.Step[Translated]):
    """SANTA in both directions."""

    def _translate(self, side: str, source: Tensor, target: Tensor, draws: RandomDraws) -> Translated:
        where, apart, noise, _ = _rows(side, draws).to(source.dtype)
        above, below = interval(where, apart)
        strengths = torch.cat([torch.zeros_like(above), torch.ones_like(above), above, below])
        made, (code, *layers) = getattr(self.nets, f"G_{side}")(source, strengths, keys(noise), times=4, along=True)
        restored, fake, _, _ = made.chunk(4)
        ends = [layer.chunk(4)[2:] for layer in layers]
        return Translated(fake, restored, code, path_energy(ends, above - below))

    def _objective(
        self, side: str, translated: Translated, source: Tensor, target: Tensor, draws: RandomDraws
    ) -> Iterator[Losses]:
        config = self.config
        yield {
            f"G_{side}": self._adversarial(side, translated.fake, draws),
            f"path_{side}": config.lambda_path * translated.path,
            f"source_{side}": config.lambda_ends * losses.identity(translated.restored, source)
            + CODE_WEIGHT / 2 * code_size(translated.code),
        }
        noise = _rows(side, draws)[3].to(source.dtype)
        kept, (code, *_) = getattr(self.nets, f"G_{side}")(target, torch.ones_like(noise), keys(noise), along=True)
        yield {f"target_{side}": config.lambda_ends * losses.identity(kept, target) + CODE_WEIGHT / 2 * code_size(code)}


def uniforms(config: TrainConfig) -> int:
    """What SANTA draws at random."""
    return 2 * ROWS


def kept_passes(config: TrainConfig) -> tuple[float, float]:
    """Passes of a generator and of a discriminator kept at the same time; half of a pass is encoding."""
    return (2.5 if config.low_memory else 3.5), 1


def interval(where: Tensor, apart: Tensor) -> tuple[Tensor, Tensor]:
    """t + d and t - d, kept within [0, 1], of uniform numbers in [0, 1): t = `where`, d in [NEAREST, FARTHEST)."""
    half = NEAREST + (FARTHEST - NEAREST) * apart
    return (where + half).clamp(0, 1), (where - half).clamp(0, 1)


def path_energy(ends: Sequence[Sequence[Tensor]], distance: Tensor) -> Tensor:
    """P: `ends` are h(t + d) and h(t - d) of each layer, [N, C, H, W]; `distance` [N] is between their strengths."""
    by = distance.clamp(min=SHORTEST).view(-1, 1, 1, 1)
    energies = [((at_least_float32(last) - at_least_float32(first)) / by).square().mean() for last, first in ends]
    return torch.stack(energies).mean()


def code_size(code: Tensor) -> Tensor:
    """E[z^2], which the divergence of N(z, 1) from N(0, 1) is half of."""
    return at_least_float32(code).square().mean()


def keys(uniform: Tensor) -> Tensor:
    """Keys of noise, int64 [N], of uniform numbers in [0, 1)."""
    return (uniform.float() * KEYS).long()


def _rows(side: str, draws: RandomDraws) -> Tensor:
    """The uniform numbers of a direction, [ROWS, N]."""
    return draws.uniform[ROWS * "AB".index(side) :][:ROWS]
