"""`bamkit review` as functions: open a review, serve it, or write it as one file."""

from __future__ import annotations

from pathlib import Path

from bamkit.common.errors import BamkitError
from bamkit.common.pages.workspace_index import refresh_index
from bamkit.common.workspace import Workspace, checked_name, is_judges, write_text
from bamkit.curate.review.items import Items, read_items
from bamkit.curate.review.log import DecisionLog
from bamkit.curate.review.page import static_page
from bamkit.curate.review.pictures import Pictures
from bamkit.curate.review.server import ReviewServer
from bamkit.curate.select.query import making

FOLDER, LOG, PAGE = "reviews", "decisions.csv", "index.html"


def chosen(workspace: Workspace, name: str | None) -> str:
    """The selection or split to review: `name`, else the only one. Raises BamkitError where that is not clear."""
    if name:
        return checked_name(name)
    every = sorted({*workspace.selection_names(), *workspace.split_names()})
    names = [each for each in every if not is_judges(each)] or every
    if len(names) != 1:
        there = f"which one? there are {', '.join(names)}" if names else "there is nothing to review"
        raise BamkitError(there, f"bamkit review {names[0]}" if names else making("happy"))
    return names[0]


def log_path(workspace: Workspace, name: str) -> Path:
    """Where the decisions on the selection `name` are kept."""
    return workspace.root / FOLDER / name / LOG


def serve(
    workspace: Workspace, name: str | None = None, reviewer: str = "", path: Path | None = None, port: int = 0
) -> ReviewServer:
    """A server of the review of `name`, listening, its decisions kept in `path`; run it with `serve_forever()`.

    Raises BamkitError where there is nothing of that name, or `path` is no log.
    """
    items = read_items(workspace, chosen(workspace, name))
    log = DecisionLog(path or log_path(workspace, items.name), items.name, items.selection_id)
    return ReviewServer(items, Pictures(workspace, items), log, reviewer, port)


def write_static(workspace: Workspace, name: str | None = None, reviewer: str = "") -> tuple[Path, Items]:
    """Write reviews/NAME/index.html, which needs no server, and return it. Raises BamkitError as `serve` does."""
    items = read_items(workspace, chosen(workspace, name))
    path = workspace.root / FOLDER / items.name / PAGE
    write_text(path, static_page(items, Pictures(workspace, items), reviewer))
    refresh_index(workspace.root)
    return path, items


def launch(url: str) -> None:
    """Open an address in a browser through a file that only its owner reads: others see what commands are given."""
    import tempfile

    import click

    handle, path = tempfile.mkstemp(prefix="bamkit-review-", suffix=".html")
    with open(handle, "w", encoding="utf-8") as file:
        file.write(f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={url}">\n')
    click.launch(path)
