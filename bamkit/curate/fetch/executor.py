"""Where the two halves run: in threads of this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bamkit.curate.fetch.cluster import RayExecutor
from bamkit.curate.fetch.download import Download, DownloadCounts, Urls
from bamkit.curate.fetch.ledger import Row
from bamkit.curate.fetch.rebuild import rebuild
from bamkit.curate.fetch.rules.book import RulesBook
from bamkit.curate.fetch.settings import FetchSettings
from bamkit.curate.fetch.store import Result, Store


class Executor(Protocol):
    """Downloads and builds into a store. `counts` is of the last download."""

    counts: DownloadCounts

    def download(self, urls: Urls, watch: Callable[[DownloadCounts], None]) -> None:
        """Fetch URLs; returns when each is recorded or its host was given up."""

    def rebuild(self, rows: list[Row], step: Callable[[int], None]) -> tuple[list[Row], list[Row]]:
        """Build pictures from originals; gives the rows without an original, and those that cannot be built."""

    def close(self) -> None:
        """Give back what the executor holds."""


class LocalExecutor:
    """Threads of this process."""

    def __init__(self, config: FetchSettings, store: Store) -> None:
        self.config, self.store = config, store
        self.counts = DownloadCounts()

    def download(self, urls: Urls, watch: Callable[[DownloadCounts], None]) -> None:
        ledger = self.store.ledger
        book = RulesBook(self.config.politeness, ledger.host_rules())

        def keep(results: list[Result]) -> None:
            ledger.keep_host_rules(book.take_news())
            self.store.keep(results)

        download = Download(
            self.config, keep, self.store.originals.temporary, ledger.placeholders(),
            known=ledger.answered(urls), book=book, forgotten=self.store.forgotten,
        )  # fmt: skip
        self.counts = download.counts
        try:
            download.run(urls, watch)
        finally:
            ledger.keep_host_rules(book.take_news())

    def close(self) -> None:
        """Nothing is held beyond a download."""

    def rebuild(self, rows: list[Row], step: Callable[[int], None]) -> tuple[list[Row], list[Row]]:
        return rebuild(rows, self.config, self.store, step)


def make_executor(config: FetchSettings, store: Store) -> Executor:
    """The executor that `config` names. Raises BamkitError if it is Ray and Ray is not installed."""
    if config.engine == "local":
        return LocalExecutor(config, store)
    return RayExecutor(config, store)
