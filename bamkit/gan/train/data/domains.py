"""A domain's pictures: fetched splits or plain folders, decoded once into one uint8 array."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bamkit.common import provenance
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import restoration, split_about
from bamkit.common.pictures.folders import PictureFolder, count_of, list_pictures
from bamkit.common.pictures.reader import BadPictureError, open_picture
from bamkit.common.shards import read_about, read_table
from bamkit.common.workspace import Workspace, as_on_disk, is_name, readable, safe_name, shard_paths

PARTS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
"""Sub-folders that a plain folder may have, by the split they hold."""
FEWEST = 2
"""Fewer training pictures than this are certainly a mistake."""


@dataclass
class TrainingDomain:
    """Where the pictures of one domain lie, before anything is decoded."""

    name: str
    where: Path
    about: dict[str, Any]
    """What run.json records: `kind` (split or folder), and the split's or the files' id."""
    entries: dict[str, list[Entry]]
    """By split: train, validation, test."""
    side: int
    """The shorter side of the pictures, px: of the smallest in a split, of the median one in a folder."""
    notes: list[str] = field(default_factory=list)
    build: dict[str, Any] | None = None
    """How the pictures of a split were built, to bring them back (in run.json beside `about`, which makes its id)."""

    @property
    def train(self) -> list[Entry]:
        return self.entries["train"]

    def record(self) -> dict[str, Any]:
        """What run.json says about the domain."""
        about = {**self.about, "name": self.name, "where": str(self.where.resolve()), "pictures": len(self.train)}
        return about | ({"build": self.build} if self.build else {})


@dataclass(frozen=True)
class Entry:
    """One picture: a file of its own, or a row of a shard."""

    key: str
    """`mid:1234` or the file's name: what a user recognises."""
    path: Path
    row: int = -1
    sha256: str = ""
    """SHA-256 of the original file."""

    @property
    def identities(self) -> set[str]:
        """What two entries of the same picture have in common."""
        same = {f"sha256:{self.sha256}"} if self.sha256 else set()
        return same | ({self.key} if self.row >= 0 else set())


def find_pair(
    workspace: Workspace, first: str | None, second: str | None, allow_shared: bool = False
) -> tuple[TrainingDomain, TrainingDomain]:
    """The domains to train between: split names or folders, or, with neither given, the two fetched splits.

    Raises BamkitError if there are not two, if one has too few pictures, or if they share pictures.
    """
    if not (first and second):
        names = workspace.domain_names()
        if not first and not second and len(names) == 2:
            first, second = names
        elif first and len(names) == 2 and first in names:
            second = next(name for name in names if name != first)
        elif second and len(names) == 2 and second in names:
            first = next(name for name in names if name != second)
        else:
            raise _which_domains(workspace, names)
    pair = find(workspace, first), find(workspace, second)
    if pair[0].where.resolve() == pair[1].where.resolve():
        raise BamkitError(f"--from and --to are the same pictures: {pair[0].where}", "give two domains")
    if pair[0].name == pair[1].name:
        pair[0].name, pair[1].name = f"{pair[0].name}-a", f"{pair[1].name}-b"
    if not allow_shared:
        refuse_shared(*pair)
    return pair


def find(workspace: Workspace, text: str) -> TrainingDomain:
    """A fetched split by name, a split folder, or a plain folder of pictures. Raises BamkitError."""
    if is_name(text) and workspace.shards(text, "train"):
        return from_split(workspace.split(text), text)
    folder = as_on_disk(Path(text).expanduser())
    if folder.is_dir():
        if shard_paths(folder, "train"):
            return from_split(folder, folder.name)
        return from_folder(folder)
    fetched = workspace.split_names()
    if workspace.selection(text).is_file() if is_name(text) else False:
        raise BamkitError(f"{text} is selected but not fetched yet", f"bamkit fetch {text}")
    if fetched:
        here = f"the fetched splits are {', '.join(fetched)}"
        fix = f"bamkit train --from {fetched[0]} --to {fetched[-1]}   # or a folder of pictures"
    else:
        here = "no split was fetched in this workspace"
        fix = "bamkit select --emotion happy --top 1000\nbamkit fetch\nor give --from DIR --to DIR"
    raise BamkitError(f"there is no split and no folder {text!r}: {here}", fix)


