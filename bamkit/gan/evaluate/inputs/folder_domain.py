"""A folder of the user's own pictures in the place of a fetched split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bamkit.common.contract import attribute
from bamkit.common.errors import BamkitError
from bamkit.common.pictures.reader import BadPictureError, open_picture
from bamkit.common.shards import ShardReader
from bamkit.gan.train.data.domains import PARTS, list_split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FolderReader(ShardReader):
    """The readable pictures of a folder as rows; `mid` is the position in the folder, from 1."""

    def __init__(self, pictures: Sequence[Path]) -> None:
        super().__init__([], ())
        self.hashes: list[str] = []
        """SHA-256 of each file."""
        for path in pictures:
            try:
                data = path.read_bytes()
                open_picture(data)
            except (OSError, BadPictureError):
                continue  # left out, as training and translation leave it out and say so
            self.paths.append(path)
            self.hashes.append(sha256(data).hexdigest())

    def __len__(self) -> int:
        return len(self.paths)

    def column(self, name: str) -> list[Any]:
        return [self.value(index, name) for index in range(len(self))]

    def value(self, index: int, name: str) -> Any:
        return {"mid": index + 1, "original_sha256": self.hashes[index]}.get(name)

    def encoded(self, index: int) -> bytes:
        return self.paths[index].read_bytes()

    def path(self, index: int) -> Path:
        return self.paths[index]

    def picture(self, index: int) -> NDArray[np.uint8]:
        try:
            return open_picture(self.paths[index]).rgb
        except (OSError, BadPictureError) as error:
            raise BamkitError(f"{self.paths[index]} cannot be read: {error}", "the same command again") from error


@dataclass
class FolderDomain:
    """One side of a run that was trained on a plain folder; the same to the evaluation as a FetchedDomain."""

    name: str
    folder: Path
    files_id: str | None = None
    """The id of its files when the run was trained."""
    _readers: dict[str, FolderReader] = field(default_factory=dict, repr=False)

    def shards(self, split: str, columns: Sequence[str] = ()) -> FolderReader:
        """The pictures of `train`, `test` or `validation`; empty if there is no such sub-folder."""
        if split not in self._readers:
            self._readers[split] = FolderReader(list_split(self.folder, split).pictures)
        return self._readers[split]

    @cached_property
    def identity(self) -> pa.Table:
        """SHA-256 of every file; own pictures have no mid and no project."""
        hashes = sorted({known for split in PARTS for known in self.shards(split).hashes})
        return pa.table({"mid": pa.nulls(len(hashes), pa.int64()), "original_sha256": hashes})

    @property
    def split_id(self) -> str | None:
        return self.files_id

    @cached_property
    def attribute(self) -> str | None:
        """The attribute the folder is named after, if any."""
        try:
            return attribute(self.name)
        except BamkitError:
            return None
