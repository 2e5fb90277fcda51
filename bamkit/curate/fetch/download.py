"""The slow half: many requests under way, files decoded and built as they arrive, results recorded in groups.

worker threads --(arrived files)--> decoding threads, one a core --(results)--> one recording thread
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from bamkit.common.pictures.reader import PictureFile
from bamkit.common.tombstones import Tombstones
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http.client import Client, DownloadedFile
from bamkit.curate.fetch.http.scheduler import Job, Scheduler
from bamkit.curate.fetch.http.urls import host_key
from bamkit.curate.fetch.ledger import Row, disk_error, now
from bamkit.curate.fetch.rules.book import RulesBook
from bamkit.curate.fetch.settings import FetchSettings
from bamkit.curate.fetch.splits.picture import build, refuse_forgotten
from bamkit.curate.fetch.store import Result

GROUP = 256
GATHER = 0.2
GRACE = 1.0
WINDOW = 20_000


@dataclass
class DownloadCounts:
    """How far a download is. Counts are of URLs that are recorded for good."""

    ok: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    """Of the pictures that arrived."""
    notes: list[str] = field(default_factory=list)
    """Lines to show: hosts in trouble."""
    skipped: dict[str, str] = field(default_factory=dict)
    """URLs that were not asked because their host was given up, and why."""

    @property
    def done(self) -> int:
        return self.ok + self.failed.total()

    def add(self, rows: Iterable[Row]) -> None:
        """Count rows that have been recorded."""
        for row in rows:
            if row.outcome == "ok":
                self.ok += 1
                self.bytes += row.bytes or 0
            else:
                self.failed[row.outcome] += 1


class Urls(Protocol):
    """Addresses that can be counted, and gone through more than once: there may be more than fit into memory."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[str]: ...


class RateLimiter(Protocol):
    """Limits that hold beyond this process (see cluster.py)."""

    def acquire(self, url: str) -> float | str:
        """0 if a request may start now, else the seconds to wait, else why its host was given up."""

    def release(self, url: str, fault: Fault | None) -> None:
        """The request is over."""

    def slow_down(self, url: str, seconds: float) -> None:
        """The host wants so many seconds between two requests."""


