"""What a step is made of on a GPU: rates of the device, kernels by shape, layout and precision, a profile of a step.

python benchmarks/gpu_kernels.py rates      # copy bandwidth, matrix products
python benchmarks/gpu_kernels.py kernels    # convolutions (forward, data, weight gradient), norm, padding
python benchmarks/gpu_kernels.py profile    # kernels of two steps: the share that is busy, copies between layouts
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import torch
import torch.nn.functional as F
from train import Bench, Pictures, matrix_peak, record, seconds

from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.networks.normalisation import normalise
from bamkit.gan.train.settings import TrainConfig

SHAPES = {
    "7x7 3>64": (3, 64, 7, 1, 256), "3x3/2 64>128": (64, 128, 3, 2, 256), "3x3/2 128>256": (128, 256, 3, 2, 128),
    "3x3 256>256": (256, 256, 3, 1, 64), "7x7 64>3": (64, 3, 7, 1, 256), "4x4/2 3>64": (3, 64, 4, 2, 256),
    "4x4/2 64>128": (64, 128, 4, 2, 128), "4x4 256>512": (256, 512, 4, 1, 32),
}  # fmt: skip
"""The convolutions of the published networks at 256 px: channels in and out, kernel, stride, side of the input."""


def rates(device, path, small):
    """Bytes a second of a copy, flop a second of square matrix products."""
    mega = 4 if small else 1024
    source = torch.empty(mega * 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    took = seconds(lambda _: target.copy_(source), 0, 10, device)
    record(path, kind="rate", what="copy", value=2 * source.numel() / took / 1e9, unit="GB/s")
    if not small:
        record(path, kind="rate", what="bf16 matrix product", value=matrix_peak(device) / 1e12, unit="TFLOP/s")


def kernels(device, path, small):
    """Milliseconds of each convolution's three passes, of norm and of padding, batch 1."""
    count = 1 if small else 30
    for (name, shape), layout, dtype in itertools.product(SHAPES.items(), ("nchw", "nhwc"), ("float32", "bfloat16")):
        channels, out, kernel, stride, side = shape
        side = 16 if small else side
        memory = torch.channels_last if layout == "nhwc" else torch.contiguous_format
        x, weight = (
            torch.randn(size, device=device, dtype=getattr(torch, dtype)).to(memory_format=memory)
            for size in ((1, channels, side, side), (out, channels, kernel, kernel))
        )
        y = F.conv2d(x, weight, stride=stride, padding=(kernel - 1) // 2)
        gradient = torch.randn_like(y)
        sizes = [stride] * 2, [(kernel - 1) // 2] * 2, [1, 1], False, [0, 0], 1

        def backward(mask, x=x, weight=weight, gradient=gradient, sizes=sizes):
            return torch.ops.aten.convolution_backward(gradient, x, weight, None, *sizes, mask)

        passes = {
            "forward": lambda _, x=x, w=weight, s=stride, k=kernel: F.conv2d(x, w, stride=s, padding=(k - 1) // 2),
            "data gradient": lambda _, run=backward: run([True, False, False]),
            "weight gradient": lambda _, run=backward: run([False, True, False]),
        }
        flop = 2 * y.numel() * channels * kernel**2
        for kind, step in passes.items():
            row = {"kind": "kernel", "what": f"{name} {kind}", "layout": layout, "dtype": dtype}
            timed(path, row, step, count, device, flop)
    for layout, dtype in itertools.product(("nchw", "nhwc"), (torch.float32, torch.bfloat16)):
        x = torch.randn(1, 256, 64, 64, device=device, dtype=dtype)
        x = x.to(memory_format=torch.channels_last if layout == "nhwc" else torch.contiguous_format)
        for what, step in {
            "norm, relu, padding": lambda _, x=x: normalise(x, "relu", 1),
            "batch_norm of one picture": lambda _, x=x: F.batch_norm(x, None, None, training=True),
            "padding": lambda _, x=x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
        }.items():
            row = {"kind": "kernel", "what": what, "layout": layout, "dtype": str(dtype).removeprefix("torch.")}
            timed(path, row, step, count, device)


def timed(path, row, step, count, device, flop=0):
    """Record a row with the milliseconds of a step, or why it does not work here."""
    try:
        seconds(step, 0, 3, device)
        took = seconds(step, 0, count, device)
    except (RuntimeError, NotImplementedError) as error:
        record(path, **row, failed=str(error).splitlines()[0][:200])
        return
    record(path, **row, ms=1000 * took, **({"tflops": flop / took / 1e12} if flop else {}))


def profile(device, path, small):
    """The longest kernels of two steps with the best acceleration, and how much of the time the device is busy."""
    sizes = {"crop": 32, "size": 36, "width": 4, "blocks": 1} if small else {}
    config = TrainConfig(**sizes)
    pair = tuple(Pictures(name, 8, config.size, i) for i, name in enumerate("ab"))
    state = Bench(config, pair, device, ProcessGroup())
    seconds(state.one, 0, 12, device)
    wall = seconds(state.one, 12, 2, device) * 2
    kind = torch.profiler.ProfilerActivity.CPU if device.type == "cpu" else torch.profiler.ProfilerActivity.CUDA
    with torch.profiler.profile(activities=[kind]) as profiler:
        seconds(state.one, 14, 2, device)
    events = profiler.key_averages()

    def spent(event):
        return event.self_cpu_time_total if device.type == "cpu" else event.self_device_time_total

    total = sum(map(spent, events))
    record(path, kind="rate", what="busy share of two steps", value=total / 1e6 / wall, unit="")
    layout = sum(e.count for e in events if "nchwtonhwc" in e.key.lower() or "nhwctonchw" in e.key.lower())
    record(path, kind="rate", what="copies between layouts in two steps", value=layout, unit="kernels")
    for event in sorted(events, key=spent, reverse=True)[:25]:
        row = {"kernel": event.key[:90].replace("|", "/"), "calls": event.count, "ms": spent(event) / 1000}
        record(path, kind="profile", **row, share=spent(event) / total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rates", "kernels", "profile"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, default=Path("/dev/stdout"), help="append rows to this file")
    parser.add_argument("--small", action="store_true", help="toy sizes, for a rehearsal")
    args = parser.parse_args()
    {"rates": rates, "kernels": kernels, "profile": profile}[args.what](
        torch.device(args.device), args.json, args.small
    )


if __name__ == "__main__":
    main()
