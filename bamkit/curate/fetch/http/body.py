"""The file in an answer: unpacked piece by piece, in memory while it is small."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import urllib3

from bamkit.curate.fetch.faults import Fault

CHUNK = 1 << 17
IN_MEMORY = 1 << 19


@dataclass(frozen=True)
class Answer:
    """A file that arrived whole."""

    path: Path
    """The temporary name it lies under, if it is large or the originals are kept."""
    data: bytes | None
    """Its bytes, if it is not large."""
    sha256: str
    md5: str | None
    """Of small files, and of all while the user lists MD5s of placeholders."""
    size: int
    """Bytes of the file."""
    content_type: str | None
    status: int
    final_url: str

    def read(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes() if self.data is None else self.data


class Body:
    """A file that is just arriving: in memory as long as it is not large, then under `path`."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, 0
        self._pieces: list[bytes] = []
        self._file: BinaryIO | None = None

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._file is None and self.size > IN_MEMORY:
            self._file = open(self.path, "wb")  # noqa: SIM115  (closed with the block)
            self._file.writelines(self._pieces)
            self._pieces.clear()
        if self._file is None:
            self._pieces.append(chunk)
        else:
            self._file.write(chunk)

    def data(self) -> bytes | None:
        """All that came, unless it is large."""
        return b"".join(self._pieces) if self._file is None else None

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def plain(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The body in pieces of at most CHUNK bytes; compressed ones unpacked piece by piece, never all at once."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        while chunk := response.read(CHUNK, decode_content=False):
            yield chunk
        return
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Fault("bad-answer", f"Content-Encoding: {coding[:40]}, although identity was asked for", 200)
    unpack = zlib.decompressobj(wbits=47 if coding != "deflate" else 15)
    try:
        while chunk := response.read(CHUNK, decode_content=False):
            while chunk:
                yield unpack.decompress(chunk, CHUNK)
                chunk = unpack.unconsumed_tail
    except zlib.error as error:
        raise Fault("bad-answer", f"the {coding} encoding is broken", 200) from error
    if not unpack.eof:
        raise Fault("incomplete", f"the {coding} encoding ends too early", 200)
