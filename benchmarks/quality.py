"""Time to quality: seconds of training until the validation score that the public implementation ends with.

    python benchmarks/quality.py run --from happy --to scary --out DIR --ways public --seeds 0 1 2
    python benchmarks/quality.py run --from happy --to scary --out DIR --ways affine --seeds 0 1 2 --target DIR
    python benchmarks/quality.py table DIR               # Markdown of all that DIR/rows.jsonl holds

Run in a workspace with two fetched splits. `public` is the public implementation's structure (baseline.py) with its
optimizer and schedule, on the very crops, flips and order of pictures that bamkit's loader draws for the same seed; the
other ways are bamkit's trainer with other settings (WAYS). Rules:

- The clock runs while steps are computed: loader, networks, optimizers, moving averages. It stands still while pictures
  are decoded, and for validations, samples, guards and files. Seconds are processor time (user + system of this
  process) on a CPU, which other programs on the machine disturb least; seconds by the clock stand beside them.
- A validation is monitor/validation.py's score on the validation split, 10 times along each way's own schedule. Reached
  is the first of them whose mean with the one before is at or below the target; its time is the later one's. The
  target is the median, over seeds, of the same mean at the end of `public`'s schedule. A run that reaches it stops.
- The score alone can be had by a worse picture. So every row has, at the moment it is reached: cycle, variety, and on
  the test split KID of colours and edges, KID of form (histograms of oriented gradients), edges kept and the energy of
  a 2 px grid; and a sheet of pictures, the first of the test split.
- Beside each validation two steps of `public` are timed (not counted): its cost in the same minutes on the same
  machine. The ratio of a row is public's median steps to the target x that cost / the row's seconds.
- Joules are those of the processor packages by their RAPL counters, whoever used them; where there are none (most
  virtual machines, other accelerators) the column is missing.
- Ways are chosen on seeds from 100 on and reported on seeds from 0 on. Every row names machine, commit and command.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from baseline import Baseline

from bamkit import metrics
from bamkit.common.provenance import versions
from bamkit.common.workspace import Workspace
from bamkit.gan.evaluate.features import Colours
from bamkit.gan.judge.hog import Hog
from bamkit.gan.train.data import domains
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.monitor import samples
from bamkit.gan.train.monitor.validation import Validator
from bamkit.gan.train.networks import cyclegan
from bamkit.gan.train.schedule import Schedule
from bamkit.gan.train.settings import build
from bamkit.gan.train.state import TrainState

SCALE: dict[str, Any] = {"size": 64, "crop": 56, "width": 16, "blocks": 6, "steps": 400}
"""The public settings but for these: a whole schedule in minutes of one core."""
WAYS: dict[str, dict[str, Any]] = {
    "public": {},
    "merged passes": {},
    "small": {"width": 8, "blocks": 3, "learning_rate": 4e-4},
    "affine": {
        "generator": "affine", "halvings": 3, "lambda_a": 3.0, "lambda_b": 3.0, "learning_rate": 8e-4, "ema": 0.98,
    },
    "affine, 640 steps": {
        "generator": "affine", "halvings": 3, "lambda_a": 3.0, "lambda_b": 3.0, "learning_rate": 8e-4, "steps": 640,
    },
}  # fmt: skip
"""Settings of each way. `small` also enlarges by interpolation and a convolution (Enlarging)."""
VALIDATIONS = 10
BESIDE = 2


class Public:
    """The public structure, fed by bamkit's loader."""

    def __init__(self, config, state):
        torch.manual_seed(config.seed)
        random.seed(config.seed)
        self.state = state
        self.networks = Baseline(config.width, config.blocks, config.discriminator_channels, state.device)
        self._epoch = -1

    def train_step(self, step):
        epoch, within = divmod(step, self.state.sampler.steps_per_epoch)
        if epoch != self._epoch:
            self.state.loader.set_epoch(self.state.sampler.epoch(epoch))
            self._epoch = epoch
        self.networks.step(*self.state.loader.pictures(self.state.loader.inputs(within)), read=step % 100 == 0)

    def set_rate(self, rate):
        for optimizer in (self.networks.optimizer_G, self.networks.optimizer_D):
            for group in optimizer.param_groups:
                group["lr"] = rate

    def translators(self):
        return self.networks.G_A, self.networks.G_B


