"""Instance normalisation, activation and reflection padding in one call, so that one place decides how it is done.

torch's `instance_norm` gives wrong gradients on a CPU when the gradient arrives in channels_last; `group_norm` with
one channel a group is the same function, is right in every memory format, and is faster there. On CUDA `group_norm`
copies channels_last tensors to contiguous ones, so that there the norm is written out, with float32 statistics, for
torch.compile to fuse with the activation and the padding.
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
    h = _written_out(x) if x.is_cuda or x.dtype in (torch.bfloat16, torch.float16) else _native(x)
    if activation == "relu":
        h = F.relu(h)
    elif activation == "leaky":
        h = F.leaky_relu(h, 0.2)
    return reflect(h, pad)


def reflect(x: Tensor, pad: int) -> Tensor:
    """Reflection padding by `pad` on all four sides."""
    return F.pad(x, (pad, pad, pad, pad), mode="reflect") if pad else x


def _native(x: Tensor) -> Tensor:
    return F.group_norm(x, x.shape[1], eps=EPSILON)


def _written_out(x: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) with statistics in at least float32."""
    wide = x if x.dtype == torch.float64 else x.float()
    variance, mean = torch.var_mean(wide, dim=(2, 3), correction=0, keepdim=True)
    return ((wide - mean) * torch.rsqrt(variance + EPSILON)).to(x.dtype)
