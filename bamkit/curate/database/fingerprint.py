"""Telling whether a database is still the one it was, in milliseconds for a file of a gigabyte.

What goes into the fingerprint of a SQLite file, and what each part catches:

- the header's *file change counter*: SQLite raises it in every transaction that writes (file format, section 1.3.7),
  so any change made through SQLite, however small and wherever in the file, changes the fingerprint;
- the size, the schema, the first and last 16 pages and 1,024 pages spread evenly over the rest: two files made
  separately, a truncated or grown file, or one damaged in passing differ there (a change of a single byte by something
  other than SQLite can hide between the samples; `bamkit verify` compares the chosen rows themselves);
- in WAL mode the counter may stand still, so there the whole file is hashed, and the log beside it too.

Neither name, place nor time of the file matter: a copy has the same fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bamkit.common.errors import BamkitError
from bamkit.common.terminal.progress import size as readable

MAGIC = b"SQLite format 3\x00"
SAMPLES = 1024
EDGE = 16
FOREIGN = {
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"BZh": "a bzip2 archive: unpack it first",
    b"\xfd7zXZ": "an xz archive: unpack it first",
    b"(\xb5/\xfd": "a zstd archive: unpack it first",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"Rar!": "a RAR archive: unpack it first",
    b"PAR1": "a parquet file",
    b"version https://git-lfs": "a Git LFS pointer: git lfs pull fetches the file",
    b"{": "JSON, perhaps an error message saved in its place",
    **dict.fromkeys(
        (b"<!DO", b"<!do", b"<htm", b"<HTM", b"<?xm"), "an HTML page, perhaps a login page saved in its place"
    ),
    **dict.fromkeys((b"PRAGMA", b"BEGIN", b"CREATE", b"-- "), "an SQL dump: sqlite3 bam.sqlite < it makes a database"),
}


@dataclass(frozen=True)
class Header:
    """What the first 100 bytes of a SQLite file say (file format, section 1.3)."""

    page_size: int
    """Bytes a page."""
    pages: int
    """Pages in the file."""
    change_counter: int
    wal: bool
    """Whether the file is in write-ahead-log mode."""


def read_header(path: Path) -> Header:
    """The header of a SQLite file. Raises BamkitError if it is none, or shorter than its header says."""
    try:
        with open(path, "rb") as file:
            head = file.read(100)
        length = path.stat().st_size
    except FileNotFoundError as error:
        raise BamkitError(f"there is no file {path}") from error
    except OSError as error:
        raise BamkitError(f"{path} cannot be read: {error.strerror}") from error
    if not head:
        raise BamkitError(f"{path} is empty (0 bytes)", "copy or download it again")
    if not head.startswith(MAGIC):
        kind = next(
            (text for magic, text in FOREIGN.items() if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(magic)), ""
        )
        raise BamkitError(f"{path} is not a SQLite database" + (f" but {kind}" if kind else ""))
    page_size = int.from_bytes(head[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    counter = int.from_bytes(head[24:28], "big")
    pages = int.from_bytes(head[28:32], "big")
    if len(head) < 100 or page_size < 512:
        raise BamkitError(f"{path} is truncated or damaged: its SQLite header is", "copy or download it again")
    if not pages or counter != int.from_bytes(head[92:96], "big"):
        # Written by a very old SQLite: the count in the header is not to be trusted.
        pages = length // page_size
    if length < pages * page_size:
        raise BamkitError(
            f"{path} is truncated: {readable(length)} of {readable(pages * page_size)} are there",
            "copy or download it again",
        )
    return Header(page_size, pages, counter, wal=head[18] == 2 or head[19] == 2)


def fingerprint_file(path: Path, schema: Sequence[str]) -> str:
    """32 hex digits for a SQLite file with the given CREATE statements; see the module's text."""
    head = read_header(path)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((head.page_size, head.pages, head.change_counter, head.wal, list(schema))).encode())
    with open(path, "rb") as file:
        if head.wal:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        else:
            for page in sampled_pages(head.pages):
                file.seek(page * head.page_size)
                digest.update(file.read(head.page_size))
    log = path.with_name(path.name + "-wal")
    if head.wal and log.exists():
        digest.update(log.read_bytes())
    return digest.hexdigest()


def sampled_pages(pages: int) -> list[int]:
    """Which pages are hashed: all of a small file, else both ends and an even spread between."""
    if pages <= SAMPLES + 2 * EDGE:
        return list(range(pages))
    spread = {EDGE + (pages - 2 * EDGE) * i // SAMPLES for i in range(SAMPLES)}
    return sorted({*range(EDGE), *spread, *range(pages - EDGE, pages)})


def fingerprint_totals(schema: Iterable[tuple[str, list[str]]], totals: Iterable[Sequence[object]]) -> str:
    """32 hex digits for a database server: (table, columns) of each table, and row counts, sums and extremes.

    It catches rows added, removed or rescored, not two changes that cancel in every sum.
    """
    digest = hashlib.blake2b(digest_size=16)
    for table in schema:
        digest.update(repr(table).encode())
    for row in totals:
        # Rounded: a server may add up in another order each time.
        digest.update(repr([f"{value:.9g}" if isinstance(value, float) else str(value) for value in row]).encode())
    return digest.hexdigest()
