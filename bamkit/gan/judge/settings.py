"""Settings of `bamkit judge train`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bamkit.common.errors import BamkitError


@dataclass(frozen=True)
class JudgeConfig:
    """How a judge is trained. `JudgeConfig()` trains a small ResNet from scratch in minutes on a CPU."""

    weights: Path | None = None
    """A torch state dict of a torchvision backbone, or Keras' MobileNetV2 (.h5). None: from scratch."""
    backbone: str = ""
    """One of backbone.BACKBONES; "" is resnet10 from scratch, and with weights whatever they are of."""
    size: int = 0
    """Side in pixels at which pictures are judged; 0 is 64 from scratch and 160 with pretrained weights."""
    epochs: int = 20
    """Passes over the fitting pictures (not used where only the head is fitted)."""
    finetune: bool = False
    """With pretrained weights: fit a linear head, then train the backbone too. Otherwise the head alone."""
    batch: int = 32
    """Pictures in a step."""
    learning_rate: float = 0.001
    """AdamW's peak learning rate (one-cycle schedule); a tenth of it for pretrained weights."""
    weight_decay: float = 0.05
    """AdamW's weight decay."""
    seed: int = 0
    """Seed of the parts, the weights, the order and the augmentation."""
    device: str = "auto"
    """`auto`, `cpu` or `cuda`."""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise BamkitError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if self.size and self.size < 32:
            raise BamkitError(f"a judge needs pictures of at least 32 px, not {self.size}")
        if self.learning_rate <= 0 or self.weight_decay < 0:
            raise BamkitError("the learning rate must be above 0 and the weight decay not below")
        if self.finetune and self.weights is None:
            raise BamkitError("there is nothing to fine-tune without pretrained weights", "give --weights FILE")

    @property
    def side(self) -> int:
        """Side in pixels, resolved."""
        return self.size or (160 if self.weights else 64)
