"""How fast a training step is, against the public implementation's structure in plain eager PyTorch, in one run.

    python benchmarks/train.py                        # the ladder of acceleration that this device has
    python benchmarks/train.py --batches 1 2 4 8 16   # images a second by batch size, with the best acceleration
    python benchmarks/train.py --memory               # peak memory, each in a process of its own
    python benchmarks/train.py --methods              # a step of every method against CycleGAN's, and its peak memory
    python benchmarks/train.py --sustained 60         # the real loop for 60 s; the study's training extrapolated
    python benchmarks/train.py --curves 300 --out DIR # losses in float32 and bf16, batch 1 and 8, on the same pictures
    python benchmarks/train.py --loader               # what a pair of pictures costs
    python benchmarks/train.py --only "+ bf16" "+ graph" --json rows.jsonl   # these rungs, and each row as a JSON line

All rungs are measured in turn, round after round, and compared by the median over rounds of the ratio to the baseline
of the same round: a busy machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from baseline import Baseline

from bamkit.common.provenance import versions
from bamkit.gan.train.device.acceleration import Acceleration, compile_failure
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.train.state import TrainState


class Pictures:
    """A domain of random smooth pictures, as TrainState wants it: nothing is decoded."""

    def __init__(self, name, count, size, seed):
        rng = np.random.default_rng(seed)
        coarse = torch.from_numpy(rng.integers(0, 256, (count, 3, 9, 9)).astype(np.float32))
        fine = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
        self.array = fine.permute(0, 2, 3, 1).to(torch.uint8).contiguous().numpy()
        self.name = name


class Bench(TrainState):
    """A train_state on ready arrays."""

    def decode(self, domain, split, most=None):
        return domain.array

    def one(self, step):
        self.train_step(step)
        if len(self.losses) >= 50:
            self.clear_losses()


def peer(config, device, pair, compiled=False):
    """The baseline on the same pictures: cropped beforehand, so that its loader costs it nothing here.

    `compiled`: its networks under Inductor, on CUDA with Inductor's CUDA graphs.
    """
    torch.manual_seed(0)
    network = Baseline(config.width, config.blocks, config.discriminator_channels, device)
    if compiled:
        for part in network.networks():
            part.compile(mode="reduce-overhead" if device.type == "cuda" else "default", dynamic=False)
    pictures = [
        (torch.from_numpy(d.array[:8, : config.crop, : config.crop]).permute(0, 3, 1, 2).to(device) / 127.5 - 1)
        .contiguous() for d in pair
    ]  # fmt: skip
    pictures = [p.repeat(-(-config.batch // len(p)) + 1, 1, 1, 1) for p in pictures]
    for pool in (network.pool_A, network.pool_B):
        # As full as after 50 steps: ours takes that memory at the start.
        pool.pictures = [torch.zeros_like(pictures[0][:1]) for _ in range(pool.size)]

    def step(i):
        at = i % 2
        if compiled:
            torch.compiler.cudagraph_mark_step_begin()
        network.step(*(p[at : at + config.batch] for p in pictures), read=i % 100 == 0)

    return step


def rungs(device, everything):
    """Name -> acceleration, each adding to the one before."""
    if device.type != "cuda":
        found = {
            "plain": Acceleration(),
            "merged": Acceleration(merged=True),
            "fused Adam": Acceleration(fused_adam=True),
        }
        if everything:
            found |= {
                "channels_last": Acceleration(channels_last=True),
                "compile": Acceleration(compile=True),
                "bf16": Acceleration(bf16=True),
            }
        return found
    ladder = {"plain": {}}
    for name, lever in (
        ("+ merged", "merged"), ("+ fused Adam", "fused_adam"), ("+ channels_last", "channels_last"),
        ("+ bf16", "bf16"), ("+ graph", "graph"), ("+ compile", "compile"),
    ):  # fmt: skip
        if lever == "compile" and compile_failure("cuda"):
            continue
        ladder[name] = {**list(ladder.values())[-1], lever: True}
    found = {name: Acceleration(**set_) for name, set_ in ladder.items()}
    found["tf32, graph"] = Acceleration(merged=True, fused_adam=True, channels_last=True, graph=True, tf32=True)
    found["bf16 NCHW, graph, compile"] = replace(found[list(ladder)[-1]], channels_last=False)
    return found


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


CLOCK = {"now": time.perf_counter}
BASELINE, COMPILED = "baseline (peer's structure)", "baseline under Inductor"


def record(path, **row):
    """Append a row to a file of JSON lines, at once."""
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def seconds(step, first, count, device):
    synchronize(device)
    began = CLOCK["now"]()
    for i in range(first, first + count):
        step(i)
    synchronize(device)
    return (CLOCK["now"]() - began) / count


def ladder(config, device, pair, rounds, count, everything, only, path):
    """Median seconds and ratio to the baseline, of every rung, or of those in `only`; a rung that fails is named."""
    steps = {BASELINE: peer(config, device, pair)}
    if COMPILED in only:
        steps[COMPILED] = peer(config, device, pair, compiled=True)
    for name, acceleration in rungs(device, everything).items():
        if only and name not in only:
            continue
        steps[name] = Bench(config, pair, device, ProcessGroup(), acceleration=acceleration).one
    if device.type != "cuda" and not only:
        steps["low memory"] = Bench(
            replace(config, low_memory=True), pair, device, ProcessGroup(), acceleration=Acceleration()
        ).one
    warm = 12 if device.type == "cuda" else 1
    for name, step in list(steps.items()):
        print(f"warming up {name}", file=sys.stderr)
        try:
            first = seconds(step, 0, warm, device) * warm
        except Exception as error:  # a lever that fails here is a result of its own
            print(f"{name} does not work here: {type(error).__name__}: {error}", file=sys.stderr)
            record(path, kind="ladder", rung=name, failed=f"{type(error).__name__}: {error}"[:300])
            del steps[name]
        else:
            record(path, kind="warm-up", rung=name, seconds=first, steps=warm)
    times = {name: [] for name in steps}
    for round_ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, warm + round_ * count, count, device))
    base = times[BASELINE]
    print(f"\n{'rung':28} {'ms a step':>10} {'images/s':>9} {'times as fast':>14}   (lowest .. highest round)")
    for name, measured in times.items():
        ratios = sorted(b / m for b, m in zip(base, measured, strict=True))
        middle = statistics.median(measured)
        record(
            path, kind="ladder", rung=name, batch=config.batch, ms=1000 * middle, ratio=statistics.median(ratios),
            lowest=ratios[0], highest=ratios[-1], rounds=rounds, steps=count,
        )  # fmt: skip
        print(
            f"{name:28} {1000 * middle:10.2f} {config.batch / middle:9.2f} {statistics.median(ratios):14.2f}"
            f"   ({ratios[0]:.2f} .. {ratios[-1]:.2f})"
        )


def flops(config):
    """Floating-point operations of one baseline step (2 a multiply-add), counted on shapes alone."""
    from torch.utils.flop_counter import FlopCounterMode

    network = Baseline(config.width, config.blocks, config.discriminator_channels, "meta", pool=0)
    pictures = [torch.zeros(config.batch, 3, config.crop, config.crop, device="meta") for _ in "AB"]
    with FlopCounterMode(display=False) as counter:
        network.step(*pictures, read=False)
    return counter.get_total_flops()


def matrix_peak(device):
    """Measured bf16 matrix rate, flop/s: the best of some square products."""
    best = 0.0
    for side in (4096, 8192):
        a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
        for _ in range(3):
            a @ a
        best = max(best, 2 * side**3 / seconds(lambda _, a=a: a @ a, 0, 30, device))
    return best


def reserved(device):
    """Bytes of GPU memory that this process reserved at its peak."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None


