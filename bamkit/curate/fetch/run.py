"""A whole fetch: download what is wanted, fill gaps from the reserve, build the splits."""

from __future__ import annotations

import difflib
import sqlite3
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TextIO

from bamkit.common.batches import batched
from bamkit.common.errors import BamkitError
from bamkit.common.pictures.reader import quiet_decoders
from bamkit.common.terminal.progress import Progress, size
from bamkit.common.tombstones import Tombstones
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.download import DownloadCounts
from bamkit.curate.fetch.executor import make_executor
from bamkit.curate.fetch.http.urls import host_key
from bamkit.curate.fetch.ledger import Row, disk_error, locked, naming_damage
from bamkit.curate.fetch.settings import FetchSettings, PictureSettings
from bamkit.curate.fetch.splits.assignment import assign, wanted
from bamkit.curate.fetch.splits.kept import PICTURE_SETTINGS, kept_settings, refuse_replacing
from bamkit.curate.fetch.splits.manifest import Manifest, Rows
from bamkit.curate.fetch.splits.outcomes import BATCH, Addresses, Outcomes
from bamkit.curate.fetch.splits.publish import Publication
from bamkit.curate.fetch.splits.shards import built_pictures, move_former_missing
from bamkit.curate.fetch.store import Store, open_store
from bamkit.curate.fetch.summary import Summary


def fetch(
    workspace: Workspace,
    names: Sequence[str] = (),
    config: FetchSettings | None = None,
    stream: TextIO | None = None,
    *,
    keep: Collection[str] | None = None,
    force: bool = False,
) -> Summary:
    """Fetch selections (all of the workspace by default) and write their splits.

    Only what the ledger does not know yet is asked for. `keep` names the fields of PictureSettings that a split already
    here keeps as it was made with (all of them where no `config` is given). `force` replaces splits that a run depends
    on, too. Raises BamkitError when there is nothing to fetch, when another fetch is at work here, when the disk is
    full, when a run depends on a split that would be made in another way, and when not one picture of a selection could
    be had.
    """
    keep = keep if keep is not None else () if config else PICTURE_SETTINGS
    config = config or FetchSettings()
    manifests = [Manifest(name, workspace.selection(name)) for name in selected_names(workspace, names)]
    try:
        with (
            locked(workspace.originals),
            naming_damage(workspace.originals),
            quiet_decoders(config.limits.max_pixels),
        ):
            groups: dict[PictureSettings, list[Manifest]] = {}
            for manifest in manifests:
                move_former_missing(workspace, manifest.name)
                picture = kept_settings(workspace, manifest.name, config.picture, keep)
                if not force:
                    refuse_replacing(workspace, manifest, picture)
                groups.setdefault(picture, []).append(manifest)
            summary = Summary()
            for picture, group in groups.items():
                summary.add(_fetch_group(workspace, group, replace(config, picture=picture), stream, force))
            return summary
    except (OSError, sqlite3.Error) as error:
        explained = disk_error(error, workspace.root)
        if explained is error:
            raise
        raise explained from error


def _fetch_group(
    workspace: Workspace, manifests: list[Manifest], config: FetchSettings, stream: TextIO | None, force: bool
) -> Summary:
    """Fetch selections whose pictures are made in one way."""
    forgotten = Tombstones.of(workspace)
    if forgotten.pending.stones:
        raise BamkitError("a removal was interrupted before it was done", "bamkit forget   # finishes it")
    with open_store(workspace.originals, config.picture.about(), not config.originals, forgotten) as store:
        run = _FetchRun(workspace, manifests, config, store, stream, force)
        try:
            return run.go()
        finally:
            run.executor.close()


def selected_names(workspace: Workspace, names: Sequence[str]) -> list[str]:
    """The names of the selections to fetch. Raises BamkitError if there is none or one is unknown."""
    known = workspace.selection_names()
    if not known:
        raise BamkitError(f"no selections in {workspace.selections}", "bamkit select --emotion happy --top 1000")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise BamkitError(f"there is no selection {name!r} in {workspace.selections}", hint)
    return list(dict.fromkeys(names)) or known


