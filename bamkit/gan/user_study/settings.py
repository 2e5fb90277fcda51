"""Settings of `bamkit evaluate --user-study`. Imports nothing heavy: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bamkit.common.settings import PYTHON_ONLY, Range, check

SOURCE = "source"


@dataclass(frozen=True)
class StudyOptions:
    """What people are asked."""

    against: str = SOURCE
    """In the user study, what stands beside the translation: `source`, 'colour transfer', or another run."""
    trials: Annotated[int, Range(1)] = 20
    """Pairs a direction in the study, drawn by the seed; all of them if there are fewer."""
    repeats: Annotated[int, Range(0)] = 4
    """Pairs of the study shown a second time, sides exchanged, to see how steady a rater is."""
    split: Annotated[str, PYTHON_ONLY] = "test"
    """The split the pictures come from."""
    seed: Annotated[int, Range(0), PYTHON_ONLY] = 0
    """Seed of the draw. The order and the sides are drawn in the browser, for each rater anew."""

    def __post_init__(self) -> None:
        check(self)
