r"""Does a translation go further the higher its strength is, and does the mood come with it?

    bamkit fetch happy scary judge-happy judge-scary --size 112
    bamkit judge train judge-happy judge-scary
    bamkit train --from happy --to scary --preset quick --method santa --steps 1000 --name santa
    python benchmarks/strength.py santa            # in the workspace

For each direction and strength, on the test split: the mean absolute difference from the translation at strength 0 and
from the source, in steps of 1/255; the share of pictures whose difference from strength 0 has grown since the strength
before; where there is a judge, its mean probability of the target's mood (at even odds) and the share that reaches 1/2.
Each with n and a 95 % interval over projects. Last: the share of pictures in which the difference grows at every
strength.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from bamkit.common.statistics import bootstrap_mean, cases_text, clusters_of, count_clusters, share
from bamkit.common.workspace import Workspace
from bamkit.gan.domains import FetchedDomain
from bamkit.gan.judge.model import Judge, load_judge
from bamkit.gan.train import checkpoint
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.translate.generator import Translator

if TYPE_CHECKING:
    from bamkit.common.statistics.clusters import Clusters

STRENGTHS = METHODS["santa"].strengths
ROW = "{:>10} {:>20} {:>20} {:>18} {:>20} {:>20}"


def difference(one: list[np.ndarray], other: list[np.ndarray]) -> np.ndarray:
    """(n,) mean absolute differences of uint8 pictures, pair by pair."""
    pairs = zip(one, other, strict=True)
    return np.array([np.abs(a.astype(float) - b.astype(float)).mean() for a, b in pairs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--checkpoint", default="best-or-last")
    args = parser.parse_args()
    workspace = Workspace.open(Path())
    judge = load_judge(workspace.root / "judge") if (workspace.root / "judge" / "card.json").is_file() else None
    generators = checkpoint.load_generators(workspace.run(args.run), args.checkpoint)
    for direction, network in generators.directions().items():
        source, target = (FetchedDomain(name, workspace) for name in direction.split("-to-"))
        if judge is not None:
            judge.refuse_known(source.identity, source.name)
        reader = source.shards("test", ["project_id"])
        pictures = [reader.picture(row) for row in range(len(reader))]
        projects = clusters_of(reader.column("project_id"))
        cases = cases_text(len(pictures), count_clusters(projects), "test pictures")
        print(f"\n{direction}, checkpoint {generators.checkpoint_name}: {cases}")
        print(ROW.format("strength", "from strength 0", "from the source", "grown", "P(target)", "reached"))
        print(ROW.format("source", "", "", "", *verdict(judge, target, pictures, projects)))
        first: list[np.ndarray] = []
        before, always = np.zeros(len(pictures)), np.ones(len(pictures), bool)
        for strength in STRENGTHS:
            translator = Translator(network, torch.device("cpu"), strength=strength)
            made = [translator([picture])[0] for picture in pictures]
            first = first or made
            gone = difference(made, first)
            grown, before = gone > before, gone
            always &= grown if strength else True
            cells = [
                f"{strength:g}",
                str(bootstrap_mean(gone, projects)) if strength else "",
                str(bootstrap_mean(difference(made, pictures), projects)),
                str(share(grown, projects)) if strength else "",
            ]
            print(ROW.format(*cells, *verdict(judge, target, made, projects)))
        print(f"grows at every strength: {share(always, projects)}")


def verdict(judge: Judge | None, target: FetchedDomain, pictures: list[np.ndarray], projects: Clusters) -> list[str]:
    """The mean probability of the target's mood and the share that reaches 1/2; empty without a judge."""
    if judge is None or target.attribute is None:
        return ["", ""]
    judged = judge.predict(pictures)[1][:, judge.attributes.index(target.attribute)]
    return [str(bootstrap_mean(judged, projects)), str(share(judged >= 0.5, projects))]


if __name__ == "__main__":
    main()
