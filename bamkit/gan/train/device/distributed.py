"""Several processes, on PyTorch's own engine: `torchrun --nproc-per-node N -m bamkit train ...`.

Each process draws the same joint batch and takes its share (random_draws.py), has image pools of its own, and averages
its gradients with the others' before each optimizer step. One process, rank 0, writes.

The mean is one `all_reduce`, not DistributedDataParallel: a step has several networks, several passes of each and, with
low memory, several backward passes, which DDP's hooks would each have to be told of; and one collective stands in a
CUDA graph as it is. What DDP could hide behind the backward pass is 90 MB a step, under a millisecond between GPUs.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bamkit.common.errors import BamkitError
from bamkit.common.terminal.progress import Progress


@dataclass(frozen=True)
class ProcessGroup:
    """This process among all. `ProcessGroup()` is a process alone."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes files and prints."""
        return self.rank == 0

    def progress(self, label: str, total: int) -> Progress:
        """A progress line, which only the writing process shows."""
        return Progress(label, total, stream=None if self.writes else io.StringIO())

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes, in one collective."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([g.reshape(-1) for g in gradients]))
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes."""
        if self.world == 1:
            return values
        values = values.clone()
        with _peers():
            dist.all_reduce(values)
        return values / self.world

    def maximum(self, value: int, device: torch.device) -> int:
        """The largest of the processes' values, known to all of them: how they agree to stop."""
        if self.world == 1:
            return value
        vote = torch.tensor([value], device=device)
        with _peers():
            dist.all_reduce(vote, op=dist.ReduceOp.MAX)
            return int(vote.item())

    def broadcast(self, value: Tensor) -> Tensor:
        """Rank 0's value, known to all."""
        if self.world > 1:
            with _peers():
                dist.broadcast(value, src=0)
        return value

    def all_gather(self, value: Tensor) -> list[Tensor]:
        """Every process's value, in rank order, known to all (equal shapes)."""
        if self.world == 1:
            return [value]
        values = [torch.empty_like(value) for _ in range(self.world)]
        with _peers():
            dist.all_gather(values, value.contiguous())
        return values

    def barrier(self) -> None:
        """Until every process is here."""
        if self.world > 1:
            with _peers():
                dist.barrier()


@contextmanager
def _peers() -> Iterator[None]:
    """What the backends raise when another process is gone, as a BamkitError."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise BamkitError(
            f"another process of this training has ended ({str(error).splitlines()[0]})",
            "its own message says why; then torchrun ... -m bamkit train --resume",
        ) from error


@contextmanager
def process_group(device: str | None = None) -> Iterator[ProcessGroup]:
    """The group that torchrun started this process in (NCCL where each process has a GPU, else gloo), or one alone.

    Raises BamkitError if there are more processes than GPUs and CUDA was asked for.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ProcessGroup()
        return
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    cuda = (device or "").startswith("cuda") or (device in (None, "auto") and torch.cuda.is_available())
    if cuda and torch.cuda.device_count() < local_world:
        raise BamkitError(
            f"{local_world} processes for {torch.cuda.device_count()} GPUs",
            f"torchrun --nproc-per-node {max(torch.cuda.device_count(), 1)} -m bamkit train ..., or --device cpu",
        )
    group = ProcessGroup(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
    if cuda:
        torch.cuda.set_device(group.local_rank)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield group
    finally:
        dist.destroy_process_group()
