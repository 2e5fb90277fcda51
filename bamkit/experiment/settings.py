"""Settings of `bamkit demo` and `bamkit study`: one experiment at two sizes. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from bamkit.common.contract import emotion, short
from bamkit.common.errors import BamkitError
from bamkit.common.settings import Choice, Option, Range, check
from bamkit.gan.train.settings import PRESETS

VALIDATION = 50
"""Images of the validation split at the published size; it chooses the checkpoint."""


@dataclass(frozen=True)
class StudyConfig:
    """What is studied, and how large. The defaults are the published experiment."""

    source: Annotated[str, Option("--from", complete="emotions")] = "happy"
    """Domain A: an emotion."""
    target: Annotated[str, Option("--to", complete="emotions")] = "scary"
    """Domain B: an emotion."""
    scale: Annotated[float, Range(0, 10, min_open=True)] = 1.0
    """Share of the published numbers of pictures.

    Those are 1,000 for training and 200 for testing, of each domain.
    """
    preset: Annotated[str, Choice(*PRESETS)] = "study"
    """Training settings; see bamkit train --help."""
    size: Annotated[int, Range(32)] = 286
    """Edge of the fetched pictures in pixels."""
    judge: Annotated[bool, Option("--judge/--no-judge")] = True
    """Train an independent judge of emotions."""
    device: Annotated[str, Option(default="a GPU if there is one")] = ""
    """Where to train."""
    steps: Annotated[int, Range(0), Option(default="the preset's")] = 0
    """Training steps."""

    def __post_init__(self) -> None:
        check(self)
        if short(emotion(self.source)) == short(emotion(self.target)):
            raise BamkitError("the two emotions of a study must differ", "bamkit study --from happy --to scary")

    @property
    def domains(self) -> tuple[str, str]:
        return short(emotion(self.source)), short(emotion(self.target))

    @property
    def run(self) -> str:
        return "-".join(self.domains)

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each domain, under the names of the options of `bamkit select`."""
        return {"top": self._scaled(1000, 8), "test": self._scaled(200, 4), "validation": self._scaled(VALIDATION, 4)}

    @property
    def judge_count(self) -> int:
        """Pictures of each emotion that the judge learns from; 0: there is no judge."""
        return self._scaled(1500, 60) if self.judge else 0

    def _scaled(self, published: int, least: int) -> int:
        return max(least, round(published * self.scale))


@dataclass(frozen=True)
class DemoConfig:
    """How large the demo is. The defaults take a few minutes on two CPU cores."""

    rows: Annotated[int, Range(1)] = 3000
    """Rows of the sample database."""
    top: Annotated[int, Range(1)] = 240
    """Training pictures of each domain."""
    test: Annotated[int, Range(1)] = 40
    """Test pictures of each domain."""
    size: Annotated[int, Range(16)] = 112
    """Edge of the pictures in pixels."""
    steps: Annotated[int, Range(0), Option(default="those of the preset `quick`")] = 0
    """Training steps."""

    domains = ("happy", "scary")
    run = "happy-scary"
    preset = "quick"
    device = ""
    judge_count = 0

    def __post_init__(self) -> None:
        check(self)
        # Both domains with their validation split and a reserve for dead links, and 5 % of the rows have no scores.
        least = math.ceil(2 * 1.15 * sum(self.counts.values()) / 0.95)
        if self.rows < least:
            wanted = f"{self.top:,} + {self.test:,} + {VALIDATION} pictures of each domain"
            raise BamkitError(f"{self.rows:,} rows are too few for {wanted}", f"--rows {least} or more")

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each domain, under the names of the options of `bamkit select`."""
        return {"top": self.top, "test": self.test, "validation": VALIDATION}


Experiment: TypeAlias = StudyConfig | DemoConfig
