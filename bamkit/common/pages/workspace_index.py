"""`index.html` of a workspace: a page that links everything in it, made anew whenever one of its pages is written."""

from __future__ import annotations

import html
import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bamkit.common.contract import SPLITS
from bamkit.common.errors import BamkitError
from bamkit.common.pages.rendering import render
from bamkit.common.shards import count_rows
from bamkit.common.workspace import Workspace, readable, shard_paths, write_text

INDEX = "index.html"
MARK = '<meta name="generator" content="bamkit index">'
"""What tells an index from a page of the user's own under that name, which is left alone."""
ROOMS = ("reports", "runs", "judge", "reviews")
"""The folders of a workspace that hold pages."""
GROUPS = {
    "Experiment": ("reports/demo/index.html", "reports/study-*/index.html"),
    "Data": ("reports/index.html", "reports/check.html", "reports/*.html", "reviews/*/index.html"),
    "Training": ("runs/*/index.html", "judge/index.html"),
    "Evaluation": ("reports/*/index.html", "reports/evaluate-*/user-study/index.html"),
}
"""Heading -> where its pages lie."""
PICTURES = {
    "reports/index.html": "reports/figures/contact-*-train.png",
    "runs/*/index.html": "runs/{run}/samples/*.png",
    "reports/evaluate-*/index.html": "translations/{run}/*.png",
}
"""Page -> the pictures of which the last by name stands for it."""
FEW = 8
"""So many other pages are all linked from every page; of more, those about the same run."""


@dataclass(frozen=True)
class Entry:
    """What one link of the index leads to."""

    address: str
    """Relative to the workspace."""
    title: str
    text: str = ""
    picture: str = ""
    """The address of a picture, "" for none."""


def workspace_of(path: Path) -> Path | None:
    """The workspace in one of whose rooms a page lies; None for a page elsewhere."""
    folder = path.absolute().parent
    return next((parent.parent for parent in (folder, *folder.parents) if parent.name in ROOMS), None)


def write_index(root: Path) -> Path:
    """Write `index.html` of the workspace at `root` atomically and return its path; the same files, the same bytes.

    Raises BamkitError where another page lies under that name, or where jinja2 is not installed.
    """
    path = root / INDEX
    if not _is_ours(path):
        raise BamkitError(f"{path} was not written by bamkit", "move it away, then: bamkit pages")
    seen: set[Path] = set()
    groups = {title: list(_pages(root, places, seen)) for title, places in GROUPS.items()}
    groups["Exports"] = list(_exports(root))
    about: dict[str, Any] = {
        "title": f"Workspace {readable(root.absolute().name)}".strip(),
        "summary": "Everything in this workspace.",
        "lead": "" if any(groups.values()) else "There are no pages here yet: `bamkit report` writes the first.",
        "related": [],
    }
    files = list(_files(Workspace(root)))
    write_text(path, render("index.html.j2", page=about, groups=groups, files=files))
    return path


def refresh_index(root: Path, first: bool = True) -> None:
    """`write_index`, unless a page of the user's own lies there. `first`: also where there was no index before.

    Without jinja2 nothing is done: nothing that needs pages fails for want of the index.
    """
    if _is_ours(root / INDEX) and (first or (root / INDEX).exists()) and importlib.util.find_spec("jinja2"):
        write_index(root)


def related(path: Path) -> list[tuple[str, str]]:
    """(relative address, title) of the workspace's index and of its other pages, for a page at `path`.

    Where there are many, only those that are about the same run, or about the whole workspace.
    """
    root, folder = workspace_of(path), path.absolute().parent
    if root is None:
        return []
    pages = [page for place in _places() for page in sorted(root.glob(place)) if page != path.absolute()]
    pages = sorted({page for page in pages if page.parent.name != "user-study"})
    if len(pages) > FEW:
        own = {_run_of(path.absolute()), "reports", "judge", "compare"}
        pages = [page for page in pages if _run_of(page) in own]
    index = [(root / INDEX, "everything in this workspace")] if _is_ours(root / INDEX) else []
    return [(_address(page, folder), title) for page, title in [*index, *((page, _title(page)) for page in pages)]]


def _places() -> list[str]:
    return [place for places in GROUPS.values() for place in places]


def _run_of(page: Path) -> str:
    """The run that a page is about, else the folder it lies in."""
    return page.parent.name.removeprefix("evaluate-")


def _is_ours(path: Path) -> bool:
    """Whether there is no such file, or one that `write_index` wrote."""
    if not path.exists():
        return True
    with open(path, encoding="utf-8", errors="replace") as file:
        return MARK in file.read(1024)


def _address(path: Path, folder: Path) -> str:
    return readable(os.path.relpath(path, folder)).replace(os.sep, "/")


def _head(page: Path) -> str:
    with open(page, encoding="utf-8", errors="replace") as file:
        return file.read(4096)


def _title(page: Path) -> str:
    """The title of a page, else its name."""
    found = re.search("<title>(.*?)</title>", _head(page))
    return html.unescape(found[1]) if found else page.name


def _pages(root: Path, places: tuple[str, ...], seen: set[Path]) -> Iterator[Entry]:
    """The pages at these places, each once: what is in `seen` is left out, what is found is put there."""
    for place in places:
        for page in sorted(set(root.glob(place)) - seen):
            seen.add(page)
            text = re.search('<meta name="description" content="(.*?)">', _head(page))
            said = html.unescape(text[1]) if text else ""
            if page.parent.name == "user-study":
                said = f"The page for the raters of {_run_of(page.parent)}."
            yield Entry(_address(page, root), _title(page), said, _picture(root, page))


def _picture(root: Path, page: Path) -> str:
    """The address of the picture that stands for a page: the last sample of a run, a grid, a contact sheet; or ""."""
    place = page.relative_to(root)
    patterns = [pattern.format(run=_run_of(page)) for where, pattern in PICTURES.items() if place.match(where)]
    found = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return _address(found[-1], root) if found else ""


def _exports(root: Path) -> Iterator[Entry]:
    """The folders under exports/: the page of one that has a page, else its card, else the folder itself."""
    for folder in sorted(path for path in (root / "exports").glob("*") if path.is_dir()):
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        page, card = folder / INDEX, next((path for path in files if path.name == "README.md"), folder)
        title = _title(page) if page in files else folder.name
        yield Entry(_address(page if page in files else card, root), title, f"{len(files)} files and folders")


def _files(workspace: Workspace) -> Iterator[tuple[str, Entry, str]]:
    """(what, where, how much) of the selections, splits, translations and decisions."""
    for name in workspace.selection_names():
        path = workspace.selection(name)
        yield "selection", Entry(_address(path, workspace.root), name), _images([path])
    for name in workspace.split_names():
        folder = workspace.split(name)
        counts = {split: _images(paths) for split in SPLITS if (paths := shard_paths(folder, split))}
        yield (
            "pictures",
            Entry(_address(folder, workspace.root), name),
            ", ".join(f"{n} {s}" for s, n in counts.items()),
        )
    for table in sorted(workspace.translations.glob("*/translations.parquet")):
        yield "translations", Entry(_address(table.parent, workspace.root), table.parent.name), _images([table])
    for path in sorted((workspace.root / "reviews").glob("*/decisions.csv")):
        rows = max(0, path.read_bytes().count(b"\n") - 1)
        yield "review", Entry(_address(path, workspace.root), path.parent.name), f"{rows:,} decisions"


def _images(paths: list[Path]) -> str:
    try:
        return f"{count_rows(paths):,}"
    except BamkitError:
        return "unreadable"  # whoever uses the file says what is wrong with it