def batches(config, device, pair, sizes, count, path):
    """Images a second by batch, and the share of the matrix peak on a GPU."""
    peak = matrix_peak(device) if device.type == "cuda" else None
    each = flops(replace(config, batch=1))
    print(f"a step of one image: {each / 1e12:.3f} TFLOP" + (f"; bf16 peak {peak / 1e12:.0f} TFLOP/s" if peak else ""))
    print(f"{'batch':>5} {'ms a step':>10} {'ms an image':>12} {'images/s':>9} {'TFLOP/s':>8} {'of peak':>8}")
    for size in sizes:
        chosen = replace(config, batch=size)
        train_state = Bench(chosen, pair, device, ProcessGroup())
        warm = 12 if device.type == "cuda" else 1
        seconds(train_state.one, 0, warm, device)
        took = seconds(train_state.one, warm, count, device)
        rate = each * size / took
        share = f"{100 * rate / peak:7.1f}%" if peak else ""
        print(
            f"{size:5} {1000 * took:10.2f} {1000 * took / size:12.2f} {size / took:9.2f} {rate / 1e12:8.2f} {share:>8}"
        )
        record(
            path, kind="batch", batch=size, ms=1000 * took, images_s=size / took, tflops=rate / 1e12,
            of_peak=rate / peak if peak else None, reserved=reserved(device),
        )  # fmt: skip
        del train_state