class _FetchRun:
    """The state of one fetch: which rows of the ledger count, and what was asked already in this run."""

    def __init__(
        self,
        workspace: Workspace,
        manifests: list[Manifest],
        config: FetchSettings,
        store: Store,
        stream: TextIO | None,
        force: bool,
    ) -> None:
        self.force = force
        self.workspace, self.manifests, self.config, self.stream = workspace, manifests, config, stream
        self.store, self.executor = store, make_executor(config, store)
        self.summary = Summary()
        self.down: dict[str, str] = {}
        retry = set(config.retry)
        # What was refused by a setting that has been changed since is no failure of the host's.
        retry |= {"private-address"} if config.allow_private else set()
        asked = config.politeness
        lifted = {
            "opted-out": asked.honour_noai,
            "robots-disallowed": asked.honour_robots,
            "tdm-reserved": asked.honour_tdm,
            "ai-disallowed": asked.honour_ai_txt,
            # A host that failed to answer for its rules is off limits for as long as that lasts, and no longer.
            "robots-unavailable": False,
        }
        retry |= {name for name, honoured in lifted.items() if not honoured}
        self.outcomes = Outcomes(manifests, retry)

    def go(self) -> Summary:
        """Download until nothing is wanted, build, and begin again if something could not be built."""
        while True:
            self._refresh()
            if len(urls := self._wanted()):
                self._download(urls)
                continue
            publications = [self._publication(manifest) for manifest in self.manifests]
            for publication in publications:
                publication.refuse_empty()
            built = [self._build(publication) for publication in publications if not publication.is_current]
            if all(built):
                break
        self.summary.selections = [publication.write(self.stream) for publication in publications]
        return self.summary

    def _publication(self, manifest: Manifest) -> Publication:
        assignment = assign(manifest, self.outcomes.states(manifest), self.config.replace)
        given_up, why = self.outcomes.given_up, self.summary.given_up
        return Publication(
            self.workspace, manifest, assignment, self.config, self.store, given_up, why.keys(), self.force
        )

    def _refresh(self) -> None:
        """Recognise placeholders among what has arrived and read the ledger."""
        ledger = self.store.ledger
        self.store.recognise(self.config.placeholders, self.config.placeholder_repeats)
        for urls in batched(self._forgotten(), BATCH):
            known = ledger.outcomes(urls)
            ledger.mark_forgotten(url for url in urls if known.get(url) != "forgotten")
        self.outcomes.refresh(ledger)

    def _forgotten(self) -> Iterator[str]:
        """The addresses of images that were removed on request."""
        for manifest in self.manifests if len(self.store.forgotten) else ():
            for table in manifest.stream(("mid", "src")):
                for mid, url in zip(table["mid"].to_pylist(), table["src"].to_pylist(), strict=True):
                    if url is not None and self.store.forgotten.covers(mid, url):
                        yield url

    def _wanted(self) -> Addresses:
        """The addresses to ask for next; those at a host that was given up count as not to be had."""
        while True:
            states = [(each, self.outcomes.states(each)) for each in self.manifests]
            urls = self.outcomes.not_yet([wanted(each, own, self.config.replace) for each, own in states])
            idle = self.outcomes.give_up(lambda url: self.down.get(host_key(url)), urls) if self.down else None
            if not idle:
                return urls
            self.summary.given_up += idle

    def _download(self, urls: Addresses) -> None:
        self.outcomes.note_asked(urls)
        started = time.monotonic()
        try:
            with Progress("fetch", len(urls), stream=self.stream) as progress:
                self.executor.download(urls, _ProgressLine(progress))
        finally:
            counts, summary = self.executor.counts, self.summary
            summary.seconds += time.monotonic() - started
            summary.asked += counts.done
            summary.arrived += counts.ok
            summary.bytes += counts.bytes
            summary.failed += counts.failed
            # A reason names its host, so one address of each will do; there may be millions.
            one_each = {why: url for url, why in counts.skipped.items()}
            self.down |= {host_key(url): why for why, url in one_each.items()}
            if counts.skipped:
                summary.given_up += self.outcomes.give_up(counts.skipped.get, urls)

    def _build(self, publication: Publication) -> bool:
        """Build what the split needs and is not built yet; False if some of it could not be."""
        needed = publication.unbuilt()
        if needed.size:
            self._take_from_old_shards(publication, needed)
            needed = publication.unbuilt()
        lost: list[Row] = []
        failed = 0
        with Progress(f"build {publication.manifest.name}", len(needed), stream=self.stream) as progress:
            for rows in publication.to_build(needed):
                also_lost, also_failed = self._rebuild(rows, progress)
                lost, failed = lost + also_lost, failed + len(also_failed)
        if lost and not self.config.again:
            raise BamkitError(
                f"{len(lost):,} pictures must be built anew, but their originals are not in {self.workspace.originals}",
                "bamkit fetch --download-again   # asks for them once more",
            )
        if lost:
            self.outcomes.ask_again(set(self.store.ledger.take_back(row.sha256 or "" for row in lost)))
        return not lost and not failed

    def _rebuild(self, rows: list[Row], progress: Progress) -> tuple[list[Row], list[Row]]:
        before = progress.done
        return self.executor.rebuild(rows, lambda done: progress.update(before + done))

    def _take_from_old_shards(self, publication: Publication, needed: Rows) -> None:
        """Take over pictures that earlier splits hold already, built in the same way, where there is no original."""
        store = self.store

        def bare(sha256: str) -> bool:
            return not store.originals.path(sha256).exists()

        if any(bare(row.sha256 or "") for rows in publication.to_build(needed) for row in rows):
            for manifest in self.manifests:
                old = built_pictures(self.workspace.split(manifest.name), self.config.picture.about())
                for pictures in batched(old, self.config.picture.at_once(64)):
                    store.cache.add((sha256, picture) for sha256, picture in pictures if bare(sha256))


class _ProgressLine:
    """Turns the counts into the live line (done, rate, time left, missing, MB/s) and its notes into lines above it."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self.told = 0

    def __call__(self, counts: DownloadCounts) -> None:
        while self.told < len(counts.notes):
            self.progress.write(counts.notes[self.told])
            self.told += 1
        now = time.monotonic()
        self.seen.append((now, counts.bytes))
        while len(self.seen) > 2 and self.seen[0][0] < now - 10:
            self.seen.popleft()
        (then, before), (_, after) = self.seen[0], self.seen[-1]
        rate = (after - before) / (now - then) if now > then else 0.0
        self.progress.update(counts.done, f"{counts.failed.total():,} missing · {size(rate)}/s")
