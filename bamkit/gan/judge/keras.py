"""Keras' MobileNetV2 weights (.h5) in torchvision's MobileNetV2, giving the same features.

Three things differ: where layers are named, epsilon of the batch norms, and the padding of stride-2 convolutions, which
Keras puts at the bottom and the right.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bamkit.common.errors import BamkitError

if TYPE_CHECKING:
    import numpy as np


class SamePadded(nn.Module):
    """A 3 x 3 convolution of stride 2 padded as TensorFlow's `same`: 1 pixel after, and 1 before for odd sides."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        convolution.padding = (0, 0)
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        padded: Tensor = self.convolution(F.pad(x, (width % 2, 1, height % 2, 1)))
        return padded


def load(network: nn.Module, path: Path) -> None:
    """Put the weights of `path` into torchvision's `mobilenet_v2` (its classifier is left alone).

    The network is changed to Keras' padding and epsilon. Raises BamkitError if h5py is missing or the file does not
    hold a MobileNetV2 of width 1.0.
    """
    weights = _read(path)
    pairs = list(zip(_torch_layers(network), _keras_layers(), strict=True))
    for (convolution, norm), (kernel, batch_norm) in pairs:
        depthwise = convolution.groups > 1
        order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
        _copy(convolution.weight, weights, (kernel, "depthwise_kernel" if depthwise else "kernel"), path, order)
        names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        for own, theirs in names.items():
            _copy(getattr(norm, own), weights, (batch_norm, theirs), path)
    same_padding(network)


def same_padding(network: nn.Module) -> None:
    """Give a fresh torchvision `mobilenet_v2` Keras' padding and epsilon, so that a saved state fits again."""
    for _, norm in _torch_layers(network):
        norm.eps = 1e-3
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and child.stride == (2, 2):
                setattr(parent, name, SamePadded(child))


def _torch_layers(network: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Every convolution with the batch norm that follows it, in order."""
    modules = list(network.get_submodule("features").modules())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    return list(zip(convolutions, norms, strict=True))


def _keras_layers() -> list[tuple[str, str]]:
    """The names of Keras' convolutions and their batch norms, in the same order."""
    layers = [("Conv1", "bn_Conv1"), ("expanded_conv_depthwise", "expanded_conv_depthwise_BN")]
    layers += [("expanded_conv_project", "expanded_conv_project_BN")]
    for block in range(1, 17):
        layers += [(f"block_{block}_{part}", f"block_{block}_{part}_BN") for part in ("expand", "depthwise", "project")]
    return [*layers, ("Conv_1", "Conv_1_bn")]


def _read(path: Path) -> dict[tuple[str, str], np.ndarray]:
    """Every array of the file by (layer, parameter), without the optimizer's."""
    try:
        import h5py
    except ImportError as error:
        raise BamkitError("weights in a Keras .h5 file need h5py", "pip install h5py") from error
    weights: dict[tuple[str, str], np.ndarray] = {}

    def visit(name: str, item: object) -> None:
        parts = name.split("/")
        if isinstance(item, h5py.Dataset) and len(parts) > 1 and not parts[0].startswith("optimizer"):
            weights[parts[-2], parts[-1].split(":")[0]] = item[()]

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except OSError as error:
        raise BamkitError(f"{path} is not a readable HDF5 file: {str(error).splitlines()[0]}") from error
    return weights


def _copy(
    own: Tensor,
    weights: dict[tuple[str, str], np.ndarray],
    key: tuple[str, str],
    path: Path,
    order: tuple[int, ...] | None = None,
) -> None:
    # Keras 2 calls it depthwise_kernel, Keras 3 just kernel.
    value = weights.get(key, weights.get((key[0], "kernel")) if key[1] == "depthwise_kernel" else None)
    if value is None:
        raise BamkitError(f"{path} does not hold Keras' MobileNetV2: there is no {'/'.join(key)}")
    stored = torch.from_numpy(value.transpose(order) if order and value.ndim == len(order) else value)
    if stored.shape != own.shape:
        raise BamkitError(
            f"{path} does not hold a MobileNetV2 of width 1.0: {'/'.join(key)} is {tuple(stored.shape)}, "
            f"not {tuple(own.shape)}"
        )
    with torch.no_grad():
        own.copy_(stored)
