"""Large pictures in exact tiles against one big pass and against naive tiles, in one run.

    python benchmarks/translate.py                      # width 16, 1,536 x 1,536: a minute on 2 cores
    python benchmarks/translate.py --width 64 --side 4096 --device cuda

Three ways through the same ResNet generator: `whole` (one forward pass), `tiles` (bamkit: statistics over the whole
picture) and `naive` (overlapping tiles, each normalised on its own: what a plain loop over crops does). Each runs in a
process of its own, so that the peak memory is its own. Printed: seconds, peak memory above the loaded network, the
largest and the mean difference in steps of 1/255 from the same network in float64 (tiles again; tests show that in
float64 they equal one pass to 1e-10), and the mean step across tile borders beyond that one's.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

OVERLAP = 96
"""For `naive`: more than the receptive field of the 9-block ResNet at full size (about 87 px)."""


def picture(side: int) -> np.ndarray:
    """Soft blobs with fine grain, dark at the left, bright at the right: every tile has statistics of its own."""
    from PIL import Image

    rng = np.random.default_rng(0)
    soft = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 8, (side, side, 3))
    light = np.linspace(0.25, 1.0, side)[None, :, None]
    return np.clip(np.asarray(soft) * light + grain, 0, 255).astype(np.uint8)


def given(path: Path) -> np.ndarray:
    """A file's picture, cut to sides that the network takes."""
    from bamkit.common.pictures.reader import open_picture

    pixels = open_picture(path).rgb
    return pixels[: pixels.shape[0] // 4 * 4, : pixels.shape[1] // 4 * 4]


def network(width: int, blocks: int, weights: Path | None):
    """A generator read from public weights, or drawn at random and made strong enough to show."""
    import torch

    from bamkit.gan.train.networks import public_layout
    from bamkit.gan.train.networks.cyclegan import generator, initialise
    from bamkit.gan.train.settings import TrainConfig

    if weights is not None:
        return public_layout.read(weights)
    made = generator(TrainConfig(width=width, blocks=blocks))
    initialise(made, 0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)
    return made


def naive(translator, pixels: np.ndarray, tile: int) -> np.ndarray:
    """Tiles with a halo of OVERLAP, each through the whole network on its own."""
    out = np.empty_like(pixels)
    height, width = pixels.shape[:2]
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            first = (max(top - OVERLAP, 0), max(left - OVERLAP, 0))
            part = pixels[first[0] : min(top + tile + OVERLAP, height), first[1] : min(left + tile + OVERLAP, width)]
            made = translator.whole([part])[0]
            bottom, right = min(top + tile, height), min(left + tile, width)
            out[top:bottom, left:right] = made[top - first[0] : bottom - first[0], left - first[1] : right - first[1]]
    return out


def exact(translator, pixels: np.ndarray, tile: int) -> np.ndarray:
    """The same network in float64: what the other ways are measured against."""
    import torch

    from bamkit.gan.train.networks import public_layout
    from bamkit.gan.translate.tiled_networks import run_resnet
    from bamkit.gan.translate.tiling import Store

    store = Store(translator.device, 8_000_000_000, torch.float64)
    return run_resnet(pixels, public_layout.weights(translator.network), store, tile)


def one(args: argparse.Namespace) -> None:
    """Run one way and print its figures as JSON."""
    import torch

    from bamkit.gan.translate.generator import Translator

    device = torch.device(args.device)
    translator = Translator(network(args.width, args.blocks, args.weights), device, args.tile, int(args.memory * 1e6))
    pixels = np.load(args.out.with_name("picture.npy"))
    translator.whole([pixels[:64, :64]])  # libraries and kernels are loaded
    before = peak(device)
    started = time.perf_counter()
    ways = {
        "whole": lambda: translator.whole([pixels])[0],
        "tiles": lambda: translator.tiled(pixels),
        "naive": lambda: naive(translator, pixels, args.tile),
        "float64": lambda: exact(translator, pixels, args.tile),
    }
    made = ways[args.way]()
    seconds = time.perf_counter() - started
    np.save(args.out, made)
    print(json.dumps({"seconds": seconds, "peak_mb": (peak(device) - before) / 1e6}))


def peak(device) -> float:
    """Peak memory so far, in bytes: of the GPU, or of this process."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's ru_maxrss would also count what the parent held before it started this process
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def seams(made: np.ndarray, truth: np.ndarray, tile: int) -> float:
    """Mean absolute step across the tile borders, less the step that the true picture has there, in 1/255."""
    found = []
    for border in range(tile, made.shape[1], tile):
        steps = [np.abs(a[:, border].astype(int) - a[:, border - 1]).mean() for a in (made, truth)]
        found.append(steps[0] - steps[1])
    return float(np.mean(found)) if found else 0.0


def describe(args: argparse.Namespace) -> str:
    """Which network."""
    return str(args.weights) if args.weights else f"width {args.width}, {args.blocks} blocks"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--side", type=int, default=1536)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--memory", type=float, default=200, help="MB that `tiles` may keep in memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--weights", type=Path, help="public weights (.pth) instead of random ones")
    parser.add_argument("--picture", type=Path, help="a picture of your own instead of a made one")
    parser.add_argument("--keep", type=Path, help="also save the three results as PNG in this folder")
    parser.add_argument("--json", type=Path, help="append each row to this file, as a JSON line")
    parser.add_argument("--way", choices=("whole", "tiles", "naive", "float64"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        one(args)
        return
    rows, results = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "picture.npy", picture(args.side) if args.picture is None else given(args.picture))
        for way in ("whole", "tiles", "naive", "float64"):
            out = Path(folder) / f"{way}.npy"
            words = [sys.executable, __file__, *sys.argv[1:], "--way", way, "--out", str(out)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            rows[way], results[way] = json.loads(done.stdout), np.load(out)
    truth = results["float64"]
    print(f"{truth.shape[1]} x {truth.shape[0]} px, {describe(args)}, tiles of {args.tile}, {args.device}")
    print(f"{'':8}{'seconds':>9}{'against':>9}{'peak MB':>9}{'against':>9}{'largest':>9}{'mean':>8}{'seam':>8}")
    for way, row in rows.items():
        difference = np.abs(results[way].astype(int) - truth)
        print(
            f"{way:8}{row['seconds']:9.1f}{row['seconds'] / rows['whole']['seconds']:8.2f}x{row['peak_mb']:9.0f}"
            f"{row['peak_mb'] / rows['whole']['peak_mb']:8.2f}x{difference.max():9d}{difference.mean():8.3f}"
            f"{seams(results[way], truth, args.tile):8.2f}"
        )
        if args.json:
            figures = {"largest": int(difference.max()), "mean": float(difference.mean())}
            with open(args.json, "a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": "translate", "way": way, "side": args.side, **row, **figures}) + "\n")
    if args.keep:
        from PIL import Image

        args.keep.mkdir(parents=True, exist_ok=True)
        for way, made in results.items():
            Image.fromarray(made).save(args.keep / f"{way}.png")


if __name__ == "__main__":
    main()
