"""torchvision must be importable beside a CPU build of torch."""

import torch

from bamkit.gan.vision import torchvision


def test_torchvision_imports_on_this_install():
    vision = torchvision()
    import torchvision.transforms as v1
    import torchvision.transforms.v2 as v2
    import torchvision.utils as utils
    from torchvision import models

    grid = utils.make_grid(torch.rand(4, 3, 8, 8), nrow=2)
    assert grid.shape == (3, 22, 22), grid.shape
    assert v2.Resize(4)(torch.rand(3, 8, 8)).shape == (3, 4, 4)
    assert v1.CenterCrop(4)(torch.rand(3, 8, 8)).shape == (3, 4, 4)
    assert models.mobilenet_v2(weights=None).eval()(torch.rand(1, 3, 32, 32)).shape == (1, 1000)
    assert torchvision() is vision
