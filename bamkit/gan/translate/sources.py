"""Where the pictures to translate come from: a split, files, folders, or a list of paths."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.common.pictures.folders import PictureFolder, count_of, list_pictures
from bamkit.common.pictures.reader import SUFFIXES, BadPictureError
from bamkit.common.shards import stream_rows
from bamkit.common.workspace import as_on_disk, composed, readable, shard_paths

LARGEST_FILE = 2_000_000_000


@dataclass(frozen=True)
class Source:
    """One picture that is to be translated."""

    name: str
    """What the parquet's `source` column says: a file's path as it was given, or the name inside a split."""
    target: str
    """Where the result goes below the direction's folder, such as `123.png`."""
    content: bytes | Path | str
    """The encoded picture, or the file that holds it; a string is the reason why there is none."""
    mid: int | None = None
    rank: int | None = None
    split: str | None = None
    rights: dict[str, Any] | None = None
    """Of a split's picture: "domain", "project_id", "src" and "license"; None where they are not known."""

    def read(self) -> bytes:
        """The encoded picture. Raises BadPictureError with the reason if there is none."""
        if isinstance(self.content, bytes):
            return self.content
        if isinstance(self.content, str):
            raise BadPictureError("not-a-picture", self.content)
        try:
            if not self.content.is_file():
                raise BadPictureError(
                    "not-a-picture", "no ordinary file" if self.content.exists() else "there is no such file"
                )
            if self.content.stat().st_size > LARGEST_FILE:
                raise BadPictureError("not-a-picture", "the file is larger than 2 GB")
            return self.content.read_bytes()
        except OSError as error:
            raise BadPictureError("not-a-picture", f"cannot be read: {error.strerror or error}") from error


class Targets:
    """File names for results: safe everywhere, and never the same name twice, whatever the case of the letters or
    whether accents are characters of their own."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, relative: str) -> str:
        """`a/b.jpg` -> `a/b.png`; a second `a/b.*` becomes `a/b-2.png`."""
        parts = [_safe(part) for part in Path(relative).with_suffix("").parts if part not in ("", ".", "..", os.sep)]
        base = "/".join(parts) or "picture"
        name, number = base, 1
        while composed(name.lower()) in self._taken:
            number += 1
            name = f"{base}-{number}"
        self._taken.add(composed(name.lower()))
        return f"{name}.png"


def _safe(part: str) -> str:
    text = re.sub(r'[\x00-\x1f\x7f<>:"|?*\\\ud800-\udfff]', "_", part).strip(". ") or "_"
    # Where file names hold ASCII only (LC_ALL=C without UTF-8 mode), other letters are left out.
    text = text.encode(sys.getfilesystemencoding(), "replace").decode(sys.getfilesystemencoding()).replace("?", "_")
    while len(text.encode()) > 200:
        text = text[:-1]
    return text


def from_split(shards: Iterable[Path], domain: str, limit: int = 0) -> Iterator[Source]:
    """The pictures of a domain's shards in rank order, read a few at a time. `limit` 0 means all."""
    targets = Targets()
    rows = stream_rows(shards, ["image", "mid", "rank", "split", "project_id", "src", "license"], 32)
    for row in islice(rows, limit or None):
        image = row["image"] or {}
        name = image.get("path") or f"{row['mid']}"
        content = image.get("bytes") or "the split holds no bytes for this image"
        rights = {"domain": domain, **{key: row[key] for key in ("project_id", "src", "license")}}
        yield Source(name, targets.name(f"{row['mid']}.png"), content, row["mid"], row["rank"], row["split"], rights)


def from_paths(paths: Iterable[Path]) -> tuple[list[Source], list[str]]:
    """Files as they are, folders with all pictures below them (sorted); and a line for each folder on what was taken.

    Raises BamkitError for a path not there, and for a folder without pictures.
    """
    targets, sources, lines = Targets(), [], []
    for path in map(as_on_disk, paths):
        if path.is_dir():
            listing = list_pictures(path)
            if not listing.pictures:
                raise _without_pictures(path, listing)
            lines.append(str(listing))
            sources += from_listing(listing, targets)
        elif path.exists():
            sources.append(Source(readable(path), targets.name(readable(path.name)), path))
        else:
            raise BamkitError(f"there is no picture or folder {readable(path)}")
    return sources, lines


def _without_pictures(path: Path, listing: PictureFolder) -> BamkitError:
    kinds, hint, left_out = ", ".join(sorted(SUFFIXES)), "", listing.what_is_left_out
    if shard_paths(path):
        hint = "a fetched split is named by --split train, validation or test"
    elif listing.others:
        # The originals of a workspace are such files: they are called by their content's hash.
        left_out += f", {count_of(listing.others, 'file')} called otherwise"
        command = f"find {shlex.quote(readable(path))} -type f | bamkit translate --input -"
        hint = f"{command}   # takes files whatever they are called; fetched pictures: --split test"
    return BamkitError(f"{readable(path)} holds no pictures ({kinds}): {left_out}", hint)


def from_listing(listing: PictureFolder, targets: Targets) -> list[Source]:
    """The pictures of a folder, each with a target of the same relative name."""
    return [
        Source(readable(path), targets.name(readable(path.relative_to(listing.folder))), path)
        for path in listing.pictures
    ]


def from_list(lines: Iterable[str]) -> list[Source]:
    """Paths, one a line, as `find` prints them. What cannot be read is skipped later, with its reason."""
    targets, sources = Targets(), []
    for line in lines:
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        name = readable(text)
        target = targets.name(Path(name).name)
        if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text):
            sources.append(Source(name, target, "an address, not a file: translate reads files only"))
        elif "\0" in text:
            sources.append(Source(name, target, "a name with a zero byte"))
        else:
            sources.append(Source(name, target, as_on_disk(Path(text))))
    if not sources:
        raise BamkitError("the list of pictures on standard input is empty")
    return sources