def sustained(config, device, pair, length, path):
    """The best acceleration for `length` seconds without a pause; 200 epochs of 1,000 extrapolated."""
    train_state = Bench(config, pair, device, ProcessGroup())
    warm = 12 if device.type == "cuda" else 1
    seconds(train_state.one, 0, warm, device)
    done, began = warm, time.perf_counter()
    while time.perf_counter() - began < length:
        seconds(train_state.one, done, 50 if device.type == "cuda" else 1, device)
        done += 50 if device.type == "cuda" else 1
    took = (time.perf_counter() - began) / (done - warm)
    whole = took * 200 * -(-1000 // config.batch) / 60
    print(
        f"{done - warm:,} steps of batch {config.batch} in {length:.0f} s, {1000 * took:.2f} ms each; "
        f"extrapolated to 200 epochs of 1,000 pictures: {whole:,.1f} minutes"
    )
    record(path, kind="sustained", batch=config.batch, steps=done - warm, ms=1000 * took, minutes_200_epochs=whole)


def memory(options):
    """Peak memory of two steps, each kind in a process of its own."""
    print(f"{'':24} peak memory, MB")
    for kind in ("baseline", "plain", "low-memory"):
        words = [sys.executable, __file__, "--peak", kind, *options]
        found = subprocess.run(words, capture_output=True, text=True, check=True)
        print(f"{kind:24} {float(found.stdout.splitlines()[-1]):10,.0f}")


VARIANTS = {
    **{name: {"method": name} for name in METHODS},
    "cut, fastcut": {"method": "cut", "fastcut": True},
    **{f"{name}, low memory": {"method": name, "low_memory": True} for name in METHODS},
}
"""The methods, each as it is asked for."""


def methods(config, device, pair, rounds, count, options):
    """Median time of a step of every method, its ratio to CycleGAN's in the same round, and its peak memory."""
    peaks = {}
    for name in VARIANTS:  # first: Linux hands the peak of this process on to its children
        words = [sys.executable, __file__, "--peak", name, *options]
        found = subprocess.run(words, capture_output=True, text=True, check=True)
        peaks[name] = float(found.stdout.splitlines()[-1])
    steps = {
        name: Bench(replace(config, **given), pair, device, ProcessGroup()).one for name, given in VARIANTS.items()
    }
    warm = 12 if device.type == "cuda" else 1
    for step in steps.values():
        seconds(step, 0, warm, device)
    times = {name: [] for name in steps}
    for round_ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, warm + round_ * count, count, device))
    print(f"{'method':24} {'ms a step':>10} {'of CycleGAN':>12}   (lowest .. highest round)  peak memory, MB")
    for name, measured in times.items():
        ratios = sorted(m / c for m, c in zip(measured, times["cyclegan"], strict=True))
        print(
            f"{name:24} {1000 * statistics.median(measured):10.2f} {statistics.median(ratios):12.2f}"
            f"   ({ratios[0]:.2f} .. {ratios[-1]:.2f})  {peaks[name]:10,.0f}"
        )


def peak(kind, config, device, pair):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if kind == "baseline":
        step = peer(config, device, pair)
    else:
        given = VARIANTS.get(kind, {"low_memory": kind == "low-memory"})
        step = Bench(replace(config, **given), pair, device, ProcessGroup()).one
    for i in range(2):
        step(i)
    if device.type == "cuda":
        print(torch.cuda.max_memory_allocated(device) / 1e6)
    else:
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000)


