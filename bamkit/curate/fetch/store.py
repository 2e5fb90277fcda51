"""All that is kept of a fetch beside its splits: ledger, originals, pictures built ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Any

from bamkit.common.tombstones import Tombstones
from bamkit.curate.fetch.ledger import Ledger, Row
from bamkit.curate.fetch.originals import Originals, Picture, PictureCache


@dataclass
class Result:
    """What became of one URL, and what there is to keep of it."""

    row: Row
    path: Path | None = None
    """The file that arrived, under a temporary name, if it is to be kept."""
    picture: Picture | None = None
    """Its built picture, if it is one."""


@dataclass(frozen=True)
class Store:
    """Ledger, originals and built pictures of one workspace."""

    ledger: Ledger
    originals: Originals
    cache: PictureCache
    forgotten: Tombstones = field(default_factory=Tombstones)
    """Pictures that were removed on request: none of them is kept."""

    def keep(self, results: list[Result]) -> None:
        """Write results for good. The ledger comes last: what it says is there."""
        self.originals.keep((result.path, result.row.sha256 or "") for result in results if result.path)
        self.cache.add((result.row.sha256 or "", result.picture) for result in results if result.picture)
        self.ledger.record(result.row for result in results)

    def recognise(self, hashes: Iterable[str], repeats: int) -> None:
        """Mark placeholders among what has arrived, and remove their files."""
        hashes = list(hashes)
        if any(len(text) == 32 for text in hashes):
            kept = ((sha256, self.originals.read_verified(sha256)) for sha256 in self.ledger.without_md5())
            self.ledger.add_md5((md5(data, usedforsecurity=False).hexdigest(), sha256) for sha256, data in kept if data)
        marked = self.ledger.mark_known(hashes)
        if repeats:
            marked |= self.ledger.mark_repeated(repeats)
        for sha256 in marked:
            self.originals.remove(sha256)


@contextmanager
def open_store(
    folder: Path, recipe: dict[str, Any], durable: bool, forgotten: Tombstones | None = None
) -> Iterator[Store]:
    """The store under `originals/`. Pictures built ahead are thrown away only when the block ends well.

    `durable`: they are all there is, since no originals are kept.
    """
    originals = Originals(folder)
    originals.prepare()
    with Ledger(folder / "ledger.sqlite") as ledger:
        cache = PictureCache(folder / "built.sqlite", recipe, durable)
        done = False
        try:
            yield Store(ledger, originals, cache, forgotten or Tombstones())
            done = True
        finally:
            cache.close(remove=done)
