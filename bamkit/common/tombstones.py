"""Tombstones: pictures that were forgotten on request, as hashes alone, so that they never come back.

They lie in `forgotten.csv` of the workspace, in the order in which they came. Nothing of a picture is in them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bamkit.common.errors import BamkitError
from bamkit.common.near_duplicates import near_any, parse_hashes
from bamkit.common.workspace import Workspace, write_text

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "forgotten.csv"
SCHEME = re.compile(r"(?i)\s*https?://")


@dataclass(frozen=True)
class Tombstone:
    """One picture that was forgotten: what of it was known. "" is not known."""

    mid: str = ""
    address: str = ""
    """`address_hash` of where it lay."""
    sha256: str = ""
    """Of the file as it was downloaded."""
    phash: str = ""
    """Perceptual hash, 16 hex digits: near-duplicates are taken for the picture. "" for a near-duplicate itself."""
    time: str = ""
    """When it was asked for, UTC."""
    models: str = ""
    """The runs and the judge that were trained on it, between semicolons."""
    done: str = "no"
    """`yes` once it is gone from the workspace."""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        return self.mid, self.address, self.sha256, self.phash

    def says_no_more(self, other: Tombstone) -> bool:
        """Whether all that is known here is known of `other`, too."""
        return all(mine in ("", its) for mine, its in zip(self.identity, other.identity, strict=True))


COLUMNS = tuple(field.name for field in fields(Tombstone))
SHARED = COLUMNS[:4]
"""What is given to others."""


def address_hash(address: str) -> str:
    """SHA-256 of an address without its scheme and white space around it, as hex."""
    return hashlib.sha256(SCHEME.sub("", address, count=1).strip().encode("utf-8", "surrogatepass")).hexdigest()


class Tombstones:
    """A list of tombstones, and whether it covers a picture."""

    def __init__(self, stones: Iterable[Tombstone] = ()) -> None:
        self.stones = list(stones)

    @classmethod
    def of(cls, workspace: Workspace) -> Tombstones:
        """Those of a workspace. Raises BamkitError if the file is none of bamkit's."""
        path = workspace.root / FILE
        return read_tombstones(path) if path.is_file() else cls()

    def __len__(self) -> int:
        return len(self.stones)

    @cached_property
    def mids(self) -> frozenset[int]:
        return frozenset(int(stone.mid) for stone in self.stones if stone.mid)

    @cached_property
    def addresses(self) -> frozenset[str]:
        return frozenset(stone.address for stone in self.stones if stone.address)

    @cached_property
    def sha256(self) -> frozenset[str]:
        return frozenset(stone.sha256 for stone in self.stones if stone.sha256)

    @cached_property
    def _phash(self) -> Any:
        return parse_hashes([stone.phash for stone in self.stones if stone.phash])[1]

    @property
    def pending(self) -> Tombstones:
        """Those that are not gone from the workspace yet: a removal was interrupted."""
        return Tombstones(stone for stone in self.stones if stone.done != "yes")

    def covers(self, mid: int | None, address: str | None) -> bool:
        """Whether an image of the database was forgotten."""
        if not self.stones:
            return False
        return mid in self.mids or (address is not None and address_hash(address) in self.addresses)

    def near(self, phashes: Sequence[str | None]) -> np.ndarray:
        """(n,) bool: which perceptual hashes are those of forgotten pictures or near-duplicates of theirs."""
        found = np.zeros(len(phashes), dtype=bool)
        if self._phash.size:
            # What is no hash is nobody's.
            valid = [text if text and re.fullmatch("[0-9a-fA-F]{16}", text) else None for text in phashes]
            places, hashes = parse_hashes(valid)
            found[places] = near_any(hashes, self._phash)
        return found

    def rows(self, table: pa.Table) -> np.ndarray:
        """(n,) bool: which rows of a table with some of the contract's columns are of forgotten pictures."""
        found = np.zeros(table.num_rows, dtype=bool)
        for columns, known in ((("mid",), self.mids), (("original_sha256", "source_sha256"), self.sha256)):
            for name in set(columns) & set(table.column_names):
                found |= np.array([value in known for value in table[name].to_pylist()], dtype=bool)
        if "src" in table.column_names and self.addresses:
            values = table["src"].to_pylist()
            found |= np.array([bool(v) and address_hash(str(v)) in self.addresses for v in values], dtype=bool)
        if "phash" in table.column_names:
            found |= self.near(table["phash"].to_pylist())
        return found

    def with_new(self, others: Iterable[Tombstone]) -> Tombstones:
        """These and those of `others` that say something more than one of these."""
        known: dict[tuple[int, str], list[Tombstone]] = {}
        for stone in self.stones:
            for part in enumerate(stone.identity):
                known.setdefault(part, []).append(stone)
        new = {stone.identity: stone for stone in others if not any(map(stone.says_no_more, _alike(stone, known)))}
        return Tombstones([*self.stones, *new.values()])

    def with_models(self, models: str) -> Tombstones:
        """These, where those that are not done yet say what was trained on them."""
        return Tombstones(stone if stone.done == "yes" else replace(stone, models=models) for stone in self.stones)

    def finished(self) -> Tombstones:
        """All of them gone from the workspace."""
        return Tombstones(replace(stone, done="yes") for stone in self.stones)

    def write(self, path: Path, columns: Sequence[str] = COLUMNS) -> None:
        """Write them as CSV, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        places = [COLUMNS.index(name) for name in columns]
        writer.writerows([[astuple(stone)[place] for place in places] for stone in self.stones])
        write_text(path, text.getvalue())


def _alike(stone: Tombstone, known: dict[tuple[int, str], list[Tombstone]]) -> list[Tombstone]:
    """Those of `known` (by each part of their identity) that share the first part of `stone`'s that is known."""
    return next((known.get(part, []) for part in enumerate(stone.identity) if part[1]), [])


def read_tombstones(path: Path) -> Tombstones:
    """A list of tombstones, this workspace's or one that was given. Raises BamkitError if it is none."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise BamkitError(f"{path} cannot be read: {error}", "give a list that bamkit forget --export wrote") from error
    kinds = {"mid": r"\d{1,18}", "address": "[0-9a-f]{64}", "sha256": "[0-9a-f]{64}", "phash": "[0-9a-f]{16}"}
    stones = []
    for number, row in enumerate(rows, 2):
        values = {name: row.get(name) or "" for name in COLUMNS}
        wrong = [name for name, kind in kinds.items() if values[name] and not re.fullmatch(kind, values[name])]
        if wrong or not any(values[name] for name in SHARED):
            what = f"{wrong[0]} {values[wrong[0]][:40]!r}" if wrong else "an empty row"
            raise BamkitError(
                f"{path}, line {number}: {what} is no tombstone", "give a list that bamkit forget --export wrote"
            )
        stones.append(Tombstone(**values))
    return Tombstones(stones)
