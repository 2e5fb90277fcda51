"""Downloaded files under the hash of their content, and pictures that are built but not yet in a split."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.common.provenance import digest
from bamkit.common.workspace import flush
from bamkit.curate.fetch.ledger import ANEW, read_only


def is_hash(text: str) -> bool:
    """Whether it is a SHA-256 as bamkit writes it."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


@dataclass(frozen=True)
class Picture:
    """A built picture as it goes into a split."""

    data: bytes
    """The encoded file."""
    width: int
    height: int
    phash: str
    """64-bit perceptual hash, 16 hex digits."""


class Originals:
    """`originals/<first two hex digits>/<sha256>`. No name ever comes from a URL."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self._count = itertools.count()

    def prepare(self) -> None:
        """Make the folders and remove what a killed run left half-written."""
        self.incoming.mkdir(parents=True, exist_ok=True)
        for path in self.incoming.iterdir():
            path.unlink(missing_ok=True)

    def temporary(self) -> Path:
        """A new name for a file that is just arriving."""
        return self.incoming / f"{os.getpid()}-{next(self._count)}"

    def path(self, sha256: str) -> Path:
        """Where the file of that hash lies. Raises BamkitError for other text, as a damaged ledger may hold it."""
        if not is_hash(sha256):
            raise BamkitError(f"{self.root / 'ledger.sqlite'} is damaged: {sha256!r} is no SHA-256", ANEW)
        return self.root / sha256[:2] / sha256

    def keep(self, arrived: Iterable[tuple[Path, str]]) -> None:
        """Move files that arrived to their places, for good: data flushed first, then renamed, then the folders."""
        arrived = list(arrived)
        for path, _ in arrived:
            _begin_flush(path)
        for path, _ in arrived:
            flush(path)
        folders = set()
        for path, sha256 in arrived:
            target = self.path(sha256)
            if not target.parent.exists():
                target.parent.mkdir()
                folders.add(self.root)
            os.replace(path, target)
            folders.add(target.parent)
        for folder in folders:
            flush(folder)

    def read_verified(self, sha256: str) -> bytes | None:
        """The file's bytes, or None if it is not there or no longer what it was."""
        if not is_hash(sha256):
            return None
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def remove(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)


def _begin_flush(path: Path) -> None:
    """Have the system begin to write a file down, where it can be told so, without waiting for it.

    When all files of a group are begun first, the first flush finds most of the work done, and the rest cost next to
    nothing; flushed one by one from the start each would wait for a turn of the disk of its own.
    """
    if hasattr(os, "posix_fadvise"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


class PictureCache:
    """Pictures built ahead of their split, by original and recipe: a killed run does not build them again.

    It is emptied when the splits are written. Without originals it is what a resumed run goes on from, and must be
    `durable`: flushed to disk before the ledger knows of a picture. With originals a loss of power costs some building.
    """

    def __init__(self, path: Path, recipe: dict[str, Any], durable: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.recipe = path, digest(recipe)
        self.db = sqlite3.connect(path, check_same_thread=False, timeout=30)
        self.db.execute("pragma page_size=16384")
        self.db.execute("pragma journal_mode=wal")
        self.db.execute(f"pragma synchronous={'full' if durable else 'normal'}")
        self.db.execute(
            "create table if not exists built(sha256 text, recipe text, data blob, width int, height int, phash text, "
            "primary key(sha256, recipe))"
        )

    def add(self, pictures: Iterable[tuple[str, Picture]]) -> None:
        with self.db:
            self.db.executemany(
                "insert or ignore into built values(?, ?, ?, ?, ?, ?)",
                ((sha256, self.recipe, *astuple(picture)) for sha256, picture in pictures),
            )

    def holds(self, files: Iterable[str]) -> set[str]:
        """Those of some originals whose picture lies here."""
        files = list(files)
        marks = ", ".join("?" * len(files))
        query = f"select sha256 from built where recipe = ? and sha256 in ({marks})"
        return {row[0] for row in self.db.execute(query, (self.recipe, *files))}

    def get(self, sha256: str) -> Picture:
        """Raises KeyError."""
        row = self.db.execute(
            "select data, width, height, phash from built where sha256 = ? and recipe = ?", (sha256, self.recipe)
        ).fetchone()
        if row is None:
            raise KeyError(sha256)
        return Picture(*row)

    def close(self, remove: bool) -> None:
        self.db.close()
        if remove:
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def holds_built(path: Path, files: Iterable[str]) -> bool:
    """Whether pictures of some originals lie in the file of pictures built ahead. Nothing is written."""
    with read_only(path) as db:
        return any(db.execute("select 1 from built where sha256 = ?", (sha256,)).fetchone() for sha256 in files)


def purge_built(path: Path, files: Iterable[str]) -> None:
    """Remove the pictures of some originals from the file of pictures built ahead, so that no page of it holds them."""
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as db:
        db.execute("pragma secure_delete=on")
        with db:
            db.executemany("delete from built where sha256 = ?", ((sha256,) for sha256 in files))
        db.execute("vacuum")
        db.execute("pragma wal_checkpoint(truncate)")
