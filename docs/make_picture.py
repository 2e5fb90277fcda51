"""Draw docs/demo.webp, the picture of the README, from what `bamkit demo` left in a folder.

    python docs/make_picture.py demo

Of each direction eight pictures spread evenly over the test ranks, each above its translation. Nobody chooses them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from bamkit.common.pictures.generated import xmp_packet
from bamkit.common.workspace import Workspace
from bamkit.experiment.page import before_after
from bamkit.experiment.settings import DemoConfig
from bamkit.gan.train.checkpoint import read_run
from bamkit.gan.translate.grid import evenly

COLUMNS, GAP, BETWEEN = 8, 4, 12
"""Pictures of each direction; pixels between pictures, and between the directions."""


def sheet(workspace: Workspace) -> Image.Image:
    """Two rows a direction: before, after."""
    a, b = DemoConfig.domains
    directions = [
        before_after(workspace, source, f"{source}-to-{target}", DemoConfig.run) for source, target in ((a, b), (b, a))
    ]
    side = directions[0][0][2].width
    height = 4 * side + 2 * GAP + BETWEEN
    drawn = Image.new("RGB", (COLUMNS * (side + GAP) - GAP, height), "white")
    for number, pairs in enumerate(directions):
        top = number * (2 * side + GAP + BETWEEN)
        for column, index in enumerate(evenly(len(pairs), COLUMNS)):
            _, before, after = pairs[index]
            drawn.paste(before.resize(after.size, Image.Resampling.LANCZOS), (column * (side + GAP), top))
            drawn.paste(after, (column * (side + GAP), top + side + GAP))
    return drawn


if __name__ == "__main__":
    target = Path(__file__).parent / "demo.webp"
    workspace = Workspace.open(Path(sys.argv[1]))
    made_by = read_run(workspace.run(DemoConfig.run))["run_id"]
    xmp = xmp_packet(DemoConfig.run, made_by).encode()
    sheet(workspace).save(target, quality=88, method=6, xmp=xmp)
    print(f"{target}: {target.stat().st_size:,} bytes")