class Enlarge(torch.nn.Conv2d):
    """[N, C, H, W] -> [N, D, 2 H, 2 W]: bilinear, then a convolution (Odena et al. 2016)."""

    def forward(self, x):
        return super().forward(torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear"))


class Enlarging(cyclegan.ResnetGenerator):
    """The ResNet generator without transposed convolutions."""

    def __init__(self, width, blocks):
        super().__init__(width, blocks)
        for i, layer in enumerate(self.up):
            self.up[i] = Enlarge(
                layer.in_channels, layer.out_channels, 3, padding=1, padding_mode="reflect", bias=False
            )


class Clock:
    """Processor seconds, seconds by the clock and joules, while it runs."""

    def __init__(self, device):
        self.device = device
        self.total = {"seconds": 0.0, "wall": 0.0} | ({"joules": 0.0} if joules() is not None else {})

    def _now(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        wall = time.perf_counter()
        now = {"seconds": wall if self.device.type == "cuda" else time.process_time(), "wall": wall}
        return now | ({"joules": joules()} if "joules" in self.total else {})

    def __enter__(self):
        self._began = self._now()

    def __exit__(self, *_):
        now = self._now()
        # A counter of joules begins anew at its end: that one step is left out.
        self.total = {key: self.total[key] + max(0.0, now[key] - self._began[key]) for key in self.total}


def joules(folder=Path("/sys/class/powercap")):
    """What the processor packages have used (Intel's and AMD's RAPL counters), or None where they cannot be read."""
    try:
        counters = sorted(folder.glob("intel-rapl:?"))
        return sum(int((path / "energy_uj").read_text()) for path in counters) / 1e6 if counters else None
    except OSError:
        return None


class Guards:
    """What a low score must not be bought with, measured on the test split."""

    def __init__(self, pictures):
        self.pictures, self._colours, self._form = pictures, Colours(), Hog()
        self.real = [self._features(p) for p in pictures]

    def _features(self, pictures):
        tensor = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
        return self._colours(list(pictures)), self._form(tensor).numpy()

    @torch.no_grad()
    def __call__(self, translators, device):
        rows = []
        for source, translate in enumerate(translators):
            x = torch.from_numpy(np.ascontiguousarray(self.pictures[source])).permute(0, 3, 1, 2).float() / 127.5 - 1
            fakes = np.stack([samples.as_picture(translate(one.to(device))) for one in x.split(1)])
            found = self._features(fakes)
            pairs = list(zip(self.pictures[source], fakes, strict=True))
            rows.append({
                "kid": metrics.polynomial_mmd(found[0], self.real[1 - source][0]),
                "form": metrics.polynomial_mmd(found[1], self.real[1 - source][1]),
                "edges": statistics.fmean(metrics.edge_agreement(*pair) for pair in pairs),
                "grid": statistics.fmean(metrics.grid_energy(fake, 2) for fake in fakes),
            })  # fmt: skip
        return {key: (rows[0][key] + rows[1][key]) / 2 for key in rows[0]}


def race(way, config, pair, device, target) -> Iterator[tuple[dict, object]]:
    """Train one way; after each validation its row and the two generators. Ends when the target is reached."""
    with mock.patch.object(cyclegan, "ResnetGenerator", Enlarging if way == "small" else cyclegan.ResnetGenerator):
        state = TrainState(config, pair, device, ProcessGroup())
    validator = Validator(*(samples.centre(state.decode(d, "validation", 50), 16) for d in pair))
    schedule = Schedule(config, state.sampler.steps_per_epoch)
    trained = Public(config, state) if way == "public" else state
    base = build("study", None, SCALE | {"seed": config.seed}).fitted(SCALE["size"])
    beside = Public(base, TrainState(base, pair, device, ProcessGroup())) if way != "public" and target else None
    clock, aside, before = Clock(device), Clock(device), None
    for step in range(schedule.total):
        with clock:
            trained.set_rate(config.learning_rate * schedule.factor(step))
            trained.train_step(step)
            state.clear_losses()
        if not schedule.due(step + 1, VALIDATIONS):
            continue
        there, back = trained.translators()
        found = validator(there, back, device)
        row = {"step": step + 1, **clock.total, "score": found.score, "style": sum(found.style) / 2}
        row |= {"cycle": sum(found.kept) / 2, "variety": sum(found.variety) / 2}
        row["smooth"] = (found.score + before) / 2 if before is not None else None
        before = found.score
        if beside:
            beside.train_step(0)
            with aside:
                for i in range(BESIDE):
                    beside.train_step(i + 1)
            row["public_step"] = aside.total["seconds"] / BESIDE / (VALIDATIONS * (step + 1) // schedule.total)
        yield row, (there, back)
        if target is not None and row["smooth"] is not None and row["smooth"] <= target:
            return


def run(args):
    device = torch.device(args.device)
    pair = domains.find_pair(Workspace.open(Path()), args.first, args.second)
    args.out.mkdir(parents=True, exist_ok=True)
    target = final_of(read(args.target)) if args.target else None
    about = {"target": target, "command": shlex.join(sys.argv), "machine": machine(device)}
    changed = {
        name: value if value.isalpha() else json.loads(value) for name, value in (s.split("=") for s in args.set)
    }
    guards = None
    for seed, way in ((seed, way) for seed in args.seeds for way in args.ways):
        config = build("study", None, SCALE | WAYS[way] | changed | {"seed": seed}).fitted(SCALE["size"])
        history, translators = [], ()
        for row, generators in race(way, config, pair, device, target):
            history.append(row)
            translators = generators
            print(way, seed, json.dumps(row), file=sys.stderr, flush=True)
        if guards is None:
            decode = TrainState(config, pair, device, ProcessGroup()).decode
            guards = Guards([samples.centre(decode(domain, "test"), 16) for domain in pair])
        name = args.name or way
        row = {"way": name, "seed": seed, "config": config.as_dict(), **about, "history": history}
        row["guards"] = guards(translators, device)
        for direction, (there, back) in (("there", translators), ("back", translators[::-1])):
            pictures = guards.pictures[direction == "back"][:6]
            samples.draw(there, back, pictures, device).save(args.out / f"{name}-{seed}-{direction}.png")
        with open(args.out / "rows.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def machine(device):
    """What the figures were measured on, and of which commit."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    cpu = f"{platform.machine()}, {torch.get_num_threads()} thread(s)"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    return {"device": name, "commit": commit, "energy": joules() is not None, **versions(("torch",))}


def read(folder):
    return [json.loads(line) for line in (Path(folder) / "rows.jsonl").read_text(encoding="utf-8").splitlines()]


def final_of(rows):
    """The target: the median of `public`'s score at the end of its schedule, over its seeds."""
    return statistics.median(row["history"][-1]["smooth"] for row in rows if row["way"] == "public")


def reached(row, target):
    """The first validation that reaches the target, or None."""
    return next((h for h in row["history"] if h["smooth"] is not None and h["smooth"] <= target), None)


def table(args):
    rows = read(args.folder)
    target = final_of(rows)
    ends = {(row["way"], row["seed"]): reached(row, target) for row in rows}
    public = [end["step"] if end else float("inf") for (way, _), end in ends.items() if way == "public"]
    steps = statistics.median(public)
    print(f"target {target:.4f}; public reaches it after {steps:,} steps (median of {len(public)} seeds)\n")
    measures = ("score", "cycle", "variety")
    guards = {"kid": ".3f", "form": ".4f", "edges": ".2f", "grid": ".1f"}
    energy = ["joules"] if all("joules" in row["history"][-1] for row in rows) else []
    heads = ["way", "reached", "steps", "seconds", *energy, "times as fast", *measures, *guards]
    print("| " + " | ".join(heads) + " |\n|---|" + "---:|" * (len(heads) - 1))
    for way in dict.fromkeys(row["way"] for row in rows):
        mine = [row for row in rows if row["way"] == way]
        found = [ends[way, row["seed"]] for row in mine]
        lasts = [end or row["history"][-1] for end, row in zip(found, mine, strict=True)]
        ratios = [steps * end["public_step"] / end["seconds"] for end in found if end and "public_step" in end]
        cells = [way, f"{sum(end is not None for end in found)} of {len(mine)}"]
        cells += [spread([last[key] for last in lasts], ".0f") for key in ("step", "seconds", *energy)]
        cells.append("1" if way == "public" else spread(ratios, ".1f") if all(found) else "")
        cells += [spread([last[key] for last in lasts], ".2f") for key in measures]
        cells += [spread([row["guards"][key] for row in mine], form) for key, form in guards.items()]
        print("| " + " | ".join(cells) + " |")


def spread(values, form):
    """Median (lowest to highest)."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):{form}}" + (f" ({low:{form}} to {high:{form}})" if len(values) > 1 else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    one = parts.add_parser("run")
    one.add_argument("--from", dest="first", required=True)
    one.add_argument("--to", dest="second", required=True)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--ways", nargs="+", choices=WAYS, default=["public"])
    one.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    one.add_argument("--target", help="folder of the rows of `public`; runs stop when they reach its score")
    one.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="other settings of the ways, on trial")
    one.add_argument("--name", help="what to call the way in the rows, when --set changes it")
    one.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    one.set_defaults(do=run)
    two = parts.add_parser("table")
    two.add_argument("folder", type=Path)
    two.set_defaults(do=table)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
