"""The terms of CycleGAN's objective (Zhu et al. 2017, equations 1 to 3 and section 5.2), each a mean over all elements.

All take and return at least float32, whatever the networks compute in.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def adversarial(scores: Tensor, real: bool, objective: str = "lsgan") -> Tensor:
    """How far the discriminator's patch `scores` are from saying `real` (or fake).

    lsgan: E[(D(x) - t)^2] with t = 1 for real, 0 for fake (section 4, after Mao et al. 2017).
    log-likelihood: -E[log s(D(x))] for real, -E[log(1 - s(D(x)))] for fake, s the logistic function (equation 1).
    The generator minimises it with `real=True` on its own fakes (the non-saturating form).
    """
    scores = wide(scores)
    target = torch.ones_like(scores) if real else torch.zeros_like(scores)
    if objective == "lsgan":
        return F.mse_loss(scores, target)
    return F.binary_cross_entropy_with_logits(scores, target)


def cycle(restored: Tensor, real: Tensor) -> Tensor:
    """E[|F(G(x)) - x|] (equation 2). Pictures in [-1, 1], so the value lies in [0, 2]."""
    return F.l1_loss(wide(restored), wide(real))


def identity(same: Tensor, real: Tensor) -> Tensor:
    """E[|G(y) - y|]: a generator shown a picture of its target domain should leave it alone (section 5.2)."""
    return F.l1_loss(wide(same), wide(real))


@torch.no_grad()
def accuracy(real_scores: Tensor, fake_scores: Tensor, objective: str = "lsgan") -> Tensor:
    """The share of patches that the discriminator puts on the right side, in [0, 1]; 0.5 is guessing."""
    boundary = 0.5 if objective == "lsgan" else 0.0
    right = (real_scores > boundary).float().mean() + (fake_scores < boundary).float().mean()
    return right / 2


def wide(x: Tensor) -> Tensor:
    """x itself in float64 or float32, else as float32."""
    return x if x.dtype == torch.float64 else x.float()
