"""What is evaluated: the translations of a run, paired with the pictures they were made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bamkit.common.errors import BamkitError
from bamkit.common.lineage import TRANSLATIONS, require_current, stale_translations
from bamkit.common.shards import ShardReader, read_about
from bamkit.common.workspace import Workspace
from bamkit.gan.domains import FetchedDomain
from bamkit.gan.evaluate.inputs.folder_domain import FolderDomain, FolderReader

Domain = FetchedDomain | FolderDomain


@dataclass
class Direction:
    """The translations of one direction beside the pictures they were made from."""

    run: str
    name: str
    """`happy-to-scary`."""
    source: Domain
    target: Domain
    before: ShardReader
    """The source split's pictures."""
    after: ShardReader
    """All translations of the run."""
    pairs: NDArray[np.int64]
    """(n, 2) int: row of `before` and row of `after` that belong together, in order of rank."""
    left_out: int = 0
    """Translations of this direction without a source picture here: plain files, or another split."""
    checkpoint: str = ""
    """The checkpoint the translations were made with."""

    def __len__(self) -> int:
        return len(self.pairs)

    def mids(self) -> NDArray[np.int64]:
        """(n,): the mid of every pair; of a folder's pictures, the position in the folder."""
        return np.asarray(np.array(self.before.column("mid"), np.int64)[self.pairs[:, 0]])

    def projects(self) -> list[int | None]:
        """(n,): the project of every pair's source; None where it is not known."""
        known = self.before.column("project_id")
        return [known[row] for row in self.pairs[:, 0].tolist()]

    def labelled(self, attribute: str) -> NDArray[np.bool_]:
        """(n,): whether BAM labels the source picture `positive` for the attribute."""
        positive = [label == "positive" for label in self.before.column(attribute)]
        return np.asarray(np.array(positive, bool)[self.pairs[:, 0]])


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
        sides = np.array([after.column("width"), after.column("height")], dtype=float)[:, used]  # null becomes NaN
        if np.isnan(sides).any():
            return None
        sizes = np.unique(sides, axis=1)
        return (int(sizes[0, 0]), int(sizes[1, 0])) if sizes.shape[1] == 1 else None

    @property
    def domains(self) -> list[Domain]:
        """The domains of all directions, each once, by name."""
        domains = {d.name: d for direction in self.directions for d in (direction.source, direction.target)}
        return [domains[name] for name in sorted(domains)]


def translated(workspace: Workspace) -> list[str]:
    """Names under translations/ that hold a translations.parquet."""
    return sorted(path.parent.name for path in workspace.translations.glob(f"*/{TRANSLATIONS}"))


def choose_run(workspace: Workspace, name: str | None, split: str = "test", asked: str = "") -> str:
    """`name`, or the only run with translations of `split`; own pictures translated beside those do not count.

    Raises BamkitError with the next command where there is none; `asked` are the options that it repeats.
    """
    known = translated(workspace)
    if name is None:
        of_split = [name for name in known if _about(workspace, name).get("split", split) == split]
        known = of_split or known
        if len(known) == 1:
            return known[0]
        if known:
            raise BamkitError(
                f"there are translations of {len(known)} runs: {', '.join(known)}",
                " ".join(filter(None, ("bamkit evaluate", known[0], asked))),
            )
        runs = workspace.run_names()
        if runs:
            raise BamkitError(f"no run has been translated yet: {', '.join(runs)}", "bamkit translate")
        raise BamkitError("there is no trained run to evaluate", "bamkit train\nbamkit translate")
    if name in known:
        return name
    if name in workspace.run_names():
        raise BamkitError(f"run {name} has no translations", _how_to_translate(workspace, name, split))
    others = sorted({*known, *workspace.run_names()})
    raise BamkitError(f"there is no run {name}", f"there are: {', '.join(others)}" if others else "bamkit train")


