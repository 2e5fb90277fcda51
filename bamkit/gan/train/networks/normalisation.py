"""Instance normalisation, activation and reflection padding in one call, so that one place decides how it is done.

Instance norm of a channel x over the H W pixels of one picture (Ulyanov et al. 2016, equation 7):

    y = (x - mean) / sqrt(variance + epsilon)

On a CPU this is torch's `group_norm` with one channel a group, on contiguous values with their mean subtracted. Each of
the three is needed: torch's `instance_norm` has wrong gradients where the gradient arrives in channels_last; its
`group_norm` takes a variance in channels_last as E[x^2] - mean^2, which cancels on flat pictures; and it multiplies x
and the mean by 1 / deviation before it subtracts them. On CUDA, where `group_norm` copies channels_last tensors, and
for half types the norm is written out, with float32 statistics, for torch.compile to fuse with activation and padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5
"""Added to the variance, as in the public code."""


def normalise(x: Tensor, activation: str = "none", pad: int = 0) -> Tensor:
    """Instance norm (no affine, no running statistics), then `none`, `relu` or `leaky` (0.2), then reflection padding.

    x: [N, C, H, W] of any floating type; the statistics of half types are taken in float32 and the result has x's type.
    Returns [N, C, H + 2 pad, W + 2 pad].
    """
    h = _written_out(x) if x.is_cuda or x.dtype in (torch.bfloat16, torch.float16) else _group_norm(x)
    if activation == "relu":
        h = F.relu(h)
    elif activation == "leaky":
        h = F.leaky_relu(h, 0.2)
    return reflect(h, pad)


def reflect(x: Tensor, pad: int) -> Tensor:
    """Reflection padding by `pad` on all four sides."""
    return F.pad(x, (pad, pad, pad, pad), mode="reflect") if pad else x


def at_least_float32(x: Tensor) -> Tensor:
    """x itself in float64 or float32, else as float32."""
    return x if x.dtype == torch.float64 else x.float()


def _group_norm(x: Tensor) -> Tensor:
    """The norm on a CPU. It does not change with a shift of x, so that no gradient has to pass through the mean."""
    x = x.contiguous()
    return F.group_norm(x - x.detach().mean(dim=(2, 3), keepdim=True), x.shape[1], eps=EPSILON)


def _written_out(x: Tensor) -> Tensor:
    """The norm as its equation says, with statistics in at least float32."""
    wide = at_least_float32(x)
    variance, mean = torch.var_mean(wide, dim=(2, 3), correction=0, keepdim=True)
    return ((wide - mean) * torch.rsqrt(variance + EPSILON)).to(x.dtype)
