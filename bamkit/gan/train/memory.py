"""How much memory a step needs, counted on shapes alone, and what to say when there is not enough."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from bamkit.common.errors import BamkitError
from bamkit.common.terminal.progress import size
from bamkit.gan.train.methods import build
from bamkit.gan.train.networks import cyclegan
from bamkit.gan.train.settings import TrainConfig

SPARE = 1.25
"""Workspace of the convolutions, fragmentation and what else is not counted, as a factor."""


@cache
def fixed_bytes(config: TrainConfig) -> int:
    """Weights, gradients, Adam's two moments (and the moving average), and the image pools, in float32."""
    with torch.device("meta"):
        nets = build.networks(config)
    averaged = cyclegan.parameters(nets.G_A) + cyclegan.parameters(nets.G_B) if config.ema else 0
    learned = cyclegan.parameters(nets) * 4 * 4 + averaged * 4
    pools = 2 * (config.pool + 1) if config.uses("pool") else 0
    return learned + pools * 3 * config.crop**2 * 4


@cache
def activation_bytes(config: TrainConfig) -> int:
    """What autograd keeps for one step of `config.batch` pictures, at its largest, in float32."""
    with torch.device("meta"):
        picture = torch.zeros(config.batch, 3, config.crop, config.crop)
        generated = _saved(cyclegan.generator(config), picture)
        discriminated = _saved(cyclegan.discriminator(config), picture)
    by_generators, by_discriminators = build.kept_passes(config)
    return round(by_generators * generated + by_discriminators * discriminated)


def needed(config: TrainConfig, bf16: bool = False) -> int:
    """Bytes for a training with these settings, beside the pictures and the program itself."""
    return fixed_bytes(config) + round(activation_bytes(config) * SPARE * (0.5 if bf16 else 1.0))


def fitting_batch(config: TrainConfig, have: int, bf16: bool = False) -> int:
    """The largest batch that fits into `have` bytes; 0 if none does."""
    single = replace(config, batch=1)
    per_picture = needed(single, bf16) - fixed_bytes(single)
    return max(0, (have - fixed_bytes(single)) // max(per_picture, 1))


def available(device: torch.device) -> int | None:
    """Bytes that this process could have on a device, or None where that is not known."""
    if device.type == "cuda":
        # What this process holds already is released when the step is given up.
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = {line.split(":")[0]: line.split()[1] for line in lines if ":" in line}
    return int(kilobytes["MemAvailable"]) * 1024 if "MemAvailable" in kilobytes else None


def warning(config: TrainConfig, device: torch.device, bf16: bool) -> str:
    """A sentence if the training will hardly fit, else an empty text."""
    have, need = available(device), needed(config, bf16)
    if have is None or need <= have:
        return ""
    return f"this needs about {size(need)} of memory and {size(have)} are free: {advice(config, have, bf16)}"


def advice(config: TrainConfig, have: int, bf16: bool = False) -> str:
    """What to change so that the training fits into `have` bytes."""
    batch = fitting_batch(config, have, bf16)
    if 0 < batch < config.batch:
        return f"--batch {batch} would fit"
    saving = replace(config, low_memory=True)
    if not config.low_memory and needed(saving, bf16) <= have:
        return "--low-memory would fit (one cycle direction at a time, the same gradients)"
    for crop in (192, 128, 96, 64):
        if crop < config.crop and needed(replace(saving, batch=1, crop=crop, size=0), bf16) <= have:
            return f"--batch 1 --low-memory --size {round(crop * 286 / 256)} would fit"
    return "--preset quick needs least"


def explain(config: TrainConfig, device: torch.device, bf16: bool) -> BamkitError:
    """What a user is told when memory ran out."""
    have = available(device) or 0
    return BamkitError(
        f"out of memory on {device}: a batch of {config.batch} at {config.crop} px, width {config.width}, needs about "
        f"{size(needed(config, bf16))}, and {size(have)} can be had",
        advice(config, have, bf16),
    )


def _saved(network: torch.nn.Module, picture: Tensor) -> int:
    """Bytes of the tensors that autograd saves in a forward pass, each storage counted once, weights left out."""
    seen: dict[int, Tensor] = {}
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}

    def pack(x: Tensor) -> Tensor:
        if x.untyped_storage()._cdata not in weights:
            seen[x.untyped_storage()._cdata] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        kept = network(picture.requires_grad_())
    total = sum(x.untyped_storage().nbytes() for x in seen.values())
    del kept
    return total
