"""The body of an answer: unpacked piece by piece, in memory while it is small."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import urllib3
from urllib3 import exceptions

from bamkit.curate.fetch.faults import Fault

CHUNK = 1 << 17
IN_MEMORY = 1 << 19
LAYERS = 5
DRAIN = 1 << 16
GZIP = b"\x1f\x8b"
UNKNOWN_HERE = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""Encodings that exist, were not asked for, and cannot be undone here."""
SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF8",
    b"RIFF",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"\xff\n",
    b"\0\0\0\x0cJXL ",
)
"""How files of the formats that may be decoded begin."""


def _is_picture(start: bytes) -> bool:
    """Whether a file that begins with `start` is of a format that may be decoded (AVIF and HEIC: `ftyp`)."""
    return start.startswith(SIGNATURES) or start[4:8] == b"ftyp"


class SpooledFile:
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

    def __enter__(self) -> SpooledFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def announced(raw: urllib3.BaseHTTPResponse) -> int:
    """The Content-Length, 0 if there is none."""
    return int(raw.headers.get("Content-Length", 0))


def drained(raw: urllib3.BaseHTTPResponse) -> bool:
    """Read the rest of an unwanted answer if it is short, so that the connection can be kept."""
    if announced(raw) > DRAIN:
        return False
    try:
        return len(raw.read(DRAIN, decode_content=False)) < DRAIN
    except exceptions.HTTPError:
        return False


def iter_content(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The file in pieces of at most CHUNK bytes; compressed ones unpacked piece by piece, never all at once.

    A Content-Encoding that names no encoding (`none`, `UTF-8`, `aws-chunked`) is ignored, as is any before bytes that
    begin as a picture does: upload tools leave such headers behind, and browsers show those pictures.
    """
    chunks: Iterator[bytes] = iter(lambda: response.read(CHUNK, decode_content=False), b"")
    header = response.headers.get("Content-Encoding", "")
    codings = [word for part in header.split(",") if (word := part.partition(";")[0].strip(" \t\"'").lower())]
    if not codings:
        return chunks
    first = next(chunks, b"")
    chunks = itertools.chain([first], chunks) if first else chunks
    if _is_picture(first):
        return chunks
    if unknown := UNKNOWN_HERE.intersection(codings):
        raise Fault("bad-answer", f"Content-Encoding: {min(unknown)}, although identity was asked for", response.status)
    layers = [coding for coding in reversed(codings) if coding in ("gzip", "x-gzip", "deflate")]
    if len(layers) > LAYERS:
        raise Fault("bad-answer", f"Content-Encoding: {header[:40]}", response.status)
    for coding in layers:
        chunks = _inflated(chunks, coding, response.status)
    return chunks


def _inflated(chunks: Iterator[bytes], coding: str, status: int) -> Iterator[bytes]:
    """Undo one layer of gzip or deflate; bytes that are not compressed in this way pass as they are."""
    first = next(chunks, b"")
    chunks = itertools.chain([first], chunks) if first else chunks
    wbits = _wbits(coding, first)
    if wbits is None:
        yield from chunks
        return
    unpack = zlib.decompressobj(wbits)
    try:
        for chunk in chunks:
            while chunk:
                if piece := unpack.decompress(chunk, CHUNK):
                    yield piece
                chunk = unpack.unconsumed_tail
                if unpack.eof and unpack.unused_data.startswith(GZIP):  # the next member of a gzip file
                    chunk, unpack = unpack.unused_data, zlib.decompressobj(wbits)
        if piece := unpack.flush():
            yield piece
    except zlib.error as error:
        raise Fault("bad-answer", f"the {coding} encoding is broken", status) from error
    if not unpack.eof:
        raise Fault("incomplete", f"the {coding} encoding ends too early", status)


def _wbits(coding: str, start: bytes) -> int | None:
    """zlib's `wbits` for bytes that begin with `start`; None if they are not compressed."""
    if _is_picture(start):
        return None
    if start.startswith(GZIP):
        return 31
    if coding != "deflate" or not start:
        return None
    zlib_header = start[0] & 15 == 8 and int.from_bytes(start[:2], "big") % 31 == 0
    return 15 if zlib_header else -15
