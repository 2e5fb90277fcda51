"""Do options of training help at few pictures? Held-out pictures decide, each option against the plain run, by seed.

    python benchmarks/train_options.py --from A --to B --out rows.jsonl --set generator=affine steps=1000

Run in a workspace with fetched splits. Each seed is trained once for each arm of ARMS (what rows.jsonl holds already is
not trained again, so that a run may be broken off):

- `plain`;
- `augmented`: differentiable augmentation (`--diffaug`);
- `penalty`: UVCGAN2's discriminators (Torbunov et al. 2023, arXiv:2303.16280): spectral normalisation (Miyato et al.
  2018) of their convolutions, and a gradient penalty centred at zero between real and fake pictures, weight 1.

and each training gives several pairs of generators:

- as they end;
- `+ ema`: the exponential moving average that `--ema` keeps;
- `+ power`: an average weighted by t^gamma, rebuilt after the run from snapshots of two such averages, its length
  chosen on the validation split (Karras et al. 2023, arXiv:2312.02696, section 3 and appendix C).

All are measured on the test split (validation.py: style is 1 as far from the target as the untouched pictures, 0 at no
difference; cycle is the mean absolute error of coming back). Lower is better. Differences are paired by seed, with
Student's interval over the seeds.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch.nn.utils import parametrizations

from bamkit.common.provenance import versions
from bamkit.common.workspace import Workspace
from bamkit.gan.train.data import domains
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.monitor import samples
from bamkit.gan.train.monitor.validation import Validator
from bamkit.gan.train.schedule import Schedule
from bamkit.gan.train.settings import build
from bamkit.gan.train.state import TrainState

ARMS = ("plain", "augmented", "penalty")
KEPT = (0.05, 0.10)
"""Relative widths of the two averages that are kept along the run."""
LENGTHS = (0.03, 0.05, 0.08, 0.12, 0.18, 0.25)
"""Relative widths that are rebuilt after it: standard deviation of the weights over time, as a share of the run."""
SNAPSHOTS = 16


def exponent(width):
    """gamma whose weights t^gamma on [0, 1] have this standard deviation (section 3.1).

    width^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)), a cubic whose largest root is meant.
    """
    inverse = width**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


def product(gamma_a, end_a, gamma_b, end_b):
    """The integral of two averages' weights, (gamma + 1) t^gamma / end^(gamma + 1) on [0, end] each (appendix C)."""
    overlap = gamma_a + gamma_b + 1
    logarithm = overlap * np.log(min(end_a, end_b)) - (gamma_a + 1) * np.log(end_a) - (gamma_b + 1) * np.log(end_b)
    return (gamma_a + 1) * (gamma_b + 1) / overlap * np.exp(logarithm)


class PowerAverages:
    """Averages of parameters weighted by t^gamma, t the step from 1, in float32; snapshots of them along the run."""

    def __init__(self, parameters, total):
        self.parameters, self.total, self.step = parameters, total, 0
        self.gammas = [exponent(width) for width in KEPT]
        self.averages = [[p.detach().clone() for p in parameters] for _ in self.gammas]
        self.snapshots = []

    @torch.no_grad()
    def update(self):
        self.step += 1
        for gamma, averages in zip(self.gammas, self.averages, strict=True):
            # beta(t) = (1 - 1/t)^(gamma + 1): the weights of all steps before shrink to make room for this one.
            torch._foreach_lerp_(averages, list(self.parameters), 1 - (1 - 1 / self.step) ** (gamma + 1))
            if self.step * SNAPSHOTS // self.total > (self.step - 1) * SNAPSHOTS // self.total:
                self.snapshots.append((gamma, self.step, [a.clone() for a in averages]))

    def rebuilt(self, width):
        """The average of this relative width at the end of the run: the snapshots' combination nearest to it."""
        profiles, wanted = [(gamma, end) for gamma, end, _ in self.snapshots], (exponent(width), self.total)
        gram = np.array([[product(*a, *b) for b in profiles] for a in profiles])
        factors = np.linalg.lstsq(gram, np.array([product(*a, *wanted) for a in profiles]), rcond=1e-12)[0]
        factors /= factors.sum()  # an average; without this 2 % of every weight were missing at the longest length
        stacks = zip(*(kept for *_, kept in self.snapshots), strict=True)
        return [sum(float(f) * p.double() for f, p in zip(factors, stack, strict=True)).float() for stack in stacks]


