"""The networks of CycleGAN as plain `nn.Module`s, and generators of the public implementation from their files.

    >>> import torch
    >>> from bamkit import networks
    >>> picture = torch.zeros(1, 3, 64, 64)
    >>> networks.ResnetGenerator(width=8, blocks=2)(picture).shape
    torch.Size([1, 3, 64, 64])
    >>> networks.UnetGenerator(width=8, halvings=4)(picture).shape
    torch.Size([1, 3, 64, 64])
    >>> networks.AffineGenerator(width=8, halvings=4)(picture).shape
    torch.Size([1, 3, 64, 64])
    >>> half = torch.tensor([0.5])  # of the way from the source (0) to the whole translation (1)
    >>> networks.ConditionalResnetGenerator(width=8, blocks=2)(picture, half).shape
    torch.Size([1, 3, 64, 64])
    >>> networks.ConditionalAffineGenerator(width=8, halvings=4)(picture, half).shape
    torch.Size([1, 3, 64, 64])
    >>> networks.PatchDiscriminator(width=8)(picture).shape
    torch.Size([1, 1, 6, 6])
    >>> networks.read_generator("no-such-file.pth")
    Traceback (most recent call last):
    bamkit.common.errors.BamkitError: ...

The generators of a run: `bamkit.Run(path).generator()`.
"""

from bamkit.gan.train.networks.affine import AffineGenerator, ConditionalAffineGenerator
from bamkit.gan.train.networks.cyclegan import (
    ConditionalResnetGenerator,
    PatchDiscriminator,
    ResnetGenerator,
    UnetGenerator,
)
from bamkit.gan.train.networks.public_layout import read_generator

__all__ = [
    "AffineGenerator", "ConditionalAffineGenerator", "ConditionalResnetGenerator", "PatchDiscriminator",
    "ResnetGenerator", "UnetGenerator", "read_generator",
]  # fmt: skip
