"""Where things lie in a workspace, and how they are written: to a temporary name, flushed, renamed."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
import tomllib
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bamkit.common.errors import BamkitError

DATABASE = "bam.sqlite"
CONFIG = "bamkit.toml"
# A letter or digit of any script, then also . _ - and what is neither ASCII nor white space nor a control character.
NAME = re.compile(
    r"[^\W_](?:[A-Za-z0-9._-]|[^\x00-\x9f\s\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffd\ud800-\udfff])*"
)
TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")
"""The name of a file that is being written, and the number of the process that writes it."""
ABANDONED = 600
"""Seconds after which such a file of a process that is not on this machine counts as left behind."""
LONGEST_NAME, LONGEST_ENCODED = 128, 200
"""Of a name, in characters and in bytes of UTF-8: file systems hold 255 bytes, and suffixes come behind it."""


@dataclass(frozen=True)
class Workspace:
    """A folder of plain files. Nothing is created until something is written."""

    root: Path
    config: dict[str, Any] = field(default_factory=dict)
    """The parsed `bamkit.toml`: top-level keys are options of every command, `[fetch]` and so on those of one."""
    stale: bool = False
    """Whether to go on with artefacts whose origin has changed since they were made (see common/lineage.py)."""

    @classmethod
    def open(cls, root: Path | str = ".", *, stale: bool = False) -> Workspace:
        """The workspace at `root` with its bamkit.toml, if there is one. Raises BamkitError if that cannot be read."""
        root = Path(root)
        path = root / CONFIG
        try:
            return cls(root, tomllib.loads(path.read_text(encoding="utf-8")), stale)
        except FileNotFoundError:
            return cls(root, stale=stale)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BamkitError(f"{path} is not valid TOML: {error}") from error
        except NotADirectoryError as error:
            raise BamkitError(f"{root} is a file; a workspace is a folder", f"-w {root.parent}") from error
        except OSError as error:
            raise BamkitError(f"{path} cannot be read: {error.strerror}") from error

    def database(self, given: str | None = None) -> str:
        """The path or SQLAlchemy URL of the BAM file: `given`, else `db` of bamkit.toml, else bam.sqlite here.

        A relative path in bamkit.toml is relative to the workspace. Raises BamkitError if there is no such file.
        """
        chosen = given or self.located(self.config.get("db", DATABASE))
        if "://" in chosen:
            return chosen
        path = Path(chosen).expanduser()
        if not path.is_file():
            raise BamkitError(
                f"no BAM database at {path}: ask its authors (bam-dataset.org) and put it there, or give --db PATH",
                f"bamkit sample {shlex.quote(str(self.root))}   # makes a stand-in to try everything on",
            )
        return str(path)

    def located(self, place: Any) -> str:
        """A path that bamkit.toml names, relative to the workspace; `~` is the home folder, a URL stays as it is."""
        if not isinstance(place, str) or not place:
            raise BamkitError(f"db = {place!r} is no path", f'write db = "PATH" into {self.root / CONFIG}')
        return place if "://" in place else str(self.root / Path(place).expanduser())

    @property
    def selections(self) -> Path:
        return self.root / "selections"

    @property
    def originals(self) -> Path:
        return self.root / "originals"

    @property
    def splits(self) -> Path:
        return self.root / "splits"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def translations(self) -> Path:
        return self.root / "translations"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def selection(self, name: str) -> Path:
        return as_on_disk(self.selections / f"{checked_name(name)}.parquet")

    def split(self, name: str) -> Path:
        return as_on_disk(self.splits / checked_name(name))

    def missing(self, name: str) -> Path:
        """The table of a split's pictures that could not be had: missing/NAME.parquet.

        It lies outside the split's folder, so that whoever opens that folder as a data set gets pictures only. Where
        an earlier version wrote it, in that folder, it is read until the next fetch moves it.
        """
        former = self.split(name) / "missing.parquet"
        return former if former.is_file() else self.root / "missing" / f"{checked_name(name)}.parquet"

    def run(self, name: str) -> Path:
        return as_on_disk(self.runs / checked_name(name))

    def selection_names(self) -> list[str]:
        return sorted(composed(path.stem) for path in self.selections.glob("*.parquet") if is_name(path.stem))

    def split_names(self) -> list[str]:
        """Names under splits/ that hold at least one shard."""
        return sorted({composed(path.parent.name) for path in self.splits.glob("*/*-*-of-*.parquet")})

    def domain_names(self) -> list[str]:
        """The splits to translate between: all but those set apart for a judge, `judge` and `judge-...`."""
        return [name for name in self.split_names() if not is_judges(name)]

    def run_names(self) -> list[str]:
        return sorted(composed(path.parent.name) for path in self.runs.glob("*/run.json"))

    def shards(self, name: str, split: str) -> list[Path]:
        """The parquet shards of one split, in order; empty if it was not fetched."""
        return shard_paths(self.split(name), split)


def shard_paths(folder: Path, split: str = "*") -> list[Path]:
    """The parquet shards of a split folder (by default of all its splits), in the order of their names."""
    return sorted(folder.glob(f"{split}-*-of-*.parquet"))


def is_name(text: str) -> bool:
    """Whether selections, splits and runs can be called this: a safe file name everywhere, in any script."""
    return bool(NAME.fullmatch(text)) and len(text) <= LONGEST_NAME and len(text.encode()) <= LONGEST_ENCODED


def checked_name(name: str) -> str:
    """`name` with its letters composed (NFC) if `is_name`. Raises BamkitError otherwise, with a name that would do."""
    if not is_name(name):
        rule = f"letters and digits of any script, '.', '_' and '-', at most {LONGEST_NAME}; a letter or digit first"
        hint = f"a name is {rule}: such as {safe_name(name)}"
        if name != readable(name):
            hint = "export PYTHONUTF8=1, then the same command: without it this system hands over no letters but ASCII"
        raise BamkitError(f"{readable(name)!r} cannot be a name here", hint)
    return composed(name)


def composed(text: str) -> str:
    """Unicode's normal form C: é as one character, however it was typed or however a file system spells it."""
    return unicodedata.normalize("NFC", text)


