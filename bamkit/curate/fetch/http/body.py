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
from bamkit.curate.fetch.http.head import is_picture

CHUNK = 1 << 17
IN_MEMORY = 1 << 19
LAYERS = 5
DRAIN = 1 << 16
GZIP = b"\x1f\x8b"
CHECKSUM = 8
"""Bytes of checksum and length behind each member of a gzip file."""
UNKNOWN_HERE = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""Encodings that exist, were not asked for, and cannot be undone here."""


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
    # The transfer's encodings lie around those of the content.
    header = ",".join(filter(None, (response.headers.get(f"{of}-Encoding") for of in ("Content", "Transfer"))))
    codings = [word for part in header.split(",") if (word := part.partition(";")[0].strip(" \t\"'").lower())]
    if not set(codings) - {"chunked"}:
        return chunks
    first = next(chunks, b"")
    chunks = itertools.chain([first], chunks) if first else chunks
    if is_picture(first):
        return chunks
    if unknown := UNKNOWN_HERE.intersection(codings):
        raise Fault("bad-answer", f"encoding {min(unknown)}, although identity was asked for", response.status)
    layers = [coding for coding in reversed(codings) if coding in ("gzip", "x-gzip", "deflate")]
    if len(layers) > LAYERS:
        raise Fault("bad-answer", f"Content-Encoding: {header[:40]}", response.status)
    for coding in layers:
        chunks = _inflated(chunks, coding, response.status)
    return chunks


def _inflated(chunks: Iterator[bytes], coding: str, status: int) -> Iterator[bytes]:
    """Undo one layer of gzip or deflate; bytes that are not compressed in this way pass as they are.

    Checksums, and whatever else lies behind the compressed bytes, are passed over, as browsers do.
    """
    start = next(chunks, b"")
    kind = _kind(coding, start)
    if kind is None:
        yield from itertools.chain([start] if start else [], chunks)
        return
    while True:
        while (header := _header_length(kind, start)) is None:
            if not (more := next(chunks, b"")) or len(start) > IN_MEMORY:
                raise Fault("incomplete", f"the {coding} encoding ends too early", status)
            start += more
        unpack = zlib.decompressobj(-15)
        try:
            for chunk in itertools.chain([start[header:]], chunks):
                while chunk and not unpack.eof:
                    if piece := unpack.decompress(chunk, CHUNK):
                        yield piece
                    chunk = unpack.unconsumed_tail
                if unpack.eof:
                    break
        except zlib.error as error:
            raise Fault("bad-answer", f"the {coding} encoding is broken", status) from error
        if not unpack.eof:
            raise Fault("incomplete", f"the {coding} encoding ends too early", status)
        start = unpack.unused_data
        while len(start) < CHECKSUM + len(GZIP) and (more := next(chunks, b"")):
            start += more
        start = start[CHECKSUM:]
        if kind != "gzip" or not start.startswith(GZIP):  # else the next member of a gzip file
            break
    for _ in chunks:  # so that the connection can be used again
        pass


def _kind(coding: str, start: bytes) -> str | None:
    """How bytes that begin with `start` are compressed: `gzip`, `zlib`, `deflate`, or None for not at all."""
    if is_picture(start):
        return None
    if start.startswith(GZIP):
        return "gzip"
    if coding != "deflate" or not start:
        return None
    return "zlib" if start[0] & 15 == 8 and int.from_bytes(start[:2], "big") % 31 == 0 else "deflate"


def _header_length(kind: str, start: bytes) -> int | None:
    """The bytes before the compressed ones (RFC 1950, RFC 1952); None if `start` does not hold them all."""
    if kind != "gzip":
        return 2 if kind == "zlib" else 0
    if len(start) < 10:
        return None
    flags, end = start[3], 10
    if flags & 4:
        end += 2 + int.from_bytes(start[end : end + 2], "little")
    for text in (8, 16):  # a name and a comment, each ending with a zero
        if flags & text:
            end = start.find(b"\0", end) + 1
            if not end:
                return None
    end += 2 if flags & 2 else 0
    return end if end <= len(start) else None
