"""LPIPS, where its weights are at hand. Nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bamkit.common.errors import BamkitError
from bamkit.common.provenance import sha256_file
from bamkit.gan.vision import torchvision

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"
"""torchvision's ImageNet AlexNet, which LPIPS (alex) is defined on."""


class Lpips:
    """Learned perceptual distance of Zhang et al. (2018), version 0.1 on AlexNet, through the authors' package `lpips`.

    That package carries the learned linear weights; AlexNet's own must be given or lie in torch's cache.
    """

    def __init__(self, weights: Path, device: torch.device | str = "cpu") -> None:
        """`weights`: torchvision's AlexNet state dict. Raises BamkitError if it is not that, or lpips is missing."""
        torchvision()
        try:
            import lpips
        except ImportError as error:
            raise BamkitError("LPIPS needs the package lpips", "pip install lpips") from error
        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        try:
            stored = torch.load(weights, map_location="cpu", weights_only=True)
            # slice3.6.weight of lpips is features.6.weight of torchvision.
            own = {name: stored[f"features.{name.split('.', 1)[1]}"] for name in network.net.state_dict()}
            network.net.load_state_dict(own)
        except FileNotFoundError as error:
            raise BamkitError(f"there is no file {weights}") from error
        except Exception as error:
            # torch reports foreign, damaged and hostile files through many exception types.
            text = str(error).splitlines()[0]
            raise BamkitError(f"{weights} does not hold AlexNet's weights: {text}", f"it is {ALEXNET_FILE}") from error
        self.sha256 = sha256_file(weights)
        self._network, self._device = network.to(device).eval(), device

    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        """Distance of two (H, W, 3) uint8 pictures of one shape, at least 32 x 32: 0 for identical ones, >= 0."""
        pair = [
            torch.from_numpy(p.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None].to(self._device) for p in (a, b)
        ]
        with torch.inference_mode():
            return float(self._network(*pair))


def alexnet_weights() -> Path | None:
    """AlexNet's weights in torch's cache; None if they are not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET_FILE
    return path if path.is_file() else None
