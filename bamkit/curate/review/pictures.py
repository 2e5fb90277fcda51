"""The pictures of a review: small for the grid, large for one at a time."""

from __future__ import annotations

import io
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from bamkit.common.errors import BamkitError
from bamkit.common.pages.page import kind_of
from bamkit.common.shards import ShardReader
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.similarity import thumbnail
from bamkit.curate.fetch.originals import Originals
from bamkit.curate.review.items import Items

if TYPE_CHECKING:
    from PIL import Image

SMALL, LARGE = 256, 1600
"""Pixels of the longer side in the grid, and of one picture."""


class Pictures:
    """Reads pictures by mid. Threads may share it: one reads at a time, since a reader holds one row group."""

    def __init__(self, workspace: Workspace, items: Items) -> None:
        self._items, self._lock = items, threading.Lock()
        splits = {split for split, _ in items.places.values()}
        self._readers = {split: ShardReader(workspace.shards(items.name, split), ("mid",)) for split in splits}
        self._originals = Originals(workspace.originals)
        self.small = lru_cache(maxsize=2000)(self._small)
        """mid -> an encoded picture of at most SMALL pixels. Raises KeyError where there is none."""

    def _of_split(self, mid: int) -> bytes:
        split, position = self._items.places[mid]
        with self._lock:
            return self._readers[split].encoded(position)

    def _small(self, mid: int) -> bytes:
        return _webp(thumbnail(self._of_split(mid), SMALL), 82)

    def large(self, mid: int) -> bytes:
        """The file as it was downloaded, encoded anew at LARGE pixels at most; else the picture of the split.

        Raises KeyError where there is none.
        """
        sha256 = self._items.originals.get(mid, "")
        data = self._originals.read_verified(sha256) if sha256 else None
        if data is not None:
            try:
                return _webp(thumbnail(data, LARGE), 90)
            except BamkitError:
                pass  # the picture of the split was built from it once; a decoder that is gone must not hide that
        return self._of_split(mid)


def content_type(data: bytes) -> str:
    return f"image/{kind_of(data)}"


def _webp(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=2)
    return buffer.getvalue()
