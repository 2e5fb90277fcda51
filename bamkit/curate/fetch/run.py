"""A whole fetch: download what is wanted, fill gaps from the reserve, build the splits."""

from __future__ import annotations

import difflib
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import bamkit
from bamkit.curate.fetch.config import Fetch
from bamkit.curate.fetch.decode import quiet_decoders
from bamkit.curate.fetch.download import Tally
from bamkit.curate.fetch.engine import engine
from bamkit.curate.fetch.faults import FAULTS
from bamkit.curate.fetch.ledger import Row, locked
from bamkit.curate.fetch.plan import Assignment, Manifest, assign, wanted
from bamkit.curate.fetch.shards import built_pictures, current, shard_names, write_missing, write_split
from bamkit.curate.fetch.store import Store, opened
from bamkit.curate.fetch.summary import SplitsDone, Summary
from bamkit.errors import BamkitError
from bamkit.progress import Progress, size
from bamkit.provenance import digest, read_about
from bamkit.workspace import Workspace


def fetch(
    workspace: Workspace, names: Sequence[str] = (), config: Fetch | None = None, stream: TextIO | None = None
) -> Summary:
    """Fetch selections (all of the workspace by default) and write their splits.

    Only what the ledger does not know yet is asked for. Raises BamkitError when there is nothing to fetch, when another
    fetch is at work here, when the disk is full, and when not one picture of a selection could be had.
    """
    config = config or Fetch()
    manifests = [Manifest(name, workspace.selection(name)) for name in chosen(workspace, names)]
    with locked(workspace.originals), quiet_decoders(config.limits):
        with opened(workspace.originals, config.build.about()) as store:
            run = _Run(workspace, manifests, config, store, stream)
            try:
                return run.go()
            finally:
                run.engine.close()


def chosen(workspace: Workspace, names: Sequence[str]) -> list[str]:
    """The names of the selections to fetch. Raises BamkitError if there is none or one is unknown."""
    known = workspace.selection_names()
    if not known:
        raise BamkitError(f"no selections in {workspace.selections}", "first: bamkit select --emotion happy --top 1000")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise BamkitError(f"there is no selection {name!r} in {workspace.selections}", hint)
    return list(dict.fromkeys(names)) or known


