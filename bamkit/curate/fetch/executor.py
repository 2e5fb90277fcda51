"""Where the two halves run: in threads of this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bamkit.curate.fetch.download import Download, Tally
from bamkit.curate.fetch.ledger import Row
from bamkit.curate.fetch.rebuild import rebuild
from bamkit.curate.fetch.settings import Fetch
from bamkit.curate.fetch.store import Store


class Engine(Protocol):
    """Downloads and builds into a store. `tally` is of the last download."""

    tally: Tally

    def download(self, urls: list[str], watch: Callable[[Tally], None]) -> None:
        """Fetch URLs; returns when each is recorded or its host was given up."""

    def rebuild(self, rows: list[Row], step: Callable[[int], None]) -> tuple[list[Row], list[Row]]:
        """Build pictures from originals; gives the rows without an original, and those that cannot be built."""

    def close(self) -> None:
        """Give back what the engine holds."""


class Local:
    """Threads of this process."""

    def __init__(self, config: Fetch, store: Store) -> None:
        self.config, self.store = config, store
        self.tally = Tally()

    def download(self, urls: list[str], watch: Callable[[Tally], None]) -> None:
        ledger = self.store.ledger
        download = Download(
            self.config, self.store.keep, self.store.originals.temporary, ledger.placeholders(),
            known=ledger.answered(urls),
        )  # fmt: skip
        self.tally = download.tally
        download.run(urls, watch)

    def close(self) -> None:
        """Nothing is held beyond a download."""

    def rebuild(self, rows: list[Row], step: Callable[[int], None]) -> tuple[list[Row], list[Row]]:
        return rebuild(rows, self.config, self.store, step)


def engine(config: Fetch, store: Store) -> Engine:
    """The engine that `config` names. Raises BamkitError if it is Ray and Ray is not installed."""
    if config.engine == "local":
        return Local(config, store)
    from bamkit.curate.fetch.cluster import Cluster

    return Cluster(config, store)
