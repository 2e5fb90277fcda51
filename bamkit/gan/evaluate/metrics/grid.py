"""A visible grid in a picture: structure that repeats with the stride of a network's layers."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from bamkit.gan.evaluate.metrics.similarity import luma


def grid_energy(picture: np.ndarray, period: int) -> float:
    """How strongly the fine structure of an (H, W, 3) uint8 picture repeats with `period` pixels across and down.

    r is luma less its mean over a window of one period (and a pixel, to be centred). Of r's energy this is the share at
    the frequencies (i / period, j / period), i and j not both 0, over the share that white noise has there: 1 for
    noise, n for a picture of n equal cells. By Parseval's theorem that is n var(p) / var(r), where p, `period` x
    `period`, is the mean of the n cells. Real pictures lie above 1, since they are no noise: measure them, too. 1 where
    the picture has no structure. Raises ValueError for a picture of fewer than 2 x 2 cells, or a period below 2.
    """
    rows, columns = (side // period for side in picture.shape[:2]) if period > 1 else (0, 0)
    if min(rows, columns) < 2:
        raise ValueError(f"a grid of {period} px cannot be seen in {picture.shape[1]} x {picture.shape[0]} px")
    light = torch.from_numpy(luma(picture))[None, None].double()
    reach = period // 2
    smooth = F.avg_pool2d(F.pad(light, (reach,) * 4, mode="reflect"), 2 * reach + 1, stride=1)
    fine = (light - smooth)[0, 0, : rows * period, : columns * period].numpy()
    if fine.std() < 1e-6:
        return 1.0
    cell = fine.reshape(rows, period, columns, period).mean(axis=(0, 2))
    return float(rows * columns * cell.var() / fine.var())
