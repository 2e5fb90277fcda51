"""The terms of the objectives, each a mean E over all elements: CycleGAN's (Zhu et al. 2017, arXiv:1703.10593), CUT's.

All take and return at least float32, whatever the networks compute in. Pictures are [N, 3, H, W] in [-1, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bamkit.gan.train.networks.normalisation import at_least_float32


def adversarial(scores: Tensor, real: bool, objective: str = "lsgan") -> Tensor:
    """How far a discriminator's patch scores D(x) are from the target t, 1 for real and 0 for fake.

    lsgan:           E[(D(x) - t)^2]                                            (section 4, after Mao et al. 2017)
    log-likelihood: -E[t log s(D(x)) + (1 - t) log(1 - s(D(x)))], s logistic    (equation 1)

    The generator minimises it with `real=True` on its own fakes (the non-saturating form).
    """
    scores = at_least_float32(scores)
    target = torch.ones_like(scores) if real else torch.zeros_like(scores)
    if objective == "lsgan":
        return F.mse_loss(scores, target)
    return F.binary_cross_entropy_with_logits(scores, target)


def discriminator(on_real: Tensor, on_fake: Tensor, objective: str = "lsgan") -> Tensor:
    """E[(D(y) - 1)^2] / 2 + E[D(G(x))^2] / 2 (section 7.1: the objective is halved, which slows D down)."""
    return (adversarial(on_real, True, objective) + adversarial(on_fake, False, objective)) / 2


def cycle(restored: Tensor, real: Tensor) -> Tensor:
    """E|F(G(x)) - x| (equation 2), in [0, 2]."""
    return F.l1_loss(at_least_float32(restored), at_least_float32(real))


def identity(same: Tensor, real: Tensor) -> Tensor:
    """E|G(y) - y|: a generator shown a picture of its target domain should leave it alone (section 5.2)."""
    return F.l1_loss(at_least_float32(same), at_least_float32(real))


def patch_contrast(query: Tensor, key: Tensor, temperature: float = 0.07) -> Tensor:
    """PatchNCE (Park et al. 2020, arXiv:2007.15651, equations 1 and 3) of one layer, in at least float32.

    query, key: [N, S, C] of unit length, S places of N pictures. Place s of a translation is to be told from all other
    places of its source: E[-log(exp(q_s k_s / T) / sum_t exp(q_s k_t / T))].
    """
    with torch.autocast(query.device.type, enabled=False):
        alike = at_least_float32(query) @ at_least_float32(key).transpose(1, 2) / temperature
        same = torch.arange(alike.shape[1], device=alike.device).expand(alike.shape[:2])
        return F.cross_entropy(alike.flatten(0, 1), same.flatten())


@torch.no_grad()
def accuracy(on_real: Tensor, on_fake: Tensor, objective: str = "lsgan") -> Tensor:
    """(P[D(y) > b] + P[D(G(x)) < b]) / 2, the share of patches told apart, in [0, 1]; 0.5 is guessing.

    The boundary b lies half-way between the targets: 0.5, or 0 for logits.
    """
    boundary = 0.5 if objective == "lsgan" else 0.0
    right = (on_real > boundary).float().mean() + (on_fake < boundary).float().mean()
    return right / 2