def find_again(workspace: Workspace, run: dict[str, Any]) -> tuple[TrainingDomain, TrainingDomain]:
    """The domains that a run.json names. Raises BamkitError if they are gone, or no longer the same pictures."""
    pair = []
    for side in ("from", "to"):
        recorded = run[side]
        if not all(isinstance(recorded.get(key), str) for key in ("kind", "name", "where")):
            raise BamkitError(
                f"run.json does not say which pictures `{side}` names (kind, name and where)",
                "--force to start afresh, or another --name",
            )
        name, where = recorded["name"], Path(recorded["where"])
        # A workspace may have moved: its own split of that name comes first.
        is_split = recorded["kind"] == "split"
        domain = find(workspace, name if is_split and workspace.shards(name, "train") else str(where))
        for key in ("split_id", "files_id"):
            if recorded.get(key) != domain.about.get(key):
                back = restoration(recorded, split_about(workspace, name)) if is_split else ""
                raise BamkitError(
                    f"the pictures of {name} have changed since the run began ({domain.where})",
                    f"{back}   # brings them back" if back else "--force to start afresh, or another --name",
                )
        domain.name = name
        kind, folder = domain.about["kind"], domain.where.resolve()
        if (kind, folder) != (recorded["kind"], where):
            domain.notes.append(
                f"run.json says that {name} is the {recorded['kind']} {where}: the same pictures, by their ids, are in "
                f"the {kind} {folder}"
            )
        pair.append(domain)
    return pair[0], pair[1]


def from_split(folder: Path, name: str) -> TrainingDomain:
    """The domain in a split folder (contract.split_schema). Raises BamkitError if a shard cannot be read."""
    entries: dict[str, list[Entry]] = {}
    about: dict[str, Any] = {"kind": "split", "name": name}
    side, build = 0, None
    for split in PARTS:
        entries[split] = []
        for shard in shard_paths(folder, split):
            wanted = ["mid", "original_sha256", "width", "height"]
            columns = read_table(shard, wanted).to_pydict()
            sides = [min(w, h) for w, h in zip(columns["width"], columns["height"], strict=True) if w and h]
            side = min([side, *sides]) if side else min(sides, default=0)
            entries[split] += [
                Entry(f"mid:{mid}", shard, row, sha or "")
                for row, (mid, sha) in enumerate(zip(columns["mid"], columns["original_sha256"], strict=True))
            ]
            written = read_about(shard)
            about |= {key: written[key] for key in ("split_id", "selection_id") if key in written}
            build = written.get("build")
    return _checked(TrainingDomain(name, folder, about, entries, side, build=build))


def from_folder(folder: Path) -> TrainingDomain:
    """The domain in a plain folder: its pictures, or those of its sub-folders train/, validation/ and test/ (see
    `list_split`).

    The first of its `notes` says how many pictures were taken and how many left out; files that are no readable picture
    are named in another.
    """
    entries: dict[str, list[Entry]] = {split: [] for split in PARTS}
    sides: list[int] = []
    bad: list[str] = []
    whole = PictureFolder(folder)
    for split in PARTS:
        listing = list_split(folder, split)
        whole.left_out += listing.left_out
        for path in listing.pictures:
            try:
                data = path.read_bytes()
                sides.append(min(open_picture(data).size))
            except (OSError, BadPictureError) as error:
                bad.append(f"{readable(path.name)} ({error})")
                continue
            whole.pictures.append(path)
            key = readable(path.relative_to(folder))
            entries[split].append(Entry(key, path, -1, hashlib.sha256(data).hexdigest()))
    held = {entry.sha256 for split in ("validation", "test") for entry in entries[split]}
    if shared := sum(entry.sha256 in held for entry in entries["train"]):
        entries["train"] = [entry for entry in entries["train"] if entry.sha256 not in held]
        whole.pictures = [entry.path for listed in entries.values() for entry in listed]
        whole.left_out["in validation/ or test/ as well"] = shared
    if bad:
        whole.left_out["unreadable"] = len(bad)
    notes = [str(whole)]
    if bad:
        files = count_of(len(bad), "file") + (
            " is no readable picture" if len(bad) == 1 else " are no readable pictures"
        )
        notes.append(f"{readable(folder)}: {files}: {', '.join(bad[:3])}{', ...' if len(bad) > 3 else ''}")
    name = safe_name(folder.resolve().name)
    files_id = provenance.digest({split: [[e.key, e.sha256] for e in listed] for split, listed in entries.items()})
    side = int(np.median(sides)) if sides else 0
    about = {"kind": "folder", "name": name, "files_id": files_id}
    return _checked(TrainingDomain(name, folder, about, entries, side, notes))


