"""`bamkit forget`: a tombstone first, then every trace; what is interrupted is finished by the next call."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.common.pages.workspace_index import refresh_index
from bamkit.common.tombstones import FILE, SHARED, Tombstone, Tombstones, read_tombstones
from bamkit.common.workspace import Workspace, refuse_overwrite
from bamkit.curate.fetch.ledger import locked, naming_damage
from bamkit.curate.forget.identify import known_rows, parse, tombstones_of
from bamkit.curate.forget.removal import Removal
from bamkit.curate.forget.traces import Traces


@dataclass
class Forgotten:
    """What was forgotten, or would be."""

    tombstones: list[Tombstone]
    """New ones."""
    removals: list[Removal]
    models: list[str]
    """Sentences on whatever was trained on the pictures: it is left as it is."""
    selections: list[str]
    """Selections that name them: the next fetch leaves them out."""
    dry_run: bool
    total: int
    """Tombstones of the workspace."""
    near: list[str] = field(default_factory=list)
    """The mids of near-duplicates that go with the pictures that were named."""

    @property
    def renewals(self) -> list[str]:
        """The commands that make anew what had to be taken away, each once."""
        return list(dict.fromkeys(removal.renew for removal in self.removals if removal.renew))

    def rows(self) -> list[dict[str, Any]]:
        """One row a kind of thing, for a table."""
        kinds: dict[str, list[Removal]] = {}
        for removal in self.removals:
            kinds.setdefault(removal.what, []).append(removal)
        return [
            {
                "what": kind,
                "files": len(removals),
                "pictures": sum(each.pictures or 0 for each in removals) or None,
                "where": str(removals[0].path) + (" …" if len(removals) > 1 else ""),
            }
            for kind, removals in kinds.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "dry_run": self.dry_run,
            "tombstones": [dict(zip(SHARED, stone.identity, strict=True)) for stone in self.tombstones],
            "removed": [
                {"path": str(removal.path), "what": removal.what, "pictures": removal.pictures}
                for removal in self.removals
            ],
            "models": self.models,
            "selections": self.selections,
            "renew": self.renewals,
            "near_duplicates": self.near,
            "total": self.total,
        }


def forget(
    workspace: Workspace,
    targets: Sequence[str] = (),
    given: Path | None = None,
    database: str | None = None,
    dry_run: bool = False,
    exact: bool = False,
) -> Forgotten:
    """Forget the pictures that `targets` name (see `identify.parse`), and those of the list `given`. Near-duplicates of
    targets go with them unless they are `exact`.

    Removes them from everything in the workspace and keeps tombstones. Without either it finishes what was interrupted.
    Each step may be repeated: the tombstones, written first, say what is still to be done. Raises BamkitError for a
    target that is none, and while a fetch, a training or another writer is at work on what has to be changed.
    """
    known = Tombstones.of(workspace)
    new: list[Tombstone] = list(read_tombstones(given).stones) if given else []
    if targets:
        named = parse(targets)
        new += tombstones_of(named, known_rows(workspace, database, named), exact)
    every = known.with_new(Tombstone(*stone.identity, stone.time) for stone in new)
    pending = every.pending
    with naming_damage(workspace.originals), contextlib.nullcontext() if dry_run else locked(workspace.originals):
        traces = Traces(workspace, pending)
        # What an interrupted call knew of the models is no longer to be seen once the splits are written anew.
        before = [model for stone in known.pending.stones for model in stone.models.split("; ") if model]
        models = list(dict.fromkeys([*before, *traces.models]))
        removals = list(traces.removals())
        selections = sorted(traces.selected)
        if not dry_run and pending.stones:
            for run in traces.runs:
                _refuse_training(workspace, run)
            _carry_out(workspace, every, removals, "; ".join(models))
    added = every.stones[len(known) :]
    near = [] if exact else [stone.mid for stone in added if stone.mid and stone.sha256 and not stone.phash]
    return Forgotten(added, removals, models, selections, dry_run, len(every), near)


def _carry_out(workspace: Workspace, every: Tombstones, removals: list[Removal], models: str) -> None:
    path = workspace.root / FILE
    every.with_models(models).write(path)
    for removal in removals:
        removal.act()
    refresh_index(workspace.root, first=False)  # before what says that nothing is left to do
    every.with_models(models).finished().write(path)


def finish(workspace: Workspace) -> Forgotten | None:
    """Finish a removal that was interrupted; None where there is none."""
    return forget(workspace) if Tombstones.of(workspace).pending.stones else None


def give(workspace: Workspace, path: Path, force: bool = False) -> int:
    """Write the tombstones as a list for others; how many there are. Raises BamkitError if the file is there."""
    refuse_overwrite(path, force)
    tombstones = Tombstones.of(workspace)
    tombstones.write(path, SHARED)
    return len(tombstones)


def _refuse_training(workspace: Workspace, run: str) -> None:
    """Raises BamkitError while a run is being trained: it would write its samples anew."""
    lock = workspace.runs / run / ".lock"
    try:
        import fcntl
    except ImportError:
        return  # Windows refuses to remove what is open
    if not lock.is_file():
        return
    with open(lock, "rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BamkitError(
                f"run {run} is being trained, on pictures that are to be forgotten", "stop it, then the same command"
            ) from error
