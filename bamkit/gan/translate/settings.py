"""Settings of `bamkit translate`. Imports no torch: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bamkit.common.errors import BamkitError
from bamkit.common.settings import Option, Range, check


@dataclass(frozen=True)
class TranslateConfig:
    """How to translate. Nothing here changes the result but `checkpoint`, `size` and `strength`."""

    checkpoint: str = "best-or-last"
    """best (by validation), last, best-or-last, or a name such as step-00012000."""
    batch: Annotated[int, Range(0), Option(default="8 on a GPU, 1 on a CPU")] = 0
    """Pictures in one pass.

    Fewer where `memory` does not allow so many. On a CPU batches gain nothing, and picture by picture the result does
    not depend on which pictures came together.
    """
    tile: Annotated[int, Range(32)] = 512
    """Side of a tile in pixels."""
    memory: Annotated[float, Range(0, min_open=True), Option(metavar="GB")] = 2.0
    """What one pass may take; larger pictures are translated in tiles, with the same result."""
    size: Annotated[str, Option(metavar="PX", default="trained for splits, own for files")] = "auto"
    """Shorter side of what the network sees: pixels, trained, or own.

    `trained` is the size the run was trained at, `own` each picture's own.
    """
    strength: Annotated[float | None, Range(0, 1), Option(metavar="S", default="1, the whole way")] = None
    """How far to go, from 0 (near the picture itself) to 1, with a run of `--method santa`."""
    device: str = "auto"
    """auto, cpu or cuda."""
    mark: bool = True
    """Leave out of the files, in XMP, that a network made them, and in which run."""
    c2pa: Annotated[Path | None, Option(metavar="PEM")] = None
    """Sign every file with Content Credentials (C2PA), with the key and the certificates in this file.

    The file holds the private key, then the user's certificate, then those above it. It takes the package c2pa-python.
    """

    def __post_init__(self) -> None:
        check(self)
        if self.size not in ("auto", "own", "trained") and not (self.size.isdigit() and 1 <= int(self.size) <= 30_000):
            raise BamkitError(f"{self.size!r} is no size", "--size 256, --size trained or --size own")

    def shorter_side(self, trained: int, split: bool) -> int:
        """`size` in pixels, given the run's training size; 0 leaves pictures as they are."""
        if self.size.isdigit():
            return int(self.size)
        return trained if self.size == "trained" or (self.size == "auto" and split) else 0
