"""The fast half: pictures for the splits from originals that lie here, without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bamkit.common.batches import batched
from bamkit.common.tombstones import Tombstones
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.ledger import Row, now
from bamkit.curate.fetch.originals import Picture
from bamkit.curate.fetch.settings import FetchSettings
from bamkit.curate.fetch.splits.picture import build, refuse_forgotten
from bamkit.curate.fetch.store import Store

BATCH = 32


def rebuild(
    rows: list[Row], config: FetchSettings, store: Store, step: Callable[[int], None] = lambda done: None
) -> tuple[list[Row], list[Row]]:
    """Build the pictures of `rows` from their originals. Returns the rows whose original is not here (any more), and
    those that cannot be built.

    Threads do, since Pillow gives the interpreter free while it decodes, scales and encodes. An original that cannot
    be built in this way is recorded in the ledger as a failure, so that the reserve takes its place.
    """

    def build_row(row: Row) -> tuple[Row, Picture | Fault | None]:
        data = store.originals.read_verified(row.sha256 or "")
        return row, data if data is None else build_or_fault(data, config, store.forgotten)

    with ThreadPoolExecutor(config.decode_threads, thread_name_prefix="bamkit-build") as pool:
        # In batches, so that few pictures are in memory at a time.
        results = (
            result for batch in batched(rows, config.picture.at_once(BATCH)) for result in pool.map(build_row, batch)
        )
        return store_pictures(results, config, store, step)


def build_or_fault(data: bytes, config: FetchSettings, forgotten: Tombstones) -> Picture | Fault:
    """The built picture, or why there is none."""
    try:
        picture = build(data, config.picture, config.limits)[0]
        refuse_forgotten(picture, forgotten)
    except Fault as fault:
        return fault
    return picture


def store_pictures(
    results: Iterable[tuple[Row, Picture | Fault | None]],
    config: FetchSettings,
    store: Store,
    step: Callable[[int], None],
) -> tuple[list[Row], list[Row]]:
    """Put built pictures into the store as they come; gives the rows without an original and those that failed."""
    lost: list[Row] = []
    failed: list[Row] = []
    ready: list[tuple[str, Picture]] = []
    most = config.picture.at_once(64)
    for done, (row, result) in enumerate(results, 1):
        if result is None:
            lost.append(row)
        elif isinstance(result, Fault):
            if result.name == "forgotten":
                store.originals.remove(row.sha256 or "")
            failed.append(replace(row, outcome=result.name, reason=result.detail, attempts=0, time=now()))
        else:
            ready.append((row.sha256 or "", result))
        if len(ready) >= most:
            store.cache.add(ready)
            ready.clear()
        step(done)
    store.cache.add(ready)
    store.ledger.record(failed)
    return lost, failed