def curves(config, device, pair, count, out):
    """The losses of the same training in float32 and bf16, batch 1 and 8: a CSV, a figure, and the means."""
    found = {}
    for batch in (1, 8):
        for amp in ("off", "bf16"):
            chosen = replace(config, batch=batch, amp=amp)
            acceleration = replace(Acceleration.best(device, chosen), bf16=amp == "bf16")
            train_state = Bench(chosen, pair, device, ProcessGroup(), acceleration=acceleration)
            rows = []
            for i in range(count):
                train_state.train_step(i)
                if len(train_state.losses) == 20:
                    rows += train_state.read_losses()
                    train_state.clear_losses()
            found[f"{'float32' if amp == 'off' else 'bf16'}, batch {batch}"] = rows + train_state.read_losses()
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "curves.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "step", *METHODS["cyclegan"].losses])
        for name, rows in found.items():
            writer.writerows([name, i + 1, *row.values()] for i, row in enumerate(rows))
    last = max(1, count // 5)
    print(f"means over the last {last} of {count} steps")
    for name, rows in found.items():
        means = {key: statistics.fmean(row[key] for row in rows[-last:]) for key in METHODS["cyclegan"].losses[:8]}
        print(f"{name:20} " + "  ".join(f"{key} {value:.3f}" for key, value in means.items()))
    from bamkit.common.pages import figures

    figure = figures.new(9, 3.5)
    with figures.style():
        axes = figure.subplots(1, 2)
        for axis, key in zip(axes, ("cycle_A", "G_A"), strict=True):
            for (name, rows), colour in zip(found.items(), figures.COLOURS, strict=False):
                values = np.array([row[key] for row in rows])
                smooth = np.convolve(values, np.ones(15) / 15, "valid")
                axis.plot(np.arange(len(smooth)) + 15, smooth, color=colour, label=name, lw=1.2)
            axis.set_title(f"{key}, mean of 15 steps")
            axis.set_xlabel("step")
        axes[0].legend()
    (out / "curves.png").write_bytes(figures.png(figure))
    print(out / "curves.png")


def loader(device):
    """A pair of pictures: decoded, resized, cropped and flipped each time, against cut from a resident array."""
    import io

    from PIL import Image

    from bamkit.gan.train.data.loader import UnpairedLoader
    from bamkit.gan.train.random_draws import Sampler

    for side in (512, 2048):
        array = Pictures("a", 1, side, 0).array[0]
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "JPEG", quality=92)
        data = buffer.getvalue()

        def one(_, data=data):
            for _ in "AB":
                picture = Image.open(io.BytesIO(data)).convert("RGB").resize((286, 286), Image.Resampling.BICUBIC)
                cut = picture.crop((10, 10, 266, 266)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                torch.from_numpy(np.array(cut)).permute(2, 0, 1).float().div(127.5).sub(1)

        print(f"loader from {side} px JPEG: {1000 * seconds(one, 0, 20, torch.device('cpu')):8.2f} ms a pair")
    pair = [Pictures(name, 200, 286, i).array for i, name in enumerate("ab")]
    loader = UnpairedLoader(pair[0], pair[1], 256, device)
    loader.set_epoch(Sampler(200, 200, 1, 286, 256, 50, 0).epoch(0))
    took = seconds(lambda i: loader.pictures(loader.inputs(i)), 0, 200, device)
    print(f"resident, cut on the device:  {1000 * took:8.2f} ms a pair")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind, default in (
        ("crop", int, 256), ("width", int, 64), ("blocks", int, 9), ("batch", int, 1), ("rounds", int, 5),
        ("count", int, 0), ("threads", int, 0), ("sustained", float, 0.0), ("curves", int, 0), ("pictures", int, 200),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--only", nargs="+", default=[], help=f"rungs of the ladder, {COMPILED!r} among them")
    parser.add_argument("--json", type=Path, help="append each row to this file, as a JSON line")
    parser.add_argument("--batches", type=int, nargs="+", default=[])
    parser.add_argument("--out", type=Path, default=Path("build/bench-train"))
    parser.add_argument("--everything", action="store_true", help="CPU: the acceleration that do not pay there, too")
    parser.add_argument("--cpu-time", action="store_true", help="processor time instead of wall time (a busy machine)")
    for name in ("memory", "methods", "loader"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--peak")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.cpu_time:
        CLOCK["now"] = time.process_time
    device = torch.device(args.device)
    size = round(args.crop * 286 / 256)
    config = TrainConfig(width=args.width, blocks=args.blocks, batch=args.batch, crop=args.crop, size=size)
    pair = tuple(Pictures(name, args.pictures, size, i) for i, name in enumerate("ab"))
    if args.peak:
        peak(args.peak, config, device, pair)
        return
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{where}; {json.dumps(versions(('torch',)))}")
    print(f"crop {args.crop}, width {args.width}, {args.blocks} blocks, batch {args.batch}")
    count = args.count or (50 if device.type == "cuda" else 2)
    if args.memory:
        memory([word for word in sys.argv[1:] if word != "--memory"])
    elif args.methods:
        options = [word for word in sys.argv[1:] if word != "--methods"]
        methods(config, device, pair, args.rounds, count, options)
    elif args.batches:
        batches(config, device, pair, args.batches, count, args.json)
    elif args.sustained:
        sustained(config, device, pair, args.sustained, args.json)
    elif args.curves:
        curves(config, device, pair, args.curves, args.out)
    elif args.loader:
        loader(device)
    else:
        ladder(config, device, pair, args.rounds, count, args.everything, args.only, args.json)


if __name__ == "__main__":
    main()