def list_split(folder: Path, split: str) -> PictureFolder:
    """The pictures that a plain folder keeps for a split: those in its sub-folder of that name.

    Without a sub-folder train/, all that are in none of the others are training pictures.
    """
    parts = {
        name: next((folder / each for each in names if (folder / each).is_dir()), None) for name, names in PARTS.items()
    }
    part = parts[split] or (folder if split == "train" else None)
    if part is None:
        return PictureFolder(folder)
    return list_pictures(part, [other for other in parts.values() if other is not None] if part == folder else [])


def refuse_shared(first: TrainingDomain, second: TrainingDomain) -> None:
    """Raises BamkitError if a picture is in both domains (by mid or by the original file's hash), in any split."""
    seen = {identity: e for entries in first.entries.values() for e in entries for identity in e.identities}
    shared = {
        e.key: seen[identity]
        for entries in second.entries.values()
        for e in entries
        for identity in e.identities
        if identity in seen
    }
    if not shared:
        return
    some = ", ".join(list(shared)[:3]) + (", ..." if len(shared) > 3 else "")
    many = "1 picture" if len(shared) == 1 else f"{len(shared):,} pictures"
    fix = "remove them from one folder"
    if second.about["kind"] == "split":
        fix = f"bamkit select --emotion {second.name} --disjoint-from {first.name} --force\nbamkit fetch"
    raise BamkitError(
        f"{first.name} and {second.name} share {many} ({some}): the generators would learn that these are both",
        f"{fix}\nor give --allow-shared",
    )


def _checked(domain: TrainingDomain) -> TrainingDomain:
    count = len(domain.train)
    if count < FEWEST:
        amount = "no picture" if not count else "only 1 picture"
        fix = f"bamkit select and bamkit fetch more of {domain.name}" if domain.about["kind"] == "split" else "add some"
        raise BamkitError(f"{domain.where} has {amount} to train on", fix)
    if count < 10:
        domain.notes.append(
            f"{domain.name} has only {count} training pictures: the networks will learn them by heart. "
            "The study used 1,000" + (" (bamkit select --top 1000)" if domain.about["kind"] == "split" else "")
        )
    return domain


def _which_domains(workspace: Workspace, fetched: list[str]) -> BamkitError:
    if len(fetched) > 2:
        return BamkitError(
            f"there are {len(fetched)} fetched splits: {', '.join(fetched)}",
            f"bamkit train --from {fetched[0]} --to {fetched[1]}",
        )
    selected = [name for name in workspace.selection_names() if name not in fetched]
    if selected:
        are = "is" if len(selected) == 1 else "are"
        return BamkitError(f"{', '.join(selected)} {are} selected but not fetched yet", "bamkit fetch")
    have = f"only {fetched[0]}" if fetched else "none"
    return BamkitError(
        f"training needs two fetched splits, and there is {have}",
        "bamkit select --emotion happy --top 1000\nbamkit select --emotion scary --top 1000\nbamkit fetch\n"
        "or give --from DIR --to DIR",
    )
