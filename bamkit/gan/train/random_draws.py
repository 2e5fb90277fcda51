"""What is drawn at random in training, as a pure function of seed and step: order, crops, flips, pool, augmentation.

Nothing has to be stored to resume, every process of several draws the same numbers and takes its own share, and an
epoch's draws can be sent to a GPU at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

AUGMENTED_VIEWS = 6
"""Batches a discriminator sees in a step: each domain's fake (generator step), real and shown fake (its own step)."""
AUGMENTATION_DRAWS = 7
"""Uniform numbers for one picture's augmentation: brightness, saturation, contrast, two shifts, two cutout corners."""


@dataclass
class RandomDraws:
    """The random decisions of one step (or, with a leading axis, of an epoch). N is the batch."""

    index_a: Tensor
    """int64 [N]: pictures of domain A."""
    index_b: Tensor
    """int64 [N]: pictures of domain B."""
    corner_a: Tensor
    """int64 [N, 2]: top and left of the crop."""
    corner_b: Tensor
    flip_a: Tensor
    """bool [N]: mirrored or not."""
    flip_b: Tensor
    slot_a: Tensor
    """int64 [N]: where the fake of domain B goes in the pool of D_A (see ImagePool.exchange)."""
    slot_b: Tensor
    swap_a: Tensor
    """bool [N]: whether an older fake is shown in its place."""
    swap_b: Tensor
    augment: Tensor
    """float32 [6, N, 7] in [0, 1): differentiable augmentation (empty without it)."""
    uniform: Tensor
    """float32 [Sampler.uniforms, N] in [0, 1)."""
    key: Tensor
    """int64 [] in [0, 2^32): the step's, the same in all processes."""

    def at(self, step: int) -> RandomDraws:
        """The draws of one step of an epoch."""
        return RandomDraws(*(getattr(self, f.name)[step] for f in fields(self)))

    def to(self, device: torch.device) -> RandomDraws:
        return RandomDraws(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    def copy_(self, other: RandomDraws) -> None:
        """Write the other's values into these tensors (the fixed inputs of a CUDA graph)."""
        for f in fields(self):
            getattr(self, f.name).copy_(getattr(other, f.name), non_blocking=True)


@dataclass(frozen=True)
class Sampler:
    """How a run draws: sizes of both domains, batch, picture and crop size, pool, seed; one process's share of it."""

    count_a: int
    count_b: int
    batch: int
    size: int
    crop: int
    pool: int
    seed: int
    flip: bool = True
    diffaug: bool = False
    rank: int = 0
    world: int = 1
    uniforms: int = 0
    """Numbers in [0, 1) for each picture that a method draws beside what all methods draw."""

    @property
    def steps_per_epoch(self) -> int:
        """An epoch passes once over the larger domain."""
        return -(-max(self.count_a, self.count_b) // (self.batch * self.world))

    def epoch(self, epoch: int) -> RandomDraws:
        """All draws of epoch `epoch` (from 0) with a leading axis of `steps_per_epoch`.

        As in the public code: the larger domain in random order; the pictures of A in that order modulo their number,
        those of B drawn independently. The last batch is filled up from the front, so that all are the same size.
        """
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, epoch])))
        steps, joint = self.steps_per_epoch, self.batch * self.world
        order = np.resize(rng.permutation(max(self.count_a, self.count_b)), steps * joint)
        index_a = (order % self.count_a).reshape(steps, joint)
        index_b = rng.integers(self.count_b, size=(steps, joint))
        corners = rng.integers(self.size - self.crop + 1, size=(2, steps, joint, 2))
        flips = (rng.random((2, steps, joint)) < 0.5) & self.flip
        slots, swaps = self._pool_draws(rng, epoch, steps, joint)
        shape = (steps, AUGMENTED_VIEWS, joint, AUGMENTATION_DRAWS if self.diffaug else 0)
        augment = rng.random(shape, dtype=np.float32)
        uniform = rng.random((steps, self.uniforms, joint), dtype=np.float32)
        key = rng.integers(2**32, size=steps)
        mine = slice(self.rank * self.batch, (self.rank + 1) * self.batch)
        parts = (index_a, index_b, *corners, *flips, *slots, *swaps)
        shares = [*(part[:, mine] for part in parts), augment[:, :, mine], uniform[:, :, mine], key]
        return RandomDraws(*(torch.from_numpy(np.ascontiguousarray(share)) for share in shares))

    def _pool_draws(
        self, rng: np.random.Generator, epoch: int, steps: int, joint: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slots and swaps of both pools [2, steps, joint]. Each process has pools of its own, filled in step order."""
        slots = rng.integers(max(self.pool, 1), size=(2, steps, joint))
        swaps = rng.random((2, steps, joint)) > 0.5
        seen = (epoch * steps + np.arange(steps))[:, None] * self.batch + np.arange(joint) % self.batch
        filling = seen < self.pool
        slots = np.where(filling, seen, np.where(swaps, slots, self.pool))
        return slots, swaps & ~filling


def normal(keys: Tensor, shape: tuple[int, ...]) -> Tensor:
    """float32 [N, *shape] of N(0, 1): each picture's numbers follow from its key, int64 [N] in [0, 2^32), alone.

    Uniform numbers are hashes of key and position (rounds of xor, shift and multiplication modulo 2^32); two of them
    make two normal ones (Box & Muller 1958). A generator of torch's own would give others on every kind of device.
    """
    pairs = -(-math.prod(shape) // 2)
    place = torch.arange(2 * pairs, device=keys.device)
    uniform = (_hashed(_hashed(keys)[:, None] ^ place).float() + 0.5) / 2**32
    radius, angle = torch.sqrt(-2 * torch.log(uniform[:, :pairs])), 2 * math.pi * uniform[:, pairs:]
    drawn = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
    return drawn[:, : math.prod(shape)].reshape(len(keys), *shape)


def different(key: Tensor, count: int, below: int) -> Tensor:
    """int64 [count]: different numbers from 0 to `below` - 1, which follow from the key, int64 [], modulo 2^32, alone.

    They are those with the smallest hashes, in the order of their hashes. Raises RuntimeError for more than there are.
    """
    numbers = torch.arange(below, device=key.device)
    ranked = _hashed(_hashed(key & 0xFFFFFFFF) ^ numbers) * below + numbers  # no two are equal
    return ranked.topk(count, largest=False).indices


def _hashed(x: Tensor) -> Tensor:
    """int64 in [0, 2^32) -> int64 in [0, 2^32). The factors stay below 2^31, so that no product leaves 63 bits."""
    for factor in (0x45D9F3B, 0x2C1B3C6D, 0x297A2D39):
        x = ((x ^ (x >> 16)) * factor) & 0xFFFFFFFF
    return x ^ (x >> 16)
