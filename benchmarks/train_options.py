"""Do a moving average of the generators and differentiable augmentation help at few pictures? Held-out pictures decide.

    python benchmarks/train_options.py --from DIR --to DIR --seeds 3 --steps 2000

Each seed is trained twice, without and with augmentation; in both, the generators as they end and their moving average
are measured on the test split (validation.py: style is 1 as far from the target as the untouched pictures, 0 at
no difference; cycle is the mean absolute error of coming back). Lower is better. Differences are paired by seed, with a
bootstrap interval over the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
import torch

from bamkit.common.provenance import versions
from bamkit.common.workspace import Workspace
from bamkit.gan.train.data import domains
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.monitor import samples
from bamkit.gan.train.monitor.validation import Validator
from bamkit.gan.train.schedule import Schedule
from bamkit.gan.train.settings import build
from bamkit.gan.train.state import TrainState


def measure(validator, networks, device):
    with torch.no_grad():
        found = validator(*networks, device)
    return {"style": sum(found.style) / 2, "cycle": sum(found.kept) / 2, "score": found.score}


def train(pair, config, device):
    """One training; the measure of the generators as they end, and of their average."""
    train_state = TrainState(config, pair, device, ProcessGroup())
    schedule = Schedule(config, train_state.sampler.steps_per_epoch)
    validator = Validator(*(samples.centre(train_state.decode(d, "test"), 4) for d in pair))
    for step in range(schedule.total):
        train_state.set_rate(config.learning_rate * schedule.factor(step))
        train_state.train_step(step)
        train_state.clear_losses()
    averaged = measure(validator, train_state.translators(), device)
    train_state.averages = None
    return measure(validator, train_state.translators(), device), averaged


def interval(values):
    """Mean and 95 % bootstrap interval over the seeds."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (2000, len(values))).mean(1)
    return f"{statistics.fmean(values):+.4f} [{np.quantile(means, 0.025):+.4f}, {np.quantile(means, 0.975):+.4f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="first", required=True)
    parser.add_argument("--to", dest="second", required=True)
    parser.add_argument("--pictures", type=int, default=0, help="training pictures of each domain (0: all)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=NUMBER", help="other settings, such as width=12")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    workspace = Workspace.open(Path())
    pair = domains.find_pair(workspace, args.first, args.second)
    for domain in pair:
        domain.entries["train"] = domain.train[: args.pictures or None]
    counts = " + ".join(str(len(domain.train)) for domain in pair)
    print(f"{counts} pictures, {args.steps} steps; {json.dumps(versions(('torch',)))}")
    results = {}
    for seed in range(args.seeds):
        for diffaug in (False, True):
            given = {"seed": seed, "steps": args.steps, "ema": args.ema, "diffaug": diffaug}
            given |= {name: int(value) for name, value in (pair_.split("=") for pair_ in args.set)}
            config = build(args.preset, None, given).fitted(min(d.side for d in pair))
            found = train(pair, config, torch.device(args.device))
            for ending, measured in zip(("", " + average"), found, strict=True):
                name = ("augmented" if diffaug else "plain") + ending
                results.setdefault(name, []).append(measured)
                print(f"seed {seed} {name:20} {json.dumps(measured)}", file=sys.stderr, flush=True)
    print(f"{'':20} {'style':>8} {'cycle':>8} {'score':>8}   score against plain, mean and 95 % interval")
    for name, measured in results.items():
        means = [statistics.fmean(m[key] for m in measured) for key in ("style", "cycle", "score")]
        against = [m["score"] - p["score"] for m, p in zip(measured, results["plain"], strict=True)]
        print(f"{name:20} " + " ".join(f"{value:8.4f}" for value in means) + f"   {interval(against)}")


if __name__ == "__main__":
    main()