class Download:
    """Fetches URLs: `keep` is given what became of them in groups, `temporary` makes names for arriving files.

    `known` are hosts (`host:port`) that have answered before: if one keeps failing, its files may be the reason.
    """

    def __init__(
        self,
        config: FetchSettings,
        keep: Callable[[list[Result]], None],
        temporary: Callable[[], Path],
        placeholders: frozenset[str] = frozenset(),
        limiter: RateLimiter | None = None,
        known: frozenset[str] = frozenset(),
        book: RulesBook | None = None,
        forgotten: Tombstones | None = None,
    ) -> None:
        self.forgotten = forgotten or Tombstones()
        self.book = book or RulesBook(config.politeness)
        self.config, self.keep, self.temporary, self.limiter = config, keep, temporary, limiter
        self.placeholders = placeholders | config.known_placeholders
        self.known = known
        self.counts = DownloadCounts()

    def run(self, urls: Urls, watch: Callable[[DownloadCounts], None] = lambda counts: None) -> None:
        """Fetch every URL once (with retries); returns when each is recorded or its host was given up.

        `watch` is called some times a second. On an interrupt what has arrived is recorded, then the interrupt goes on.
        Raises BamkitError if the disk is full.
        """
        self._scheduler = Scheduler(self.config.politeness, self.known)
        self.counts.notes = self._scheduler.notes
        self._client = Client(self.config, self.book)
        self._arrived: queue.Queue[tuple[Row, DownloadedFile] | None] = queue.Queue(4 * self.config.decode_threads + 16)
        self._decoded: queue.Queue[Result | None] = queue.Queue(self.config.picture.at_once(2 * GROUP))
        self._error: BaseException | None = None
        self._all_decoded = False
        workers, decoders, recorder = self._threads(urls)
        try:
            waiting = iter(urls)
            while (busy := [thread for thread in workers if thread.is_alive()]) and self._error is None:
                for url in itertools.islice(waiting, max(0, WINDOW - self._scheduler.left)):
                    self._scheduler.add(url)
                if self._scheduler.left < WINDOW:
                    self._scheduler.close()
                busy[0].join(0.05)
                watch(self.counts)
        finally:
            self._end(workers, decoders, recorder)
        watch(self.counts)
        if self._error is not None:
            raise self._error

    def _threads(self, urls: Urls) -> tuple[list[threading.Thread], list[threading.Thread], threading.Thread]:
        def start(name: str, work: Callable[[], None]) -> threading.Thread:
            thread = threading.Thread(target=self._guarded, args=(work,), name=f"bamkit-{name}", daemon=True)
            thread.start()
            return thread

        # More threads than may ask at a time would only wait for one another.
        hosts = len({host_key(url) for url in itertools.islice(urls, WINDOW)})
        count = min(self.config.politeness.workers, len(urls), hosts * self.config.politeness.connections)
        workers = [start("fetch", self._work) for _ in range(count)]
        decoders = [start("decode", self._decode) for _ in range(self.config.decode_threads)]
        return workers, decoders, start("record", self._record)

    def _end(
        self, workers: list[threading.Thread], decoders: list[threading.Thread], recorder: threading.Thread
    ) -> None:
        """Let what is under way arrive (for a moment, if interrupted), decode and record it, and close everything."""
        self._scheduler.stop()
        limit = time.monotonic() + GRACE
        for thread in workers:
            thread.join(max(0.0, limit - time.monotonic()))
        self._client.close()
        limit = time.monotonic() + GRACE
        for thread in workers:
            # One that still waits for a name server is left behind: it ends with the process.
            thread.join(max(0.0, limit - time.monotonic()))
        for _ in decoders:
            self._arrived.put(None)
        for thread in decoders:
            thread.join()
        for job in self._scheduler.failed if self._error is None else ():
            assert job.fault is not None
            self._decoded.put(Result(_failed(job.url, job.fault, job.attempts, None)))
        self._decoded.put(None)
        recorder.join()
        self.counts.skipped.update(self._scheduler.given_up)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run a thread's work; what it raises stops the whole download and is raised to the caller."""
        try:
            work()
        except BaseException as error:
            if self._error is None:
                self._error = disk_error(error, self.temporary().parent)
            self._scheduler.stop()
            # Whoever waits for this thread must not wait for ever: keep its queue moving.
            if work == self._decode:
                while self._arrived.get() is not None:
                    continue
            elif work == self._record:
                while not self._all_decoded and self._decoded.get() is not None:
                    continue

    def _work(self) -> None:
        while job := self._scheduler.take():
            wait = self.limiter.acquire(job.url) if self.limiter else 0.0
            if isinstance(wait, str):
                self._scheduler.abandon(job, wait)
            elif wait:
                self._scheduler.postpone(job, wait)
            else:
                self._request(job)

    def _request(self, job: Job) -> None:
        """Make one request and pass on what came of it."""
        path = self.temporary()
        downloaded: DownloadedFile | None = None
        try:
            if self._put_back(job, self._client.crawl_delay(job.url)):
                return
            downloaded = self._client.get(job.url, path)
            self._refuse_known(downloaded)
        except Fault as error:
            fault = error
        except OSError:
            # This machine's disk: the whole download ends.
            self._scheduler.finish(job, Fault("unexpected"))
            raise
        except Exception as error:
            # An answer nobody thought of must not take the other requests down; it is recorded and counted.
            fault = Fault("unexpected", f"{type(error).__name__}: {error}"[:200])
        else:
            self._release(job, None)
            row = Row(job.url, "ok", None, downloaded.status, job.attempts + 1, time=now(), rule=downloaded.rule)
            self._arrived.put((_described(row, downloaded), downloaded))
            self._scheduler.finish(job, None)
            return
        self._release(job, fault)
        path.unlink(missing_ok=True)
        again = self._scheduler.finish(job, fault)
        if not again and not (self._scheduler.stopped and fault.kind.repeat):
            self._decoded.put(Result(_failed(job.url, fault, job.attempts, downloaded)))

    def _put_back(self, job: Job, seconds: float) -> bool:
        """Whether a job has to wait, since its host turned out to want so many seconds between two requests."""
        if not seconds or not self._scheduler.slow_down(job, seconds):
            return False
        if self.limiter:
            self.limiter.slow_down(job.url, seconds)
            self.limiter.release(job.url, None)
        return True

    def _refuse_known(self, downloaded: DownloadedFile) -> None:
        if downloaded.sha256 in self.forgotten.sha256:
            raise Fault("forgotten", "the file itself", downloaded.status)
        if downloaded.sha256 in self.placeholders or downloaded.md5 in self.placeholders:
            raise Fault("placeholder", "on the list", downloaded.status)

    def _release(self, job: Job, fault: Fault | None) -> None:
        if self.limiter:
            self.limiter.release(job.url, fault)

    def _decode(self) -> None:
        while item := self._arrived.get():
            row, downloaded = item
            try:
                picture, header = build(downloaded.read(), self.config.picture, self.config.limits)
                refuse_forgotten(picture, self.forgotten)
            except Fault as fault:
                downloaded.path.unlink(missing_ok=True)
                self._decoded.put(Result(_failed(row.url, fault, row.attempts, downloaded)))
                continue
            measured = replace(row, format=header.format, width=header.width, height=header.height, time=now())
            if not self.config.originals:
                downloaded.path.unlink(missing_ok=True)
            self._decoded.put(Result(measured, downloaded.path if self.config.originals else None, picture))

    def _record(self) -> None:
        """Write down what was decoded, as much at a time as gathers in a moment: files first, then the ledger."""
        most = self.config.picture.at_once(GROUP)
        while not self._all_decoded:
            group = [self._decoded.get()]
            # To flush and to commit takes as long for one result as for many.
            limit = time.monotonic() + GATHER
            while len(group) < most and group[-1] is not None:
                try:
                    group.append(self._decoded.get(timeout=max(0.0, limit - time.monotonic())))
                except queue.Empty:
                    break
            self._all_decoded = group[-1] is None
            results = [result for result in group if result is not None]
            if results:
                self.keep(results)
                self.counts.add(result.row for result in results)


def _failed(url: str, fault: Fault, attempts: int, downloaded: DownloadedFile | None) -> Row:
    status = fault.status or (downloaded.status if downloaded else None)
    rule = fault.rule or (downloaded.rule if downloaded else None)
    row = Row(url, fault.name, fault.detail or None, status, attempts, time=now(), rule=rule)
    return row if downloaded is None else _described(row, downloaded)


def _described(row: Row, downloaded: DownloadedFile) -> Row:
    """The row with what is known of the file that came."""
    return replace(
        row, sha256=downloaded.sha256, md5=downloaded.md5, bytes=downloaded.size,
        content_type=downloaded.content_type, final_url=downloaded.final_url,
    )  # fmt: skip


def _measured(row: Row, file: PictureFile) -> Row:
    return replace(row, format=file.format, width=file.width, height=file.height, time=now())
