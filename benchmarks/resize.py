r"""The quick preset's rival that paints: a U-Net of bilinear enlargements and convolutions (Odena et al. 2016).

    python benchmarks/resize.py train --preset quick --generator unet --name resize --steps 2000   # in the workspace
    python benchmarks/resize.py translate resize
    python benchmarks/resize.py cost            # processor time of a step beside the affine generator's
    python benchmarks/grid.py happy-scary resize

Everything but `cost` is bamkit's own command line, in which `--generator unet` means this network: bilinear enlargement
and a 3 x 3 convolution take the place of every transposed convolution, the last one is 5 x 5. It is no part of bamkit,
since docs/benchmarks.md says what it does worse.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from bamkit.cli import main
from bamkit.common.workspace import Workspace
from bamkit.gan.train.data import domains
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.networks import cyclegan
from bamkit.gan.train.networks.affine import enlarge
from bamkit.gan.train.settings import build
from bamkit.gan.train.state import TrainState
from bamkit.gan.translate import generator as translation
from bamkit.gan.translate.tiled_networks import run_unet


class Enlarge(nn.Conv2d):
    """[N, C, H, W] -> [N, D, 2 H, 2 W]: bilinear, then a convolution with the border's values repeated outside."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(enlarge(x))


class ResizeUnet(cyclegan.UnetGenerator):
    """`UnetGenerator` with `Enlarge` in place of its transposed convolutions."""

    def __init__(self, width: int = 64, halvings: int = 8) -> None:
        super().__init__(width, halvings)
        for level, layer in enumerate(self.up):
            assert isinstance(layer, nn.ConvTranspose2d)
            side = 3 if level else 5
            self.up[level] = Enlarge(
                layer.in_channels, layer.out_channels, side, padding=side // 2, padding_mode="replicate",
                bias=layer.bias is not None,
            )  # fmt: skip


def cost(settings: list[dict[str, object]], rounds: int = 8, steps: int = 12) -> None:
    """Processor time of a step with each of these settings over the quick preset's, in turn, on the splits here."""
    pair = domains.find_pair(Workspace.open(Path()), "happy", "scary")
    states = [TrainState(build("quick", given=given), pair, torch.device("cpu"), ProcessGroup()) for given in settings]
    found: list[list[float]] = [[] for _ in settings]
    for number in range(rounds + 1):
        for state, times in zip(states, found, strict=True):
            begun = time.process_time()
            for step in range(steps):
                state.train_step(number * steps + step)
            if number:  # the first round warms up
                times.append((time.process_time() - begun) / steps * 1000)
    for given, times in zip(settings, found, strict=True):
        ratio = statistics.median(a / b for a, b in zip(times, found[0], strict=True))
        print(f"{given}: {statistics.median(times):.0f} ms a step, {ratio:.2f} of the first, {rounds} rounds")


if __name__ == "__main__":
    cyclegan.UnetGenerator = ResizeUnet  # type: ignore[misc]
    translation.RUN[ResizeUnet] = run_unet
    if sys.argv[1:] == ["cost"]:
        small = {"generator": "unet", "width": 24, "size": 72, "crop": 64}
        cost([{}, {"generator": "unet"}, small])
    else:
        main()
