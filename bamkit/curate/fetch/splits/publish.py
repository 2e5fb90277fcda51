"""One selection's way from its final assignment to the split folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TextIO

import bamkit
from bamkit.common.batches import batched
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import dependent_runs, split_about
from bamkit.common.provenance import canonical, digest
from bamkit.common.shards import shard_names
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.http.politeness import is_this_machine
from bamkit.curate.fetch.ledger import Row
from bamkit.curate.fetch.settings import FetchSettings
from bamkit.curate.fetch.splits.assignment import Assignment, Manifest, Place
from bamkit.curate.fetch.splits.shards import Absence, built_at, damaged, is_current, write_missing, write_split
from bamkit.curate.fetch.store import Store
from bamkit.curate.fetch.summary import SelectionResult

BATCH = 1000


class Publication:
    """What a split folder will hold. Rows of the ledger are read in batches: there may be millions."""

    def __init__(
        self,
        workspace: Workspace,
        manifest: Manifest,
        assignment: Assignment,
        config: FetchSettings,
        store: Store,
        given_up: Mapping[str, str],
        force: bool = False,
    ) -> None:
        self.workspace, self.force = workspace, force
        self.manifest, self.assignment, self.config, self.store = manifest, assignment, config, store
        self.folder, self.missing_path = workspace.split(manifest.name), workspace.missing(manifest.name)
        self.given_up = given_up

    @cached_property
    def absent(self) -> dict[str | None, Absence]:
        """What is known of every picture that could not be had, by URL."""
        urls = [self.manifest.src[row] for row, _ in self.assignment.missing]
        rows = self.store.ledger.rows(url for url in urls if url is not None)
        absences: dict[str | None, Absence] = {}
        for url in urls:
            row = rows.get(url or "")
            if url is None:
                absences[url] = Absence("bad-url")
            elif url in self.given_up or row is None:
                absences[url] = Absence("host-down")
            else:
                absences[url] = Absence(row.outcome, row.http_status, row.attempts, row.rule)
        return absences

    @cached_property
    def reasons(self) -> Counter[str]:
        """How many pictures could not be had, by outcome."""
        return Counter(self.absent[self.manifest.src[row]].outcome for row, _ in self.assignment.missing)

    @cached_property
    def about(self) -> dict[str, Any]:
        """The metadata of the split folder; its id follows from what is in it and how it was built."""
        about: dict[str, Any] = {
            "kind": "split",
            "name": self.manifest.name,
            "selection_id": self.manifest.selection_id,
        }
        about |= {"build": self.config.picture.about(), "bamkit": bamkit.__version__}
        content = hashlib.sha256()
        for split, places in self.assignment.splits.items():
            for place, row in self.rows(places):
                content.update(canonical([split, self.manifest.mid[place.row], row.sha256, place.replaces]).encode())
        for missing, other in self.assignment.missing:
            absence = self.absent[self.manifest.src[missing]]
            known = [absence.outcome, absence.reason, absence.http_status, absence.attempts]
            content_row = [self.manifest.mid[missing], known, other]
            content.update(canonical(content_row).encode())
        return {**about, "split_id": digest({**about, "inside": content.hexdigest()})}

    def rows(self, places: list[Place]) -> Iterator[tuple[Place, Row]]:
        """Places with their rows of the ledger."""
        for part in batched(places, BATCH):
            rows = self.store.ledger.rows(self.manifest.src[place.row] or "" for place in part)
            for place in part:
                yield place, rows[self.manifest.src[place.row] or ""]

    def unbuilt(self) -> Iterator[Row]:
        """The rows whose picture is not built yet, one for each file."""
        seen = self.store.cache.known()
        for places in self.assignment.splits.values():
            for _, row in self.rows(places):
                if row.sha256 not in seen:
                    seen.add(row.sha256 or "")
                    yield row

    def refuse_empty(self) -> None:
        """Raises BamkitError if there is not one picture."""
        if any(self.assignment.splits.values()) or not self.manifest.mid:
            return
        why = self.reasons.most_common()
        listed = ", ".join(f"{count:,} {reason}" for reason, count in why[:4])
        if down := sorted(set(self.given_up.values())):
            listed += f" ({down[0]})"
        hint = f"bamkit fetch {self.manifest.name} --retry-failed {why[0][0]}" if why else ""
        if "private-address" in self.reasons:
            hint = "bamkit fetch --allow-private   # if this machine or your own network is meant"
        elif "host-down" in self.reasons:
            hint = "bamkit fetch   # once the host answers: try one address in a browser"
            if any(is_this_machine(why.partition(" ")[0]) for why in self.given_up.values()):
                hint = "start the server (of a sample: bamkit sample DIR --serve), then: bamkit fetch"
        raise BamkitError(f"not one picture of {self.manifest.name!r} could be had: {listed}", hint)

    @cached_property
    def is_current(self) -> bool:
        """Whether the folder holds just this already."""
        rows = self.config.shard_rows
        names = [
            name for split, places in self.assignment.splits.items() for name in shard_names(split, len(places), rows)
        ]
        return bool(self.kept_for) or is_current(self.folder, names, self.missing_path, self.about["split_id"])

    @cached_property
    def kept_for(self) -> str:
        """The run for whose sake a whole split with other pictures than are to be had now is left as it is."""
        now = split_about(self.workspace, self.manifest.name) if not damaged(self.folder, self.missing_path) else {}
        if self.force or now.get("split_id") in (None, self.about["split_id"]):
            return ""
        return next(iter(dependent_runs(self.workspace, self.manifest.name)), "")

    def write(self, stream: TextIO | None) -> SelectionResult:
        """Write the folder, unless it is up to date, and say what is in it."""
        before = built_at(self.folder)
        if not self.is_current:
            total = sum(map(len, self.assignment.splits.values()))
            with Progress(f"write {self.manifest.name}", total, stream=stream) as progress:
                for path in damaged(self.folder, self.missing_path):
                    progress.write(f"{path} is damaged: it is written anew")
                write_split(
                    self.folder, self.manifest, self.assignment.splits, self.rows, self.store.cache.get, self.about,
                    self.config.picture, self.config.shard_rows, lambda more: progress.update(progress.done + more),
                )  # fmt: skip
            write_missing(
                self.missing_path, self.manifest, self.assignment.missing, self.absent.__getitem__, self.about
            )
        build = self.config.picture
        return SelectionResult(
            self.manifest.name,
            {split: (len(places), len(self.manifest.rows(split))) for split, places in self.assignment.splits.items()},
            sum(place.replaces is not None for places in self.assignment.splits.values() for place in places),
            self.reasons,
            split_about(self.workspace, self.manifest.name)["split_id"] if self.kept_for else self.about["split_id"],
            not self.is_current,
            f"{build.size} px {build.fit} {build.format}",
            before if before and before != build.about() else None,
            self.kept_for,
        )
