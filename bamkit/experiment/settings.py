"""Settings of `bamkit demo` and `bamkit study`: one experiment at two sizes. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from bamkit.common.contract import emotion, short
from bamkit.common.errors import BamkitError
from bamkit.common.settings import Choice, Option, Range, check, settings_of
from bamkit.gan.train.settings import PRESETS, TrainConfig, build

METHODS = tuple(next(setting.choices or () for setting in settings_of(TrainConfig) if setting.name == "method"))
"""The training methods there are."""
MATCHED = "-matched"
"""What the name of a matched domain ends with."""
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
    methods: Annotated[str, Option(metavar="NAMES", default="the published experiment alone")] = ""
    """Compare training methods on a leaderboard: names with commas between them, or `all`.

    The names are those of `bamkit train --method`.
    """
    seeds: Annotated[int, Range(0), Option(default="3 with --methods")] = 0
    """With --methods: trainings of each method, with the seeds 0, 1, 2 ..."""
    matched: Annotated[str, Choice("no", "yes", "both")] = "no"
    """With --methods: match the second domain to the first on content and media, or do both."""

    def __post_init__(self) -> None:
        check(self)
        if unknown := [name for name in self.compared if name not in METHODS]:
            raise BamkitError(f"there is no training method {unknown[0]!r}", f"--methods {','.join(METHODS)}")
        if len(set(self.compared)) < len(self.compared):
            raise BamkitError(f"--methods {self.methods} names a method twice")
        if not self.methods and (self.seeds or self.matched != "no"):
            raise BamkitError("--seeds and --matched have no effect without --methods", "add --methods all")
        if short(emotion(self.source)) == short(emotion(self.target)):
            raise BamkitError("the two emotions of a study must differ", "bamkit study --from happy --to scary")

    @property
    def domains(self) -> tuple[str, str]:
        return short(emotion(self.source)), short(emotion(self.target))

    @property
    def run(self) -> str:
        return "-".join(self.domains)

    @property
    def report(self) -> str:
        """The folder of the study's page under reports/."""
        return f"{'leaderboard' if self.methods else 'study'}-{self.run}"

    @property
    def apart(self) -> bool:
        """Whether projects are kept within one split: as published they are not, for a comparison they must be."""
        return bool(self.methods)

    @property
    def compared(self) -> tuple[str, ...]:
        """The methods of a leaderboard, in the order of its rows; () for the published experiment."""
        names = tuple(name.strip().lower() for name in self.methods.split(",") if name.strip())
        return METHODS if names == ("all",) else names

    @property
    def trainings(self) -> range:
        """The seeds of a leaderboard."""
        return range(self.seeds or 3)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The two domains of a training, by name; of a leaderboard perhaps once as they are and once matched."""
        a, b = self.domains
        pairs = {"no": [(a, b)], "yes": [(a, f"{b}{MATCHED}")], "both": [(a, b), (a, f"{b}{MATCHED}")]}
        return pairs[self.matched]

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each domain, under the names of the options of `bamkit select`."""
        # Fewer than five validation pictures choose no checkpoint, and a leaderboard's must be chosen.
        validation = self._scaled(VALIDATION, 5 if self.methods else 4)
        return {"top": self._scaled(1000, 8), "test": self._scaled(200, 4), "validation": validation}

    @property
    def pixels(self) -> str:
        """`64 px, trained at 112`: a preset may train at another size than that of the pictures."""
        trained = build(self.preset, None, {}).fitted(self.size).size
        return f"{self.size} px" + (f", trained at {trained}" if trained != self.size else "")

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
    pairs = (("happy", "scary"),)
    run = "happy-scary"
    preset = "quick"
    apart = False
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