def as_on_disk(path: Path) -> Path:
    """The path as it is spelled on the disk: é may be one character or two there (an archive from a Mac), and look the
    same. Where there is no such path in either spelling, `path` itself."""
    if str(path).isascii() or path.exists():
        return path
    found = Path(path.anchor)
    for part in path.parts[bool(path.anchor) :]:
        if not (found / part).exists():
            try:
                names = sorted(path.name for path in found.iterdir())
                part = next(name for name in names if composed(name) == composed(part))
            except (OSError, StopIteration):
                return path
        found /= part
    return found


def safe_name(text: str, longest: int = 60) -> str:
    """The nearest name to `text`: other characters as hyphens, at most `longest` characters and 1.5 times the bytes.

    Where the system's file names hold ASCII only (LC_ALL=C without UTF-8 mode), other letters are hyphens too.
    """
    text = composed(readable(text))
    ascii_only = not sys.getfilesystemencoding().startswith("utf")
    kept = "".join(c if is_name(f"a{c}") and (c.isascii() or not ascii_only) else "-" for c in text)
    name = kept.strip("-._")[:longest]
    while len(name.encode()) > longest * 3 // 2:
        name = name[:-1]
    name = name.strip("-._")
    return name if is_name(name) else "folder"


def readable(path: Path | str) -> str:
    """A path as text that any file can hold: undecodable bytes become question marks."""
    text = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", str(path))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_judges(name: str) -> bool:
    """Whether a selection or split of this name is for training a judge, not for translating between."""
    return name == "judge" or name.startswith("judge-")


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """An OSError within that names no file, as those of writing do not, or `temporary`, names `path`."""
    try:
        yield
    except OSError as error:
        if not error.filename or error.filename == str(temporary):
            error.filename = str(path)
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes `path` when the block ends well, flushed to disk.

    A kill at any moment leaves either the old file or the new one, never a part. On an error the temporary is removed;
    what a kill leaves is removed by a later process that writes into the folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with naming(path, temporary):
        try:
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
            flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes have left in a folder; looks once in a process.

    Those written to lately stay: their process may live on another machine with the same disk.
    """
    _sweep(folder.absolute(), os.getpid())


@cache
def _sweep(folder: Path, process: int) -> None:
    if os.name == "nt":
        return  # whether a process lives cannot be asked there without ending it
    for path in folder.glob(".*.tmp"):
        match = TEMPORARY.fullmatch(path.name)
        with suppress(OSError):
            if match and time.time() - path.stat().st_mtime > ABANDONED and not is_alive(int(match[1])):
                path.unlink()


def is_alive(process: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def flush(path: Path) -> None:
    """fsync a file or a folder, so that what was written or renamed there survives a power loss."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        # Windows cannot open folders; there the rename itself is journaled.
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; names that are not UTF-8 as `readable` shows them."""
    write_bytes(path, readable(text).encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def refuse_overwrite(path: Path, force: bool) -> None:
    """Raises BamkitError if `path` exists and `force` is not given."""
    if path.exists() and not force:
        raise BamkitError(f"{path} is already there", "give --force to replace it, or another --name")
