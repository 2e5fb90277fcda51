"""From decoded pictures to the batches of a step: cropped, mirrored and normalised on the device."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bamkit.gan.train.random_draws import RandomDraws

CropPair = tuple[Tensor, Tensor]
"""Of domain A and domain B, uint8 [N, crop, crop, 3]."""


def cut(data: Tensor, index: Tensor, corner: Tensor, flip: Tensor, crop: int) -> Tensor:
    """Crops of uint8 pictures [M, S, S, 3]: those at `index` [N], from `corner` [N, 2], mirrored where `flip` [N].

    Returns uint8 [N, crop, crop, 3]. Runs on the device of the tensors: in one gather, or on a CPU by slices.
    """
    if data.device.type == "cpu":
        parts = (
            data[i, y : y + crop, x : x + crop].flip(1) if mirrored else data[i, y : y + crop, x : x + crop]
            for i, (y, x), mirrored in zip(index.tolist(), corner.tolist(), flip.tolist(), strict=True)
        )
        return torch.stack(list(parts))
    return gather(data, index, corner, flip, crop)


def gather(data: Tensor, index: Tensor, corner: Tensor, flip: Tensor, crop: int) -> Tensor:
    """`cut` in one indexing operation, without asking the device for any value: it may stand in a CUDA graph."""
    along = torch.arange(crop, device=data.device)
    rows = corner[:, :1] + along
    columns = corner[:, 1:] + torch.where(flip[:, None], crop - 1 - along, along)
    return data[index[:, None, None], rows[:, :, None], columns[:, None, :]]


def unit(pictures: Tensor, dtype: torch.dtype = torch.float32, channels_last: bool = False) -> Tensor:
    """uint8 [N, H, W, 3] -> [N, 3, H, W] in [-1, 1]."""
    x = pictures.permute(0, 3, 1, 2).to(dtype) / 127.5 - 1.0
    return x if channels_last else x.contiguous()


@dataclass
class Inputs:
    """What a step needs, on its device: the draws, and the crops unless they are cut there."""

    draws: RandomDraws
    crops: CropPair | None = None

    def copy_(self, other: Inputs) -> None:
        self.draws.copy_(other.draws)
        for mine, new in zip(self.crops or (), other.crops or (), strict=True):
            mine.copy_(new, non_blocking=True)


class UnpairedLoader:
    """Batches for the steps of an epoch. Both domains lie on the device (or in a CPU's memory), if they fit."""

    def __init__(
        self,
        pictures_a: np.ndarray,
        pictures_b: np.ndarray,
        crop: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
        resident: bool | None = None,
    ) -> None:
        self.crop, self.device, self.dtype, self.channels_last = crop, device, dtype, channels_last
        self.resident = fits(pictures_a.nbytes + pictures_b.nbytes, device) if resident is None else resident
        self.data_a, self.data_b = torch.from_numpy(pictures_a), torch.from_numpy(pictures_b)
        if self.resident:
            self.data_a, self.data_b = self.data_a.to(device), self.data_b.to(device)
        self._ahead = ThreadPoolExecutor(1) if not self.resident else None
        self._next: tuple[int, Future[CropPair]] | None = None

    def set_epoch(self, epoch: RandomDraws) -> None:
        """Take an epoch's draws."""
        self._host = epoch
        self._draws = epoch.to(self.device)
        self._next = None

    def inputs(self, step: int) -> Inputs:
        """The inputs of step `step` of the epoch. While a GPU works on them, the next ones are cut."""
        draws = self._draws.at(step)
        if self._ahead is None:
            return Inputs(draws)
        waiting = self._next[1] if self._next and self._next[0] == step else self._ahead.submit(self._cut_ahead, step)
        crops_a, crops_b = waiting.result()
        if step + 1 < len(self._host.index_a):
            self._next = (step + 1, self._ahead.submit(self._cut_ahead, step + 1))
        crops = crops_a.to(self.device, non_blocking=True), crops_b.to(self.device, non_blocking=True)
        return Inputs(draws, crops)

    def pictures(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """real_a and real_b [N, 3, crop, crop] in [-1, 1], computed on the device."""
        a, b = inputs.crops or self._cut(inputs.draws)
        return unit(a, self.dtype, self.channels_last), unit(b, self.dtype, self.channels_last)

    def _cut(self, draws: RandomDraws) -> CropPair:
        return (
            cut(self.data_a, draws.index_a, draws.corner_a, draws.flip_a, self.crop),
            cut(self.data_b, draws.index_b, draws.corner_b, draws.flip_b, self.crop),
        )

    def _cut_ahead(self, step: int) -> CropPair:
        a, b = self._cut(self._host.at(step))
        return (a.pin_memory(), b.pin_memory()) if self.device.type == "cuda" else (a, b)


def fits(count: int, device: torch.device) -> bool:
    """Whether `count` bytes may stay on the device: on a CPU always, on a GPU within 40 % of what is free."""
    if device.type != "cuda":
        return device.type == "cpu"
    return count < 0.4 * torch.cuda.mem_get_info(device)[0]
