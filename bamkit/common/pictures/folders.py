"""The pictures in a folder of the user's own: which are taken, and what is left out and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bamkit.common.pictures.reader import PLUGINS, SUFFIXES, has_plugin
from bamkit.common.workspace import readable

TOOL_FOLDERS = frozenset(
    {"@eadir", "__macosx", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found"}
    | {"@recycle", "@recently-snapshot", "@tmp", "recycler", "recycled", "__pycache__", "node_modules"}
)
"""Folders that other programs leave behind (lower case), beside all whose names begin with a full stop."""
TO_EXPORT = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".srw"}
    | {".ai", ".clip", ".kra", ".psb", ".psd", ".svg", ".svgz", ".xcf"}
)
"""Raw files of cameras and files of drawing programs, which no plugin of Pillow turns into what their program shows."""
HIDDEN = "in hidden or tool folders"
BROKEN_LINK = "links that lead nowhere"
TWICE = "linked to pictures taken already"
CLOSED_FOLDER = "folders that this user may not read"


@dataclass
class PictureFolder:
    """What lies below a folder."""

    folder: Path
    pictures: list[Path] = field(default_factory=list)
    """The files taken, sorted."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many files that look like pictures, and folders not to be read, were not taken, by reason."""
    others: int = 0
    """How many files are called like no picture."""

    def __str__(self) -> str:
        """`photos: 12 pictures taken, 3 left out (2 .heic: pip install pillow-heif, 1 in hidden or tool folders)`."""
        return f"{readable(self.folder)}: {count_of(len(self.pictures), 'picture')} taken, {self.what_is_left_out}"

    @property
    def what_is_left_out(self) -> str:
        """`3 left out (...)`, or `0 left out`."""
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(self.left_out.items()))
        return f"{self.left_out.total():,} left out ({reasons})" if reasons else "0 left out"


def count_of(number: int, noun: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def list_pictures(folder: Path, without: Collection[Path] = ()) -> PictureFolder:
    """All pictures below `folder` but not below `without`, those in linked sub-folders too, each folder and file once.

    Hidden files, and the folders of tools, are left out and counted; so are links (hard ones too) to a file that is
    taken already, links that lead nowhere, and pictures that Pillow does not read. The folder itself may be called
    anything.
    """
    listing = PictureFolder(folder)
    for path, hidden in _walk(listing, without):
        suffix = path.suffix.lower()
        plugin = PLUGINS.get(suffix)
        if suffix not in SUFFIXES and suffix not in TO_EXPORT and plugin is None:
            listing.others += not hidden
            continue
        if hidden:
            listing.left_out[HIDDEN] += 1
        elif not path.exists():
            listing.left_out[BROKEN_LINK] += 1
        elif not path.is_file():
            continue
        elif suffix in TO_EXPORT:
            listing.left_out[f"{suffix}: export them as PNG, JPEG or TIFF"] += 1
        elif plugin is not None and not has_plugin(suffix):
            listing.left_out[f"{suffix}: pip install {plugin.package}"] += 1
        else:
            listing.pictures.append(path)
    listing.pictures = _each_once(listing)
    return listing


def _each_once(listing: PictureFolder) -> list[Path]:
    """The pictures, sorted, of several names for one file the first that is no link."""
    taken: dict[tuple[int, int], Path] = {}
    for path in sorted(listing.pictures, key=lambda path: (path.is_symlink(), path)):
        if taken.setdefault(_identity(path), path) is not path:
            listing.left_out[TWICE] += 1
    return sorted(taken.values())


def _walk(listing: PictureFolder, without: Collection[Path]) -> Iterator[tuple[Path, bool]]:
    """All files below, and whether they are hidden or in the folder of a tool. Sorted; a folder is entered once.

    A folder that may not be read is counted as left out, unless nothing would be taken from it anyway.
    A link back to the folder, or to a folder around it, leads to what is not meant, or into a loop.
    """
    folder = listing.folder
    seen = {_identity(other) for other in (folder.resolve(), *folder.resolve().parents, *without)}
    waiting = [(folder, False)]
    while waiting:
        current, hidden = waiting.pop()
        try:
            with os.scandir(current) as entries:
                ordered = sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name))
        except PermissionError:
            if not hidden:
                listing.left_out[CLOSED_FOLDER] += 1
            continue
        below = []
        for entry in ordered:
            path = current / entry.name
            aside = hidden or entry.name.startswith(".") or entry.name.lower() in TOOL_FOLDERS
            if not path.is_dir():  # entry.is_dir() fails at a link to itself
                yield path, aside
            elif (identity := _identity(path)) not in seen:
                seen.add(identity)
                below.append((path, aside))
        waiting += reversed(below)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