def open_run(workspace: Workspace, name: str, split: str = "test", folder: Path | None = None) -> Run:
    """The translations of `name` made from `split`, paired with their sources.

    They lie in translations/NAME, or in `folder`. Raises BamkitError where translations or sources are missing or
    stale, with the command that makes them.
    """
    if folder is None:
        require_current(workspace, stale_translations(workspace, name))
    path = (folder or workspace.translations / name) / TRANSLATIONS
    after = ShardReader(
        [path], ["mid", "direction", "run_id", "checkpoint", "split", "source_sha256", "width", "height"]
    )
    directions = [_direction(workspace, name, text, split, after) for text in _values(after.column("direction"))]
    if not any(len(direction) for direction in directions):
        have = ", ".join(_values(after.column("split"))) or "none"
        again = _how_to_translate(workspace, _about(workspace, name).get("run", name), split)
        raise BamkitError(
            f"{path} holds no translation of a {split} picture of this workspace (splits in it: {have})", again
        )
    run_ids = _values(after.column("run_id"))
    kept = [direction for direction in directions if len(direction)]
    return Run(name, run_ids[0] if run_ids else "", split, kept, read_about(path))


def _values(column: list[str | None]) -> list[str]:
    """The different texts of a column, sorted; without null and empty ones."""
    return sorted({value for value in column if value})


def _about(workspace: Workspace, name: str) -> dict[str, Any]:
    return read_about(workspace.translations / name / TRANSLATIONS)


def _folders(workspace: Workspace, run: str) -> dict[str, FolderDomain]:
    """The domains of a run that were plain folders when it was trained, by name."""
    try:
        about = json.loads((workspace.run(run) / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, BamkitError):
        return {}  # translations may lie in a workspace without their run; then its domains are fetched splits
    sides = [about.get(side) or {} for side in ("from", "to")]
    return {
        side["name"]: FolderDomain(side["name"], Path(side["where"]), side.get("files_id"))
        for side in sides
        if side.get("kind") == "folder"
    }


def _how_to_translate(workspace: Workspace, run: str, split: str) -> str:
    """The next command, or what has to be done before it, where a run has no translations of a split."""
    command = f"bamkit translate {run}" + ("" if split == "test" else f" --split {split}")
    lacking = [domain.folder / split for domain in _folders(workspace, run).values() if not len(domain.shards(split))]
    if lacking:
        places = " and ".join(map(str, lacking))
        return f"put pictures that the run was not trained on into {places}, then: {command}"
    return command if split == "test" else f"{command}\nbamkit evaluate {run}-{split} --split {split}"


def _domains(workspace: Workspace, run: str, text: str) -> tuple[Domain, Domain]:
    """The source and the target of a direction. Raises BamkitError where they are not here."""
    known: dict[str, Domain] = {name: FetchedDomain(name, workspace) for name in workspace.split_names()}
    known |= _folders(workspace, run)
    for source in known:
        for target in known:
            if f"{source}-to-{target}" == text:
                return known[source], known[target]
    raise BamkitError(
        f"the translations read {text}, but there is no such pair of splits here ({', '.join(known) or 'none'})",
        "evaluation needs the two fetched splits, or the folders, that the run was trained between",
    )


def _direction(workspace: Workspace, run: str, text: str, split: str, after: ShardReader) -> Direction:
    source, target = _domains(workspace, _about(workspace, run).get("run", run), text)
    before = source.shards(split)
    # Pictures of a folder have no mid: they are known by their bytes.
    key, of_source = ("source_sha256", "original_sha256") if isinstance(before, FolderReader) else ("mid", "mid")
    place = {value: row for row, value in enumerate(before.column(of_source))}
    own = [row for row, direction in enumerate(after.column("direction")) if direction == text]
    keys, splits, checkpoints = (after.column(name) for name in (key, "split", "checkpoint"))
    pairs = sorted((place[keys[row]], row) for row in own if splits[row] == split and keys[row] in place)
    used = ", ".join(_values([checkpoints[row] for row in own]))
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Direction(run, text, source, target, before, after, table, len(own) - len(pairs), used)
