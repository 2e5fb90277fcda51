"""Which image takes the place of which: from the outcomes alone, never from the order in which files arrived."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bamkit.common.contract import SPLITS, selection_schema
from bamkit.common.errors import BamkitError
from bamkit.common.shards import read_about, read_table

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = tuple(split for split in SPLITS if split != "reserve")
State = Callable[[str | None], bool | None]


@dataclass(frozen=True)
class Place:
    """One row of a split: a row of the manifest and, if it stands in for another one, that one's mid."""

    row: int
    replaces: int | None = None


@dataclass
class Assignment:
    """What goes where."""

    splits: dict[str, list[Place]]
    """For train, test and validation (those the manifest has): places in order of rank."""
    missing: list[tuple[int, int | None]] = field(default_factory=list)
    """Manifest rows that could not be had, in order of rank, each with the mid that replaces it, if any."""


class Manifest:
    """A selection as fetch needs it: columns as lists, rows in order of rank."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.about: Mapping[str, Any] = read_about(path)
        table = read_table(path)
        absent = [column for column in selection_schema().names if column not in table.column_names]
        if absent:
            raise BamkitError(f"{path} is no selection of bamkit: it lacks {', '.join(absent[:4])}", "bamkit select")
        self.table: pa.Table = table.select(selection_schema().names).cast(selection_schema()).sort_by("rank")
        self.mid: list[int] = self.table["mid"].to_pylist()
        self.src: list[str | None] = self.table["src"].to_pylist()
        self.split: list[str] = self.table["split"].to_pylist()
        strange = set(self.split) - set(SPLITS)
        if strange:
            raise BamkitError(f"{path}: unknown split {sorted(map(str, strange))[0]!r}; there are {', '.join(SPLITS)}")
        if len(set(self.mid)) != len(self.mid):
            raise BamkitError(f"{path}: the same mid occurs twice", "bamkit select ... --force   # makes it anew")

    @property
    def selection_id(self) -> str | None:
        return self.about.get("selection_id")

    def rows(self, split: str) -> list[int]:
        return [row for row, part in enumerate(self.split) if part == split]


def wanted(manifest: Manifest, state: State, replace: bool) -> list[str]:
    """The URLs to ask for next: first those of the splits themselves, then as much of the reserve as is needed.

    `state(url)` is True for a picture that is there, False for one that cannot be had, None for one not asked yet.
    An empty list means that the assignment is final.
    """
    states = {row: state(manifest.src[row]) for split in KEPT for row in manifest.rows(split)}
    unknown = [manifest.src[row] for row, arrived in states.items() if arrived is None]
    if asked := [src for src in unknown if src is not None]:
        return asked
    if not replace:
        return []
    gaps = sum(arrived is False for arrived in states.values())
    asked = []
    for row in manifest.rows("reserve"):
        if gaps <= 0:
            break
        src = manifest.src[row]
        arrived = state(src)
        gaps -= arrived is not False
        if arrived is None and src is not None:
            asked.append(src)
    return asked


def assign(manifest: Manifest, state: State, replace: bool) -> Assignment:
    """Fill the places of images that cannot be had from the reserve, in order of rank: train, then test, validation."""
    spare = iter([row for row in manifest.rows("reserve") if replace and state(manifest.src[row])])
    assignment = Assignment({})
    stands_in: dict[int, int] = {}
    for split in KEPT:
        rows = manifest.rows(split)
        if not rows:
            continue
        places = []
        for row in rows:
            if state(manifest.src[row]):
                places.append(Place(row))
            elif (other := next(spare, None)) is not None:
                places.append(Place(other, manifest.mid[row]))
                stands_in[row] = manifest.mid[other]
        assignment.splits[split] = sorted(places, key=lambda place: place.row)
    assignment.missing = [(row, stands_in.get(row)) for row, src in enumerate(manifest.src) if state(src) is False]
    return assignment
