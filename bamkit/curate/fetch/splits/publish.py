"""One selection's way from its final assignment to the split folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

import bamkit
from bamkit.common.batches import batched
from bamkit.common.contract import SPLITS
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import dependent_runs, split_about
from bamkit.common.provenance import canonical, digest
from bamkit.common.shards import shard_names
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.http.politeness import is_this_machine
from bamkit.curate.fetch.ledger import Row
from bamkit.curate.fetch.settings import FetchSettings
from bamkit.curate.fetch.splits.assignment import Assignment, Places
from bamkit.curate.fetch.splits.manifest import Manifest, Rows
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
        given_up: NDArray[np.bool_],
        why_given_up: Collection[str],
        force: bool = False,
    ) -> None:
        """`given_up`: by number of address, whether its host was given up in this run; `why_given_up`: the reasons."""
        self.workspace, self.force = workspace, force
        self.manifest, self.assignment, self.config, self.store = manifest, assignment, config, store
        self.folder, self.missing_path = workspace.split(manifest.name), workspace.missing(manifest.name)
        self.given_up, self.why_given_up = given_up, why_given_up

    def _absences(self) -> Iterator[list[tuple[int, int, str | None, Absence]]]:
        """What could not be had, in batches: its row, the row that stands in for it or -1, its address, and why."""
        missing, start = self.assignment.missing, 0
        for rows, urls in self.manifest.urls(missing.rows, BATCH):
            known = self.store.ledger.rows(url for url in urls if url is not None)
            instead = missing.instead[start : start + len(rows)].tolist()
            start += len(rows)
            yield [
                (row, other, url, self._absence(row, url, known))
                for row, other, url in zip(rows, instead, urls, strict=True)
            ]

    def _absence(self, row: int, url: str | None, known: Mapping[str, Row]) -> Absence:
        if url is None:
            return Absence("bad-url")
        if self.given_up[self.manifest.address[row]] or url not in known:
            return Absence("host-down")
        found = known[url]
        return Absence(found.outcome, found.http_status, found.attempts, found.rule)

    @property
    def reasons(self) -> Counter[str]:
        """How many pictures could not be had, by outcome."""
        return self._content[1]

    @cached_property
    def about(self) -> dict[str, Any]:
        """The metadata of the split folder; its id follows from what is in it and how it was built."""
        about: dict[str, Any] = {
            "kind": "split",
            "name": self.manifest.name,
            "selection_id": self.manifest.selection_id,
        }
        about |= {"build": self.config.picture.about(), "bamkit": bamkit.__version__}
        return {**about, "split_id": digest({**about, "inside": self._content[0]})}

    @cached_property
    def _content(self) -> tuple[str, Counter[str]]:
        """A hash of all that is in the folder, and `reasons`: one way through the ledger for both."""
        content, reasons = hashlib.sha256(), Counter[str]()
        for split, places in self.assignment.splits.items():
            instead = iter(places.instead.tolist())
            for row, found in self.rows(places):
                known = [split, self._mid(row), found.sha256, self._mid(next(instead))]
                content.update(canonical(known).encode())
        for batch in self._absences():
            for row, other, _, absence in batch:
                why = [absence.outcome, absence.reason, absence.http_status, absence.attempts]
                content.update(canonical([self._mid(row), why, self._mid(other)]).encode())
            reasons.update(absence.outcome for *_, absence in batch)
        return content.hexdigest(), reasons

    def _mid(self, row: int) -> int | None:
        return None if row < 0 else int(self.manifest.mid[row])

    def rows(self, places: Places) -> Iterator[tuple[int, Row]]:
        """The rows of the manifest in some places, with those of the ledger."""
        for rows, urls in self.manifest.urls(places.rows, BATCH):
            yield from zip(rows, self._of_ledger(urls), strict=True)

    def _of_ledger(self, urls: Sequence[str | None]) -> Iterator[Row]:
        rows = self.store.ledger.rows(url or "" for url in urls)
        return (rows[url or ""] for url in urls)

    def unbuilt(self) -> Rows:
        """The rows of the manifest whose picture is not built yet; of rows with one file perhaps all of them."""
        needed = []
        for places in self.assignment.splits.values():
            for batch in batched(self.rows(places), BATCH):
                built = self.store.cache.holds(found.sha256 or "" for _, found in batch)
                needed += [row for row, found in batch if found.sha256 not in built]
        return np.sort(np.array(needed, np.int64))

    def to_build(self, rows: Rows) -> Iterator[list[Row]]:
        """The ledger's rows for some rows of the manifest, in batches, without those that were built meanwhile."""
        for _, urls in self.manifest.urls(rows, BATCH):
            files = {row.sha256 or "": row for row in self._of_ledger(urls)}
            for built in self.store.cache.holds(files):
                del files[built]
            yield list(files.values())

    def refuse_empty(self) -> None:
        """Raises BamkitError if there is not one picture."""
        if any(self.assignment.splits.values()) or not len(self.manifest):
            return
        why = self.reasons.most_common()
        listed = ", ".join(f"{count:,} {reason}" for reason, count in why[:4])
        if down := sorted(self.why_given_up):
            listed += f" ({down[0]})"
        hint = f"bamkit fetch {self.manifest.name} --retry-failed {why[0][0]}" if why else ""
        if "private-address" in self.reasons:
            hint = "bamkit fetch --allow-private   # if this machine or your own network is meant"
        elif "host-down" in self.reasons:
            hint = "bamkit fetch   # once the host answers: try one address in a browser"
            if any(is_this_machine(why.partition(" ")[0]) for why in self.why_given_up):
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
                    self.folder, self.manifest, self.assignment.splits, self._of_ledger, self.store.cache.get,
                    self.about, self.config.picture, self.config.shard_rows,
                    lambda more: progress.update(progress.done + more),
                )  # fmt: skip
            write_missing(self.missing_path, map(self._missing_rows, self._absences()), self.about)
        build = self.config.picture
        return SelectionResult(
            self.manifest.name,
            {split: (len(places), len(self.manifest.rows(split))) for split, places in self.assignment.splits.items()},
            sum(int((places.instead >= 0).sum()) for places in self.assignment.splits.values()),
            self.reasons,
            split_about(self.workspace, self.manifest.name)["split_id"] if self.kept_for else self.about["split_id"],
            not self.is_current,
            f"{build.size} px {build.fit} {build.format}",
            before if before and before != build.about() else None,
            self.kept_for,
        )

    def _missing_rows(self, absences: list[tuple[int, int, str | None, Absence]]) -> list[tuple[Any, ...]]:
        """Rows of the table of missing pictures."""
        manifest = self.manifest
        return [
            (
                *(self._mid(row), url, int(manifest.rank[row]), SPLITS[manifest.split[row]], why.outcome, why.reason),
                *(why.http_status, why.attempts, self._mid(other), why.rule),
            )
            for row, other, url, why in absences
        ]
