"""What is evaluated: the translations of a run, paired with the pictures they were made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bamkit.common.errors import BamkitError
from bamkit.common.shards import ShardReader, read_about
from bamkit.common.workspace import Workspace
from bamkit.gan.domains import FetchedDomain

TRANSLATIONS = "translations.parquet"


@dataclass
class Direction:
    """The translations of one direction beside the pictures they were made from."""

    run: str
    name: str
    """`happy-to-scary`."""
    source: FetchedDomain
    target: FetchedDomain
    before: ShardReader
    """The source split's pictures."""
    after: ShardReader
    """All translations of the run."""
    pairs: np.ndarray
    """(n, 2) int: row of `before` and row of `after` that belong together, in order of rank."""
    left_out: int = 0
    """Translations of this direction without a source picture here: plain files, or another split."""
    checkpoint: str = ""
    """The checkpoint the translations were made with."""

    def __len__(self) -> int:
        return len(self.pairs)

    def mids(self) -> np.ndarray:
        """(n,) int64: the mid of every pair."""
        return np.array(self.before.column("mid"))[self.pairs[:, 0]]

    def labelled(self, attribute: str) -> np.ndarray:
        """(n,) bool: whether BAM labels the source picture `positive` for the attribute."""
        return np.array([label == "positive" for label in self.before.column(attribute)])[self.pairs[:, 0]]


@dataclass
class Run:
    """A run's translations, ready to be evaluated."""

    name: str
    run_id: str
    split: str
    directions: list[Direction]
    about: dict[str, Any]

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the translations; None where they differ."""
        used = np.concatenate([direction.pairs[:, 1] for direction in self.directions])
        after = self.directions[0].after
        sizes = np.unique(np.array([after.column("width"), after.column("height")])[:, used], axis=1)
        return (int(sizes[0, 0]), int(sizes[1, 0])) if sizes.shape[1] == 1 else None

    @property
    def domains(self) -> list[FetchedDomain]:
        """The domains of all directions, each once, by name."""
        found = {d.name: d for direction in self.directions for d in (direction.source, direction.target)}
        return [found[name] for name in sorted(found)]


def translated(workspace: Workspace) -> list[str]:
    """Names under translations/ that hold a translations.parquet."""
    return sorted(path.parent.name for path in workspace.translations.glob(f"*/{TRANSLATIONS}"))


def choose_run(workspace: Workspace, name: str | None) -> str:
    """`name`, or the only run with translations. Raises BamkitError with the next command where there is none."""
    known = translated(workspace)
    if name is None:
        if len(known) == 1:
            return known[0]
        if known:
            raise BamkitError(
                f"there are translations of {len(known)} runs: {', '.join(known)}", f"bamkit evaluate {known[0]}"
            )
        runs = workspace.run_names()
        if runs:
            raise BamkitError(f"no run has been translated yet: {', '.join(runs)}", "bamkit translate")
        raise BamkitError("there is no trained run to evaluate", "bamkit train, then bamkit translate")
    if name in known:
        return name
    if name in workspace.run_names():
        raise BamkitError(f"run {name} has no translations", f"bamkit translate {name}")
    others = sorted({*known, *workspace.run_names()})
    raise BamkitError(f"there is no run {name}", f"there are: {', '.join(others)}" if others else "bamkit train")


def open_run(workspace: Workspace, name: str, split: str = "test") -> Run:
    """The translations of `name` made from `split`, paired with their sources.

    Raises BamkitError where translations or sources are missing, with the command that makes them.
    """
    path = workspace.translations / name / TRANSLATIONS
    after = ShardReader(
        [path], ["mid", "direction", "run_id", "checkpoint", "split", "source_sha256", "width", "height"]
    )
    directions = [_direction(workspace, name, text, split, after) for text in _values(after.column("direction"))]
    if not any(len(direction) for direction in directions):
        have = ", ".join(_values(after.column("split"))) or "none"
        again = f"bamkit translate {name}"
        if split != "test":
            again += f" --split {split}; bamkit evaluate {name}-{split} --split {split}"
        raise BamkitError(
            f"{path} holds no translation of a {split} picture of this workspace (splits in it: {have})", again
        )
    run_ids = _values(after.column("run_id"))
    kept = [direction for direction in directions if len(direction)]
    return Run(name, run_ids[0] if run_ids else "", split, kept, read_about(path))


def _values(column: list[str | None]) -> list[str]:
    """The different texts of a column, sorted; without null and empty ones."""
    return sorted({value for value in column if value})


def _direction(workspace: Workspace, run: str, text: str, split: str, after: ShardReader) -> Direction:
    names = workspace.split_names()
    found = [(s, t) for s in names for t in names if f"{s}-to-{t}" == text]
    if not found:
        raise BamkitError(
            f"the translations read {text}, but there is no such pair of splits here ({', '.join(names) or 'none'})",
            "evaluation needs the two fetched splits that the run was trained between",
        )
    source, target = (FetchedDomain(part, workspace) for part in found[0])
    before = source.shards(split)
    place = {mid: row for row, mid in enumerate(before.column("mid"))}
    own = [row for row, direction in enumerate(after.column("direction")) if direction == text]
    mids, splits, checkpoints = (after.column(name) for name in ("mid", "split", "checkpoint"))
    pairs = sorted((place[mids[row]], row) for row in own if splits[row] == split and mids[row] in place)
    used = ", ".join(_values([checkpoints[row] for row in own]))
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Direction(run, text, source, target, before, after, table, len(own) - len(pairs), used)
