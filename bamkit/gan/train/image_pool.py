"""The image pool (Shrivastava et al. 2017, section 2.3): discriminators also see fakes of some steps ago.

Until the pool is full every fake is kept and shown. From then on a fake is shown, or, half of the time, swapped for an
older one, which is shown in its place. Which of the two happens is drawn beforehand (see random_draws.py), so that the
pool is one tensor addressed by index tensors: it can live in a CUDA graph and in a checkpoint.
"""

from __future__ import annotations

import torch
from torch import Tensor


class ImagePool:
    """`size` past fakes [size + 1, 3, H, W]; the last slot takes what is not to be kept."""

    def __init__(self, size: int, height: int, width: int, device: torch.device, dtype: torch.dtype) -> None:
        self.size = size
        self.pictures = torch.zeros(size + 1, 3, height, width, device=device, dtype=dtype)

    @torch.no_grad()
    def exchange(self, fakes: Tensor, slots: Tensor, swaps: Tensor) -> Tensor:
        """The fakes to show the discriminator, in place of `fakes` [N, 3, H, W]; keeps what is to be kept.

        slots: int64 [N], where each fake goes (`size` for nowhere). swaps: bool [N], whether what was in that slot is
        shown instead. One after the other, since two fakes of a batch may meet in a slot.
        """
        if not self.size:
            return fakes.detach()
        shown = []
        for i in range(len(fakes)):
            new = fakes[i : i + 1].detach().to(self.pictures.dtype)
            old = self.pictures.index_select(0, slots[i : i + 1])
            shown.append(torch.where(swaps[i].reshape(1, 1, 1, 1), old, new))
            self.pictures.index_copy_(0, slots[i : i + 1], new)
        return torch.cat(shown)
