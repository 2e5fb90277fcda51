"""What there is to review: the images of a selection or split with all that is known of them, as the page reads it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bamkit.common.contract import ATTRIBUTES, LABELS, SPLITS
from bamkit.common.near_duplicates import linked_groups, near_pairs, parse_hashes
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.domain import DomainTables, read_domain

SHORT = dict(zip(LABELS, "pun", strict=True))
"""Labels as letters; "-" where there is none."""
TWINS = 12
"""Near-duplicates that are shown of an image."""


@dataclass(frozen=True)
class Items:
    """The images to review, and where their pictures are."""

    name: str
    selection_id: str
    page: dict[str, Any]
    """What the page gets; `columns` holds a list a column, all of one length, in the order of the ranks."""
    places: dict[int, tuple[str, int]]
    """mid -> the split and the row in it of those whose picture is here."""
    originals: dict[int, str]
    """mid -> sha256 of the file as it was downloaded."""

    @property
    def mids(self) -> list[int]:
        return list(self.page["columns"]["mid"])


def read_items(workspace: Workspace, name: str) -> Items:
    """The images of the selection `name` (of the split, where there is no selection), with the pictures fetched so far.

    Raises BamkitError where there is neither, or where the split is of another selection.
    """
    domain = read_domain(workspace, name)
    rows = (domain.requested if domain.requested is not None else domain.rows).sort_by("rank")
    pictures = _pictures(domain)
    mids = rows["mid"].to_pylist()
    lost = {row["mid"]: row["outcome"] for row in domain.missing.to_pylist()} if domain.missing is not None else {}
    licences = sorted({text or "none" for text in rows["license"].to_pylist()})
    columns = {
        "mid": mids,
        "rank": rows["rank"].to_pylist(),
        "score": _rounded(rows["score"]),
        "split": [SPLITS.index(split) for split in rows["split"].to_pylist()],
        "license": [licences.index(text or "none") for text in rows["license"].to_pylist()],
        "mature": [bool(value) for value in rows["mature"].to_pylist()],
        "project": rows["project_id"].to_pylist(),
        "labels": _letters(rows),
        "scores": [list(values) for values in zip(*(_rounded(rows[f"{a}_score"]) for a in ATTRIBUTES), strict=True)],
        "picture": [mid in pictures for mid in mids],
        "lost": [lost.get(mid, "") for mid in mids],
        "near": _twins(mids, pictures),
    }
    selection_id = str(domain.about.get("selection_id") or "")
    page = {
        "name": name,
        "selection_id": selection_id,
        "attribute": domain.ranked_by or "",
        "attributes": list(ATTRIBUTES),
        "splits": list(SPLITS),
        "licenses": licences,
        "columns": columns,
    }
    places = {mid: (row["split"], row["position"]) for mid, row in pictures.items()}
    originals = {mid: row["original_sha256"] for mid, row in pictures.items() if row["original_sha256"]}
    return Items(name, selection_id, page, places, originals)


def _pictures(domain: DomainTables) -> dict[int, dict[str, Any]]:
    """mid -> split, its row in that split, and hashes of every picture that is here."""
    if domain.obtained is None:
        return {}
    found, positions = {}, Counter[str]()
    for row in domain.obtained.select(["mid", "split", "phash", "original_sha256"]).to_pylist():
        found[row["mid"]] = {**row, "position": positions[row["split"]]}
        positions[row["split"]] += 1
    return found


def _rounded(scores: Any) -> list[float | None]:
    return [None if score is None else round(score, 3) for score in scores.to_pylist()]


def _letters(rows: pa.Table) -> list[str]:
    """One string an image, a letter an attribute."""
    columns = [[SHORT.get(label, "-") for label in rows[name].to_pylist()] for name in ATTRIBUTES]
    return ["".join(letters) for letters in zip(*columns, strict=True)]


def _twins(mids: list[int], pictures: dict[int, dict[str, Any]]) -> list[list[int]]:
    """For each image the places of its near-duplicates among them, at most TWINS."""
    there, hashes = parse_hashes([pictures[mid]["phash"] if mid in pictures else None for mid in mids])
    left, right, _ = near_pairs(hashes)
    groups = linked_groups(len(hashes), left, right)
    members: dict[int, list[int]] = {}
    for place, group in zip(there.tolist(), groups.tolist(), strict=True):
        members.setdefault(group, []).append(place)
    twins: list[list[int]] = [[] for _ in mids]
    for of_group in members.values():
        for place in of_group if len(of_group) > 1 else ():
            twins[place] = [other for other in of_group if other != place][:TWINS]
    return twins
