"""Which device a network runs on, and its name for a person."""

from __future__ import annotations

import torch

from bamkit.common.errors import BamkitError


def pick_device(name: str | None, local_rank: int = 0) -> torch.device:
    """`cuda`, `cuda:1`, `mps`, `cpu`, or None / `auto` for the best there is. Raises BamkitError if it is not there."""
    if name in (None, "auto"):
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BamkitError(f"there is no device {name!r}", "--device cpu, cuda, cuda:1 or mps") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            built = (
                "this torch is built without CUDA" if torch.version.cuda is None else "no NVIDIA driver or GPU found"
            )
            raise BamkitError(f"there is no CUDA device here: {built}", "--device cpu")
        index = device.index if device.index is not None else local_rank
        if index >= torch.cuda.device_count():
            raise BamkitError(
                f"there is no GPU {index}: this machine has {torch.cuda.device_count()}", "--device cuda:0"
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise BamkitError("there is no MPS device here", "--device cpu")
    if device.type not in ("cpu", "mps"):
        raise BamkitError(f"bamkit does not run on {device.type!r}", "--device cpu, cuda, cuda:1 or mps")
    return device


def device_name(device: torch.device) -> str:
    """A device in words, such as `CPU (2 threads)` or `cuda:0 (NVIDIA H200)`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' if threads > 1 else ''})" if device.type == "cpu" else str(device)


def exhausted(error: BaseException | None) -> bool:
    """Whether an error, or one that it covers, says that memory ran out, on a GPU or on a CPU.

    A failed capture of a CUDA graph raises an error of its own on the way out.
    """
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(error, RuntimeError) and any(w in str(error) for w in ("can't allocate memory", "out of memory")):
            return True
        error = error.__cause__ or error.__context__
    return False
