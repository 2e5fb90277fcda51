"""Settings of `bamkit evaluate`. Imports no torch: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bamkit.common.settings import Choice, Option, Range, check


@dataclass(frozen=True)
class EvaluateOptions:
    """Settings of an evaluation. The defaults are what a paper would report."""

    split: Annotated[str, Choice("train", "test", "validation")] = "test"
    """The split whose translations are evaluated: `validation` while tuning, `test` to report."""
    judge: Annotated[Path | None, Option(metavar="DIR")] = None
    """A judge's folder (default: the workspace's own, if it has one)."""
    second: Annotated[Path | None, Option(metavar="DIR")] = None
    """A second judge, of other projects: reached then counts where both agree."""
    features: Annotated[str, Choice("auto", "inception", "judge", "colours")] = "auto"
    """What KID, FID and distances rest on; `auto` takes Inception, then the judge, whichever is at hand."""
    inception: Annotated[Path | None, Option(metavar="FILE")] = None
    """Inception's weights for torch-fidelity (default: torch's cache). Nothing is downloaded."""
    alexnet: Annotated[Path | None, Option(metavar="FILE")] = None
    """AlexNet's weights from torchvision, for LPIPS (default: torch's cache). Nothing is downloaded."""
    device: str = "auto"
    """Where networks run: `auto`, `cpu` or `cuda`."""
    seed: Annotated[int, Range(0)] = 0
    """Seed of KID's subsets, of the uncurated grid and of the user study."""
    checkpoints: bool = False
    """Measure every checkpoint that was kept on the same pictures: what choosing one by them would have given."""
    pictures: Annotated[int, Range(1)] = 12
    """Pairs in the uncurated grid; a third of it for each list of cases."""

    def __post_init__(self) -> None:
        check(self)
