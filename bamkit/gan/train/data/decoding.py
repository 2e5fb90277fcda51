"""Training pictures decoded once into one uint8 array."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bamkit.common import provenance
from bamkit.common.errors import BamkitError
from bamkit.common.pictures.reader import BadPictureError, open_picture
from bamkit.common.shards import stream_rows
from bamkit.common.workspace import atomic_path
from bamkit.gan.train.data.domains import Entry

MAPPED_FROM = 2_000_000_000
"""Arrays of so many bytes are kept in a memory-mapped file rather than in memory."""


def decode(
    entries: list[Entry], size: int, cache: Path | None = None, tick: Callable[[int], None] | None = None
) -> NDArray[np.uint8]:
    """All pictures as uint8 [N, size, size, 3] RGB, resized (squashed, bicubic) where they are not that size.

    Large arrays go to a memory-mapped file in `cache`, named after their content, and are found there the next time.
    Raises BamkitError for a picture that cannot be decoded.
    """
    shape = (len(entries), size, size, 3)
    if cache is None or np.prod(shape, dtype=np.int64) < MAPPED_FROM:
        array = np.empty(shape, np.uint8)
        _fill(array, entries, size, tick)
        return array
    key = provenance.digest([size, *([e.key, e.sha256, _stamp(e.path)] for e in entries)])
    path = cache / f"decoded-{key}.npy"
    if not path.is_file():
        with atomic_path(path) as temporary:
            mapped = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            _fill(mapped, entries, size, tick)
            mapped.flush()
            del mapped
    # Copy-on-write: torch wants an array that it might write to.
    decoded: NDArray[np.uint8] = np.load(path, mmap_mode="c")
    return decoded


def decode_bytes(data: bytes, size: int) -> NDArray[np.uint8]:
    """An encoded picture as uint8 [size, size, 3] RGB: upright, in sRGB, transparent parts on white."""
    picture = Image.fromarray(open_picture(data).rgb)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _fill(array: NDArray[np.uint8], entries: list[Entry], size: int, tick: Callable[[int], None] | None) -> None:
    def decode_one(job: tuple[int, Entry, bytes]) -> None:
        i, entry, data = job
        try:
            array[i] = decode_bytes(data, size)
        except BadPictureError as error:
            raise BamkitError(
                f"{entry.path} holds a picture that cannot be decoded ({entry.key}): {error}",
                "delete the shard, and bamkit fetch writes it again" if entry.row >= 0 else "remove the file",
            ) from error

    # Pillow decodes outside Python's lock, so that threads suffice.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(decode_one, _encoded(entries)), 1):
            if tick:
                tick(done)


def _encoded(entries: list[Entry]) -> Iterator[tuple[int, Entry, bytes]]:
    """(position, entry, bytes) of every picture; shards are read in their order, once."""
    waiting: dict[Path, dict[int, list[int]]] = {}
    for i, entry in enumerate(entries):
        if entry.row < 0:
            yield i, entry, entry.path.read_bytes()
        else:
            waiting.setdefault(entry.path, {}).setdefault(entry.row, []).append(i)
    for shard, rows in waiting.items():
        for row, values in enumerate(stream_rows([shard], ["image"])):
            for i in rows.get(row, ()):
                yield i, entries[i], values["image"]["bytes"] or b""


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
