"""Settings of `bamkit judge train`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bamkit.common.errors import BamkitError
from bamkit.common.settings import PYTHON_ONLY, Option, Range, check

SMALLEST = 32
"""Pixels: below it the backbones have nothing left to pool."""


@dataclass(frozen=True)
class JudgeConfig:
    """How a judge is trained. `JudgeConfig()` trains a small ResNet from scratch in minutes on a CPU."""

    weights: Annotated[Path | None, Option(metavar="FILE", default="from scratch")] = None
    """Pretrained: a torchvision backbone's state dict (.pth), or Keras' MobileNetV2 (.h5)."""
    backbone: Annotated[str, Option(default="resnet10")] = ""
    """From scratch: resnet10, resnet18, mobilenet_v3_small ...; hog: form alone.

    One of backbones.BACKBONES, or HOG; with weights "" is whatever they are of.
    """
    size: Annotated[int, Range(0), Option(default="64, or 160 with --weights")] = 0
    """Side of the pictures it sees, in pixels."""
    epochs: Annotated[int, Range(1)] = 20
    """Passes over the pictures, where it is trained whole."""
    finetune: bool = False
    """With --weights: train the backbone too, not only a linear head."""
    batch: Annotated[int, Range(2), PYTHON_ONLY] = 32
    """Pictures in a step."""
    learning_rate: Annotated[float, Range(0, min_open=True), PYTHON_ONLY] = 0.001
    """AdamW's peak learning rate (one-cycle schedule); a tenth of it for pretrained weights."""
    weight_decay: Annotated[float, Range(0), PYTHON_ONLY] = 0.05
    """AdamW's weight decay."""
    seed: Annotated[int, Range(0)] = 0
    """Of the parts, the weights and the order."""
    device: str = "auto"
    """auto, cpu or cuda."""

    def __post_init__(self) -> None:
        check(self)
        if self.size and self.size < SMALLEST:
            raise BamkitError(f"a judge needs pictures of at least {SMALLEST} px, not {self.size}")
        if self.finetune and self.weights is None:
            raise BamkitError("there is nothing to fine-tune without pretrained weights", "give --weights FILE")

    @property
    def side(self) -> int:
        """Side in pixels, resolved."""
        return self.size or (160 if self.weights else 64)