def penalise(state, seed, weight=1.0):
    """Give the discriminators of `state` spectral normalisation and a gradient penalty, through torch's hooks."""
    generator = torch.Generator().manual_seed(seed)
    seen = {}
    for network in (state.nets.D_A, state.nets.D_B):
        network.register_forward_pre_hook(lambda module, args: seen.update({module: args[0].detach()}))
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                parametrizations.spectral_norm(module)

    def penalty(*_):
        """weight E[(|grad mean D(x)|)^2] at x = a real + (1 - a) fake, added to the gradients before Adam's step."""
        for network, both in list(seen.items()):
            real, fake = both.chunk(2)  # the discriminator's own step shows it both in one pass
            a = torch.rand(1, generator=generator)
            x = (a * real + (1 - a) * fake).requires_grad_()
            (gradient,) = torch.autograd.grad(network(x).mean(dim=(1, 2, 3)).sum(), x, create_graph=True)
            (weight * gradient.square().sum(dim=(1, 2, 3)).mean()).backward()
        seen.clear()

    state.step.optimizers["discriminators"].register_step_pre_hook(penalty)


def measure(validator, networks, device):
    with torch.no_grad():
        found = validator(*networks, device)
    return {"style": sum(found.style) / 2, "cycle": sum(found.kept) / 2, "score": found.score}


def train(pair, config, device, arm):
    """One training; the measure of each of its pairs of generators, by name, and its processor seconds."""
    state = TrainState(config, pair, device, ProcessGroup())
    if arm == "penalty":
        penalise(state, config.seed)
    schedule = Schedule(config, state.sampler.steps_per_epoch)
    of = {s: Validator(*(samples.centre(state.decode(d, s, 50), 16) for d in pair)) for s in ("validation", "test")}
    generators = [*state.nets.G_A.parameters(), *state.nets.G_B.parameters()]
    power, began = PowerAverages(generators, schedule.total), time.process_time()
    for step in range(schedule.total):
        state.set_rate(config.learning_rate * schedule.factor(step))
        state.train_step(step)
        state.clear_losses()
        power.update()
    found = {"seconds": time.process_time() - began, " + ema": measure(of["test"], state.translators(), device)}
    state.averages = None
    found[""] = measure(of["test"], state.translators(), device)
    lengths = {}
    for width in LENGTHS:
        with torch.no_grad():
            torch._foreach_copy_(generators, power.rebuilt(width))
        lengths[width] = measure(of["validation"], state.translators(), device)["score"]
    chosen = min(lengths, key=lengths.__getitem__)
    with torch.no_grad():
        torch._foreach_copy_(generators, power.rebuilt(chosen))
    found[" + power"] = measure(of["test"], state.translators(), device) | {"length": chosen}
    found["lengths"] = lengths
    return found


def interval(values):
    """Mean and 95 % interval (Student's t) over the seeds."""
    if len(values) < 2:
        return "one seed"
    mean, error = statistics.fmean(values), stats.sem(values)
    half = stats.t.ppf(0.975, len(values) - 1) * error
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="first", required=True)
    parser.add_argument("--to", dest="second", required=True)
    parser.add_argument("--pictures", type=int, default=0, help="training pictures of each domain (0: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS, help="the first: what others are held against")
    parser.add_argument("--out", type=Path, required=True, help="file of rows, one a training; the table shows all")
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="other settings, such as width=12")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    pair = domains.find_pair(Workspace.open(Path()), args.first, args.second)
    for domain in pair:
        domain.entries["train"] = domain.train[: args.pictures or None]
    given = {"ema": args.ema}
    for name, value in (each.split("=") for each in args.set):
        given[name] = value if value.isalpha() else json.loads(value)
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    for seed, arm in ((seed, arm) for seed in args.seeds for arm in args.arms):
        config = build(args.preset, None, given | {"seed": seed, "diffaug": arm == "augmented"})
        row = {"arm": arm, "seed": seed, "config": config.as_dict(), "pictures": [len(d.train) for d in pair]}
        if any(all(old[key] == value for key, value in row.items()) for old in rows):
            continue
        row["found"] = train(pair, config.fitted(min(d.side for d in pair)), torch.device(args.device), arm)
        row |= {"command": shlex.join(sys.argv), "versions": versions(("torch",))}
        rows.append(row)
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    table(rows)


def table(rows):
    """Means over the seeds, and each option less the first one, by seed: of the trainings in one file."""
    results = {}
    for row in rows:
        for ending in ("", " + ema", " + power"):
            results.setdefault(row["arm"] + ending, {})[row["seed"]] = row["found"][ending]
    plain = next(iter(results.values()))
    print(f"{'':18} {'style':>8} {'cycle':>8} {'score':>8}   score less plain's, mean and 95 % interval")
    for name, of in results.items():
        means = [statistics.fmean(measured[key] for measured in of.values()) for key in ("style", "cycle", "score")]
        against = [of[seed]["score"] - plain[seed]["score"] for seed in of if seed in plain]
        print(f"{name:18} " + " ".join(f"{value:8.4f}" for value in means) + f"   {interval(against)} n = {len(of)}")


if __name__ == "__main__":
    main()