class _Run:
    """The state of one fetch: which rows of the ledger count, and what was asked already in this run."""

    def __init__(
        self, workspace: Workspace, manifests: list[Manifest], config: Fetch, store: Store, stream: TextIO | None
    ) -> None:
        self.workspace, self.manifests, self.config, self.stream = workspace, manifests, config, stream
        self.store, self.engine = store, engine(config, store)
        self.summary = Summary()
        self.asked: set[str] = set()
        self.rows: dict[str, Row] = {}
        self.retry = set(config.retry)
        # What was refused by a setting that has been changed since is no failure of the host's.
        self.retry |= {"private-address"} if config.allow_private else set()
        self.retry |= set() if config.manners.honour_noai else {"opted-out"}

    def go(self) -> Summary:
        """Download until nothing is wanted, build, and begin again if something could not be built."""
        self._refresh()
        while True:
            if urls := self._wanted():
                self._download(urls)
            elif self._built_all():
                break
            self._refresh()
        for manifest in self.manifests:
            self._write(manifest)
        return self.summary

    def state(self, url: str | None) -> bool | None:
        """For plan.py: True for a picture that is here, False for one that cannot be had, None for one to ask for."""
        if url is None or url in self.summary.given_up:
            return False
        row = self.rows.get(url)
        if row is None:
            assert url not in self.asked, f"no outcome was recorded for {url}"
            return None
        if row.outcome == "ok":
            return True
        return None if row.outcome in self.retry and url not in self.asked else False

    def plan(self, manifest: Manifest) -> Assignment:
        return assign(manifest, self.state, self.config.replace)

    def _refresh(self) -> None:
        """Recognise placeholders among what has arrived and read the ledger."""
        self.store.recognise(self.config.placeholders, self.config.placeholder_repeats)
        urls = {url for manifest in self.manifests for url in manifest.src if url is not None}
        self.rows = self.store.ledger.rows(urls)

    def _wanted(self) -> list[str]:
        replace = self.config.replace
        return list(dict.fromkeys(url for each in self.manifests for url in wanted(each, self.state, replace)))

    def _download(self, urls: list[str]) -> None:
        self.asked.update(urls)
        started = time.monotonic()
        try:
            with Progress("fetch", len(urls), stream=self.stream) as progress:
                self.engine.download(urls, _Watch(progress))
        finally:
            tally, summary = self.engine.tally, self.summary
            summary.seconds += time.monotonic() - started
            summary.asked += tally.done
            summary.arrived += tally.ok
            summary.bytes += tally.bytes
            summary.failed += tally.failed
            summary.given_up |= tally.skipped

    def _built_all(self) -> bool:
        """Build what the splits need and is not built yet; False if some of it could not be."""
        needed: dict[str, Row] = {}
        for manifest in self.manifests:
            plan = self.plan(manifest)
            self._refuse_empty(manifest, plan)
            if self._current(manifest, plan):
                continue
            for place in (place for places in plan.splits.values() for place in places):
                row = self.rows[manifest.src[place.row] or ""]
                needed[row.sha256 or ""] = row
        for sha256 in self.store.built.known():
            needed.pop(sha256, None)
        if needed:
            self._from_old_shards(needed)
        with Progress("build", len(needed), stream=self.stream) as progress:
            lost, failed = self.engine.rebuild(list(needed.values()), progress.update)
        if lost and not self.config.again:
            raise BamkitError(
                f"{len(lost):,} pictures must be built anew, but their originals are not in {self.workspace.originals}",
                "bamkit fetch --download-again asks for them once more",
            )
        files = {row.sha256 for row in lost}
        again = [url for url, row in self.rows.items() if row.sha256 in files]
        self.store.ledger.forget(again)
        self.asked.difference_update(again)
        return not lost and not failed

    def _from_old_shards(self, needed: dict[str, Row]) -> None:
        """Take over pictures that earlier splits hold already, built in the same way, where there is no original."""
        bare = {sha256 for sha256 in needed if not self.store.originals.path(sha256).exists()}
        if not bare:
            return
        for manifest in self.manifests:
            for found in built_pictures(self.workspace.split(manifest.name), self.config.build.about(), bare):
                self.store.built.add([found])
                needed.pop(found[0], None)

    def _refuse_empty(self, manifest: Manifest, plan: Assignment) -> None:
        if any(plan.splits.values()) or not manifest.mid:
            return
        why = Counter(self._reason(manifest.src[row])[0] for row, _ in plan.missing)
        listed = ", ".join(f"{count:,} {reason}" for reason, count in why.most_common(4))
        hint = f"bamkit fetch {manifest.name} --retry-failed {why.most_common(1)[0][0]}"
        if "private-address" in why:
            hint = "bamkit fetch --allow-private, if this machine or your own network is meant"
        elif "host-down" in why:
            hint = "bamkit fetch, once the host answers again"
        raise BamkitError(f"not one picture of {manifest.name!r} could be had: {listed}", hint)

    def _reason(self, url: str | None) -> tuple[str, str, int | None, int]:
        """Outcome, reason, HTTP status and attempts of a picture that could not be had.

        The reason is the outcome's fixed sentence: the words of the moment (in the ledger) may differ between two runs.
        """
        if url is None:
            return "bad-url", FAULTS["bad-url"].text, None, 0
        if url in self.summary.given_up:
            return "host-down", FAULTS["host-down"].text, None, 0
        row = self.rows[url]
        return row.outcome, FAULTS[row.outcome].text, row.http_status, row.attempts

    def _about(self, manifest: Manifest, plan: Assignment) -> dict[str, Any]:
        """The metadata of a split folder; its id follows from what is in it and how it was built."""
        about = {"kind": "split", "name": manifest.name, "selection_id": manifest.selection_id}
        about |= {"build": self.config.build.about(), "bamkit": bamkit.__version__}
        inside = [
            [split, manifest.mid[place.row], self.rows[manifest.src[place.row] or ""].sha256, place.replaces]
            for split, places in plan.splits.items()
            for place in places
        ]
        absent = [[manifest.mid[row], self._reason(manifest.src[row]), other] for row, other in plan.missing]
        return {**about, "split_id": digest({**about, "inside": inside, "missing": absent})}

    def _names(self, plan: Assignment) -> list[str]:
        rows = self.config.shard_rows
        return [name for split, its in plan.splits.items() for name in shard_names(split, len(its), rows)]

    def _current(self, manifest: Manifest, plan: Assignment) -> bool:
        return current(self.workspace.split(manifest.name), self._names(plan), self._about(manifest, plan)["split_id"])

    def _write(self, manifest: Manifest) -> None:
        plan = self.plan(manifest)
        about = self._about(manifest, plan)
        folder = self.workspace.split(manifest.name)
        before = _built_at(folder)
        stale = not self._current(manifest, plan)
        if stale:
            total = sum(map(len, plan.splits.values()))
            with Progress(f"write {manifest.name}", total, stream=self.stream) as progress:
                write_split(
                    folder, manifest, plan.splits, self.rows, self.store.built.get, about, self.config.shard_rows,
                    lambda more: progress.update(progress.done + more),
                )  # fmt: skip
            write_missing(folder / "missing.parquet", manifest, plan.missing, self._reason, about)
        build = self.config.build
        self.summary.selections.append(
            SplitsDone(
                manifest.name,
                {split: (len(its), len(manifest.rows(split))) for split, its in plan.splits.items()},
                sum(place.replaces is not None for its in plan.splits.values() for place in its),
                Counter(self._reason(manifest.src[row])[0] for row, _ in plan.missing),
                about["split_id"],
                stale,
                f"{build.size} px {build.fit} {build.format}",
                before if before and before != build.about() else None,
            )
        )


def _built_at(folder: Path) -> dict[str, Any] | None:
    """How the pictures that lie in a split folder were built."""
    for path in sorted(folder.glob("*-*-of-*.parquet")):
        return read_about(path).get("build")
    return None


class _Watch:
    """Turns the tally into the live line: done, rate, time left, missing, MB/s."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        self.seen.append((now, tally.bytes))
        while len(self.seen) > 2 and self.seen[0][0] < now - 10:
            self.seen.popleft()
        (then, before), (_, after) = self.seen[0], self.seen[-1]
        rate = (after - before) / (now - then) if now > then else 0.0
        self.progress.update(tally.done, f"{tally.failed.total():,} missing · {size(rate)}/s")
