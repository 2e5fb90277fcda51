"""bamkit review: keep, drop or move pictures by eye, in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from bamkit.commands.options import completed, example, pass_workspace, stale_option
from bamkit.common.workspace import Workspace


@click.command(
    "review",
    epilog=example(
        "bamkit review happy",
        "bamkit review happy --reviewer Ann --open",
        "bamkit review happy --static         one file to send out; it saves a decisions.csv",
        "bamkit select --emotion happy --decisions reviews/happy/decisions.csv --force",
    ),
)
@stale_option
@pass_workspace
@click.argument("name", required=False, shell_complete=completed("data"))
@click.option("--reviewer", default="", metavar="NAME", help="Who decides (the page asks otherwise).")
@click.option(
    "--decisions",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the decisions are kept (default: reviews/NAME/decisions.csv).",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of this machine (default: a free one).")
@click.option("--static", is_flag=True, help="Write one HTML file instead, which needs no server.")
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
def command(
    workspace: Workspace, name: str | None, reviewer: str, decisions: Path | None, port: int, static: bool, show: bool
) -> None:
    """Look through a selection or split in the browser and keep, drop or move its pictures.

    A grid by rank with filters, one picture large with its labels, scores and near-duplicates, keys for everything.
    Each decision is on the disk before the page says so; rows are only ever added. The server listens on this machine
    alone, and only the address it prints, with a new random token each time, leads to it. Ctrl-C ends it.
    """
    from bamkit.curate.review import run

    if static:
        if decisions or port:
            raise click.UsageError("--static has no server: its page saves a decisions.csv where you want it")
        path, items = run.write_static(workspace, name, reviewer)
        click.echo(f"{len(items.mids):,} images, {path.stat().st_size / 1e6:.1f} MB\n-> {path}")
        if show:
            click.launch(str(path))
        return
    server = run.serve(workspace, name, reviewer, decisions, port)
    without = len(server.mids) - len(server.items.places)
    lacking = f", {without:,} of them without a picture here" if without else ""
    click.echo(f"{len(server.mids):,} images of {server.items.name}{lacking}; decisions in {server.log.path}")
    click.echo(f"open {server.url} (Ctrl-C ends)")
    try:
        if show:
            run.launch(server.url)
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo(f"\n{len(server.log.rows()):,} rows in {server.log.path}")
    finally:
        server.server_close()
