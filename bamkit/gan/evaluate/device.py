"""Where the evaluation's networks run."""

from __future__ import annotations

import torch

from bamkit.common.errors import BamkitError


def device_of(name: str) -> torch.device:
    """`auto`: a GPU if there is one. Raises BamkitError for a name that torch does not know or that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BamkitError(f"no device {name!r} here: {str(error).splitlines()[0]}", "--device cpu") from error
    return device
