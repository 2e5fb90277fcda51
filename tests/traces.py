"""Every picture that can be found in a folder, wherever it hides: to show that one is nowhere."""

from __future__ import annotations

import base64
import hashlib
import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bamkit.common.tombstones import Tombstone, Tombstones
from bamkit.curate.fetch.splits.picture import phash

SIGNATURES = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP", re.DOTALL)
URI = re.compile(rb"data:image/[a-z]+;base64,([A-Za-z0-9+/=]+)")


def _blobs(column):
    """All binary values of an arrow column, also inside structs and lists."""
    if isinstance(column, pa.ChunkedArray):
        for chunk in column.chunks:
            yield from _blobs(chunk)
    elif pa.types.is_struct(column.type):
        for number in range(column.type.num_fields):
            yield from _blobs(column.field(number))
    elif pa.types.is_list(column.type):
        yield from _blobs(column.flatten())
    elif pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        yield from (value for value in column.to_pylist() if value)


def pictures(folder):
    """(path, encoded picture or array) for every picture below a folder: files, parquet columns, `data:` URIs, members
    of tars, blobs of databases, TensorBoard events, leftovers of killed writers, arrays."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if path.suffix == ".parquet":
            for column in pq.read_table(path).columns:
                yield from ((path, blob) for blob in _blobs(column))
        if path.suffix in (".npy", ".npz"):
            opened = np.load(path)
            for array in [opened[name] for name in opened.files] if path.suffix == ".npz" else [opened]:
                if array.ndim == 4 and array.dtype == np.uint8:
                    yield from ((path, one) for one in array)
        yield from ((path, base64.b64decode(match[1])) for match in URI.finditer(data))
        for match in SIGNATURES.finditer(data):
            yield path, data[match.start() :]


def found(folder, forbidden):
    """Where pictures lie whose file or perceptual hash is one of `forbidden` (encoded pictures)."""
    files = {hashlib.sha256(data).hexdigest() for data in forbidden}
    near = Tombstones(Tombstone(phash=_hash(data)) for data in forbidden)
    places = set()
    for path, picture in pictures(folder):
        if isinstance(picture, bytes) and hashlib.sha256(picture).hexdigest() in files:
            places.add(path)
        if (one := _hash(picture)) and near.near([one])[0]:
            places.add(path)
    return {path.relative_to(folder).as_posix() for path in places}


def _hash(picture):
    if isinstance(picture, np.ndarray):
        return phash(Image.fromarray(picture))
    try:
        with Image.open(io.BytesIO(picture)) as opened:
            return phash(opened.convert("RGB"))
    except (OSError, SyntaxError, ValueError):
        return None
