"""Leakage on a page: what is shared between splits and domains, the clusters with their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from bamkit.common.pages.page import Page, Picture
from bamkit.common.shards import ShardReader
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.leaks import KINDS, Check, Cluster, Member
from bamkit.curate.audit.similarity import thumbnail

SHOWN = 40
"""How many clusters are shown with their pictures; the tables count all."""
MEMBERS = 12
"""How many members of a cluster are shown."""


def write_page(workspace: Workspace, check: Check) -> Path:
    """Write reports/check.html and return its path."""
    page = Page("Leakage check", "What train, test, validation and the domains share, and must not.")
    add(page, workspace, check)
    path = workspace.reports / "check.html"
    page.write(path)
    return path


def add(page: Page, workspace: Workspace, check: Check, leaks_only: bool = False) -> None:
    """The section on leakage of any page."""
    total = sum(check.images.values())
    page.section("Leakage", f"{total:,} images were compared, {check.hashed:,} of them by their pictures too.")
    if check.clean:
        page.text(
            "No two splits or domains share an image, an address, a file"
            + (", a project" if check.by_project else "")
            + (" or a near-duplicate picture." if check.hashed else ". Pictures were not fetched, so not compared.")
        )
    else:
        n = len(check.leaks)
        page.note(f"{n:,} {'cluster reaches' if n == 1 else 'clusters reach'} over a border between splits or domains.")
    if check.clusters:
        page.table(check.table(), caption="What is shared. Inside one split it is a repetition, not a leak.")
    readers = _Readers(workspace)
    candidates = (c for c in check.clusters if (c.leak or not leaks_only) and readers.hold(c))
    shown = list(islice(candidates, SHOWN))
    page.groups([(_caption(cluster), _pictures(readers, cluster.members[:MEMBERS])) for cluster in shown])


class _Readers:
    """The shards of each domain's splits, looked for and opened once: there may be very many clusters."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._of: dict[str, ShardReader | None] = {}

    def of(self, member: Member) -> ShardReader | None:
        """None where the member's split was not fetched."""
        if member.place not in self._of:
            paths = self.workspace.shards(member.domain, member.split)
            self._of[member.place] = ShardReader(paths, ()) if paths else None
        return self._of[member.place]

    def hold(self, cluster: Cluster) -> bool:
        """Whether the pictures of a cluster are here; those of a project are not looked for."""
        return cluster.kind != "project" and all(self.of(member) is not None for member in cluster.members)


def _caption(cluster: Cluster) -> str:
    left = len(cluster.members) - MEMBERS
    sentence = f"{'Leak' if cluster.leak else 'Repetition'}: {KINDS[cluster.kind]}"
    detail = f", {cluster.shared}" if cluster.kind == "picture" else ""
    return sentence + detail + (f", and {left} more" if left > 0 else "")


def _pictures(readers: _Readers, members: Sequence[Member]) -> list[Picture]:
    pictures = []
    for member in members:
        reader = readers.of(member)
        assert reader is not None
        caption = f"{member.domain}/\u200b{member.split} {member.rank:,}"  # where a narrow column may break it
        pictures.append(
            Picture(
                thumbnail(reader.encoded(member.position), 160),
                f"Image {member.mid}, {member.place}, rank {member.rank}",
                caption,
            )
        )
    return pictures
