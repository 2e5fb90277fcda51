"""Leakage on a page: what is shared between splits and domains, the clusters with their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bamkit.common.pages.page import Page, Picture
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.domain import read_pictures
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
    shown = [c for c in check.clusters if (c.leak or not leaks_only) and _with_pictures(workspace, c)][:SHOWN]
    page.groups([(_caption(cluster), _pictures(workspace, cluster.members[:MEMBERS])) for cluster in shown])


def _caption(cluster: Cluster) -> str:
    left = len(cluster.members) - MEMBERS
    sentence = f"{'Leak' if cluster.leak else 'Repetition'}: {KINDS[cluster.kind]}"
    detail = f", {cluster.shared}" if cluster.kind == "picture" else ""
    return sentence + detail + (f", and {left} more" if left > 0 else "")


def _with_pictures(workspace: Workspace, cluster: Cluster) -> bool:
    return cluster.kind != "project" and all(workspace.shards(m.domain, m.split) for m in cluster.members)


def _pictures(workspace: Workspace, members: Sequence[Member]) -> list[Picture]:
    pictures = []
    for member in members:
        row = read_pictures(workspace, member.domain, member.split, [member.position])[0]
        caption = f"{member.place} {member.rank:,}"
        pictures.append(
            Picture(
                thumbnail(row["image"]["bytes"], 160),
                f"Image {member.mid}, {member.place}, rank {member.rank}",
                caption,
            )
        )
    return pictures
