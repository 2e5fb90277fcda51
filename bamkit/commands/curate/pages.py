"""bamkit pages: a page that links everything in the workspace."""

from __future__ import annotations

import click

from bamkit.commands.options import example, pass_workspace
from bamkit.common.workspace import Workspace


@click.command("pages", epilog=example("bamkit pages", "bamkit pages --open       and show the page in a browser"))
@pass_workspace
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
def command(workspace: Workspace, show: bool) -> None:
    """Write index.html, which links all pages and files of the workspace.

    Reports, runs, the judge, evaluations, comparisons, user studies, exports, reviews, and how many images each file
    holds. Every command that writes a page brings it up to date as well; this one does so after other changes.
    """
    from bamkit.common.pages.workspace_index import write_index

    path = write_index(workspace.root)
    if show:
        click.launch(str(path))
    click.echo(f"-> {path}")
