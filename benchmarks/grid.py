r"""Do translations show the grid of their network's strides, and are the source's edges kept?

    bamkit fetch happy scary --size 112
    bamkit train --preset quick --name now
    bamkit train --preset quick --generator unet --width 24 --size 72 --crop 64 --lambda-a 10 --lambda-b 10 \
      --steps 3000 --name before
    bamkit translate now; bamkit translate before
    python benchmarks/grid.py now before            # in the workspace; --split validation to choose by

Grid energy (bamkit/gan/evaluate/metrics/grid.py) at the U-Net's strides, of each translation, of the source it was
made from and of the real pictures of its target, and the edges (similarity.py) that are left of its source. Each with n
and a 95 % bootstrap interval over the pictures. Paired by picture: by how much translations differ from their sources,
and those of each run from those of the last one named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bamkit.common.statistics import bootstrap_mean
from bamkit.common.workspace import Workspace
from bamkit.gan.evaluate.inputs.translations import Direction, open_run
from bamkit.gan.evaluate.measures import fitted
from bamkit.gan.evaluate.metrics.grid import grid_energy
from bamkit.gan.evaluate.metrics.similarity import edge_agreement

PERIODS = (2, 4, 8, 16)
"""The strides of a U-Net of four halvings, in pixels."""
ROW = "{:34}" + " {:>20}" * (len(PERIODS) + 1)


def of_translations(direction: Direction) -> tuple[np.ndarray, np.ndarray]:
    """Grid energy at every period and the edges kept, (n, periods + 1), in order of rank; the same of the sources."""
    found, sources = [], []
    for before, after in direction.pairs:
        made = direction.after.picture(int(after))
        source = fitted(direction.before.picture(int(before)), (made.shape[1], made.shape[0]))
        found.append([*energies(made), edge_agreement(source, made)])
        sources.append([*energies(source), 1.0])
    return np.array(found), np.array(sources)


def of_real(direction: Direction, split: str) -> np.ndarray:
    """Grid energy of the target's real pictures at the translations' size, (n, periods)."""
    side = direction.after.picture(int(direction.pairs[0, 1])).shape[:2]
    reader = direction.target.shards(split)
    return np.array([energies(fitted(reader.picture(index), side[::-1])) for index in range(len(reader))])


def energies(picture: np.ndarray) -> list[float]:
    """Grid energy of one picture at every period."""
    return [grid_energy(picture, period) for period in PERIODS]


def row(name: str, values: np.ndarray) -> str:
    cells = [str(bootstrap_mean(column)) for column in values.T]
    return ROW.format(f"{name} (n = {len(values)})", *cells, *[""] * (len(PERIODS) + 1 - len(cells)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="TRANSLATIONS", help="folders under translations/")
    parser.add_argument("--split", default="test")
    args = parser.parse_args()
    workspace = Workspace.open(Path())
    runs = {name: open_run(workspace, name, args.split).directions for name in args.names}
    print(ROW.format("", *(f"grid of {period} px" for period in PERIODS), "edges kept"))
    for number in range(2):
        found = {name: of_translations(directions[number]) for name, directions in runs.items()}
        for name, (values, sources) in found.items():
            direction = runs[name][number]
            print(f"\n{direction.name}, {name}")
            print(row("translations", values))
            print(row("their sources", sources[:, :-1]))
            print(row("less their sources, paired", (values - sources)[:, :-1]))
            print(row(f"real pictures of {direction.target.name}", of_real(direction, args.split)))
            if name != args.names[-1]:
                print(row(f"less {args.names[-1]}, paired", values - found[args.names[-1]][0]))


if __name__ == "__main__":
    main()
