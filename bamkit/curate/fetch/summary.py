"""What a fetch did, for people and programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.common.pages.notebook import as_html
from bamkit.curate.fetch.faults import FAULTS


@dataclass
class SelectionResult:
    """One selection."""

    name: str
    splits: dict[str, tuple[int, int]]
    """For each split: pictures in it, and rows the selection asks for."""
    replaced: int
    missing: Counter[str]
    """By reason, the tried ones of the reserve included."""
    split_id: str
    written: bool
    """False if the folder was up to date already."""
    pictures: str
    """How they are built, e.g. `286 px squash jpeg`."""
    before: dict[str, Any] | None = None
    """How they were built before, if in another way."""
    kept_for: str = ""
    """The run for whose sake the split was left as it is, although more or other pictures are to be had now."""

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "splits": {split: {"pictures": have, "wanted": want} for split, (have, want) in self.splits.items()},
            "replaced": self.replaced,
            "missing": dict(sorted(self.missing.items())),
            "split_id": self.split_id,
            "written": self.written,
            "pictures": self.pictures,
            "kept_for": self.kept_for or None,
        }

    def row(self) -> dict[str, Any]:
        """For a table."""
        counts = {
            split: f"{have:,}" if have == want else f"{have:,} of {want:,}"
            for split, (have, want) in self.splits.items()
        }
        others = {"replaced": self.replaced, "missing": self.missing.total(), "pictures": self.pictures}
        return {"selection": self.name, **counts, **others}


@dataclass
class Summary:
    """The result of a fetch."""

    selections: list[SelectionResult] = field(default_factory=list)
    asked: int = 0
    """URLs asked for in this run."""
    arrived: int = 0
    bytes: int = 0
    """Downloaded in this run, pictures only."""
    seconds: float = 0.0
    """Spent downloading."""
    failed: Counter[str] = field(default_factory=Counter)
    """Of this run, by reason."""
    given_up: Counter[str] = field(default_factory=Counter)
    """How many URLs were not asked because their host kept failing, by what is said of it."""

    def add(self, other: Summary) -> None:
        """Take in what became of other selections."""
        self.selections += other.selections
        self.asked += other.asked
        self.arrived += other.arrived
        self.bytes += other.bytes
        self.seconds += other.seconds
        self.failed += other.failed
        self.given_up += other.given_up

    def require_complete(self) -> None:
        """Raises BamkitError where pictures were not asked for, because their host was given up."""
        if self.given_up:
            why = min(self.given_up)
            again = "bamkit fetch   # later: asks for them"
            raise BamkitError(f"{self.given_up.total():,} pictures were not asked for: {why}", again)

    def as_dict(self) -> dict[str, Any]:
        return {
            "asked": self.asked,
            "arrived": self.arrived,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "failed": dict(sorted(self.failed.items())),
            "not_asked": self.given_up.total(),
            "selections": [selection.as_dict() for selection in self.selections],
        }

    def _repr_html_(self) -> str:
        arrived = f"{self.arrived:,} of {self.asked:,} pictures arrived"
        said = arrived if self.asked else "nothing to download: every address has an outcome already"
        return as_html(said, self.rows(), self.reasons())

    def rows(self) -> list[dict[str, Any]]:
        """One row a selection, for a table."""
        return [selection.row() for selection in self.selections]

    def reasons(self) -> list[dict[str, Any]]:
        """One row a reason, over all selections, commonest first."""
        total: Counter[str] = Counter()
        for selection in self.selections:
            total += selection.missing
        return [
            {
                "missing": count,
                "reason": reason,
                "ask again?": "no" if FAULTS[reason].permanent else "yes",
                "what happened": FAULTS[reason].text,
            }
            for reason, count in sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
        ]
