"""Fetch on a Ray cluster: partitions of the URLs as tasks, one rate limiter for all of them.

Workers need nothing but bamkit and the network: what they fetch travels through Ray's object store to the process that
called, which alone writes. So there is no shared file system, one ledger, and a machine that dies costs the partitions
it had not finished, which Ray gives to another one.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from bamkit.common.batches import batched
from bamkit.common.errors import BamkitError
from bamkit.common.pictures.reader import quiet_decoders
from bamkit.common.tombstones import Tombstones
from bamkit.curate.fetch.download import Download, DownloadCounts, Urls
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http.client import Client
from bamkit.curate.fetch.http.politeness import HostLimiter
from bamkit.curate.fetch.http.urls import host_key
from bamkit.curate.fetch.ledger import Row
from bamkit.curate.fetch.originals import Picture
from bamkit.curate.fetch.rebuild import build_or_fault, store_pictures
from bamkit.curate.fetch.rules.book import RulesBook
from bamkit.curate.fetch.rules.host import HostFiles
from bamkit.curate.fetch.settings import FetchSettings, Limits, Politeness
from bamkit.curate.fetch.store import Result, Store

RETRIES = 5
BUSY = 0.05
LONGEST_WAIT = 1.0
Arrived = tuple[Row, bytes | None, Picture | None]
"""A row of the ledger, the original if it is to be kept, and the built picture if there is one."""


class ClusterRateLimiter:
    """The rate limits of every host for the whole cluster; one actor on the calling machine.

    A request is a lease: it ends with `release`, or when its time is up, since a worker that dies cannot say so.
    """

    def __init__(self, politeness: Politeness, limits: Limits) -> None:
        self.politeness = politeness
        self.longest = limits.seconds + 2 * limits.connect_timeout
        self.hosts: dict[str, HostLimiter] = {}
        self.leases: dict[str, dict[str, float]] = {}

    def acquire(self, name: str, token: str) -> float | str:
        """0.0 if the holder of `token` may ask the host now, else seconds to wait, else why the host was given up."""
        now = time.monotonic()
        host = self.hosts.setdefault(name, HostLimiter(name, self.politeness))
        leases = self.leases.setdefault(name, {})
        if host.given_up:
            return host.given_up
        for expired in [holder for holder, since in leases.items() if since < now - self.longest]:
            del leases[expired]
        host.active = len(leases)
        host.probes = sum(since >= host.changed_at for since in leases.values())
        available_at = host.available_at()
        if available_at is None:
            return BUSY
        if available_at > now:
            return min(available_at - now, LONGEST_WAIT)
        host.start(now)
        leases[token] = now
        return 0.0

    def release(self, name: str, token: str, fault: Fault | None) -> None:
        """The request is over, with the fault it ended in."""
        started = self.leases[name].pop(token, None)
        if started is not None:
            self.hosts[name].finish(time.monotonic(), started, fault)

    def slow_down(self, name: str, seconds: float) -> None:
        """The host wants so many seconds between two requests."""
        self.hosts[name].slow_down(time.monotonic(), seconds)


class _RemoteRateLimiter:
    """A worker's access to the cluster's rate limiter."""

    def __init__(self, limiter: Any) -> None:
        import ray

        self.ray, self.limiter, self.name = ray, limiter, uuid.uuid4().hex

    def _token(self) -> str:
        return f"{self.name}-{threading.get_ident()}"

    def acquire(self, url: str) -> float | str:
        wait: float | str = self.ray.get(self.limiter.acquire.remote(host_key(url), self._token()))
        return wait

    def release(self, url: str, fault: Fault | None) -> None:
        self.limiter.release.remote(host_key(url), self._token(), fault)

    def slow_down(self, url: str, seconds: float) -> None:
        self.limiter.slow_down.remote(host_key(url), seconds)


def fetch_partition(
    config: FetchSettings,
    urls: list[str],
    placeholders: frozenset[str],
    known: frozenset[str],
    rules: dict[str, HostFiles],
    forgotten: Tombstones,
    limiter: Any,
) -> tuple[list[Arrived], dict[str, str]]:
    """A task: fetch some URLs; gives rows, originals (if they are kept) and pictures, and what was not asked for."""
    arrived: list[Arrived] = []

    def keep(results: list[Result]) -> None:
        for result in results:
            data = result.path.read_bytes() if result.path else None
            if result.path:
                result.path.unlink()
            arrived.append((result.row, data, result.picture))

    # The limiter sets the pace; what a worker sees of a host is too little to decide by.
    politeness = replace(config.politeness, rate=0.0, patience=float("inf"), breaker_after=10**9)
    alone = replace(config, politeness=politeness, threads=1, engine="local", ray_address=None)
    number = count()
    with tempfile.TemporaryDirectory(prefix="bamkit-") as folder, quiet_decoders(config.limits.max_pixels):
        download = Download(
            alone, keep, lambda: Path(folder, str(next(number))), placeholders, _RemoteRateLimiter(limiter), known,
            RulesBook(alone.politeness, rules), forgotten,
        )  # fmt: skip
        download.run(urls)
    return arrived, download.counts.skipped


def build_partition(config: FetchSettings, originals: list[bytes], forgotten: Tombstones) -> list[Picture | Fault]:
    """A task: build the pictures of some originals."""
    with quiet_decoders(config.limits.max_pixels):
        return [build_or_fault(data, config, forgotten) for data in originals]


class RayExecutor:
    """Joins the cluster that is there, or starts one on this machine for as long as the fetch lasts."""

    def __init__(self, config: FetchSettings, store: Store) -> None:
        try:
            import ray
        except ImportError as error:
            raise BamkitError("--engine ray needs Ray, which is not installed", "pip install 'bamkit[ray]'") from error
        self.ray, self.config, self.store = ray, config, store
        self.counts = DownloadCounts()
        self.started = not ray.is_initialized()
        if self.started:
            try:
                ray.init(address=config.ray_address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise BamkitError(
                    f"no Ray cluster at {config.ray_address or 'RAY_ADDRESS'}: {str(error).splitlines()[0]}",
                    "ray start --head on one machine, ray start --address=... on the others",
                ) from error

    def close(self) -> None:
        if self.started:
            self.ray.shutdown()

    def download(self, urls: Urls, watch: Callable[[DownloadCounts], None]) -> None:
        self.counts = counts = DownloadCounts()
        here = self.ray.get_runtime_context().get_node_id()
        pinned = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        limiter = self.ray.remote(ClusterRateLimiter).options(num_cpus=0, max_concurrency=1, scheduling_strategy=pinned)
        limiter = limiter.remote(self.config.politeness, self.config.limits)
        ledger = self.store.ledger
        bad, known, rules = ledger.placeholders(), ledger.answered(urls), self._ask_hosts(urls)
        task = self.ray.remote(fetch_partition).options(num_cpus=1, max_retries=RETRIES)
        gone = self.store.forgotten
        parts = batched(urls, self.config.partition)
        calls = (task.remote(self.config, part, bad, known, rules, gone, limiter) for part in parts)
        for _, (arrived, skipped) in self._results(calls, lambda: watch(counts)):
            self.store.keep([self._result(*each) for each in arrived])
            counts.add(row for row, _, _ in arrived)
            counts.skipped |= skipped
            watch(counts)

    def _ask_hosts(self, urls: Urls) -> dict[str, HostFiles]:
        """The rules of all hosts, asked for here so that no host is asked by every worker.

        A host that does not answer is asked again by whoever needs its pictures.
        """
        book = RulesBook(self.config.politeness, self.store.ledger.host_rules())
        client = Client(self.config, book)
        one_each = {host_key(url): url for url in urls}.values()

        def ask(url: str) -> None:
            with contextlib.suppress(Fault):
                client.crawl_delay(url)

        try:
            with ThreadPoolExecutor(self.config.politeness.connections) as pool:
                list(pool.map(ask, one_each))
        finally:
            client.close()
        self.store.ledger.keep_host_rules(book.take_news())
        return book.files

    def rebuild(self, rows: list[Row], step: Callable[[int], None]) -> tuple[list[Row], list[Row]]:
        task = self.ray.remote(build_partition).options(num_cpus=1, max_retries=RETRIES)
        lost: list[Row] = []
        sent: dict[Any, list[Row]] = {}

        def calls() -> Iterator[Any]:
            for part in batched(rows, max(1, self.config.partition // 4)):
                here = [(row, self.store.originals.read_verified(row.sha256 or "")) for row in part]
                lost.extend(row for row, data in here if data is None)
                there = [(row, data) for row, data in here if data is not None]
                if there:
                    call = task.remote(self.config, [data for _, data in there], self.store.forgotten)
                    sent[call] = [row for row, _ in there]
                    yield call

        def results() -> Iterator[tuple[Row, Picture | Fault]]:
            for call, pictures in self._results(calls(), lambda: None):
                yield from zip(sent.pop(call), pictures, strict=True)

        also, failed = store_pictures(results(), self.config, self.store, step)
        return lost + also, failed

    def _result(self, row: Row, data: bytes | None, picture: Picture | None) -> Result:
        path = None
        if data is not None:
            path = self.store.originals.temporary()
            path.write_bytes(data)
        return Result(row, path, picture)

    def _results(self, calls: Iterable[Any], idle: Callable[[], None]) -> Iterator[tuple[Any, Any]]:
        """Calls with their results as they come, with twice as many tasks under way as there are processors."""
        calls = iter(calls)
        waiting: list[Any] = []
        try:
            while True:
                wide = max(2, 2 * int(self.ray.cluster_resources().get("CPU", 1)))
                while len(waiting) < wide and (call := next(calls, None)) is not None:
                    waiting.append(call)
                if not waiting:
                    return
                ready, waiting = self.ray.wait(waiting, num_returns=1, timeout=0.2)
                idle()
                for call in ready:
                    yield call, self._get(call)
        finally:
            for call in waiting:
                self.ray.cancel(call, force=True)

    def _get(self, call: Any) -> Any:
        try:
            return self.ray.get(call)
        except (self.ray.exceptions.WorkerCrashedError, self.ray.exceptions.NodeDiedError) as error:
            raise BamkitError(
                f"a partition was lost {RETRIES + 1} times: {str(error).splitlines()[0]}",
                "bamkit fetch --engine ray   # goes on with what is left",
            ) from error
