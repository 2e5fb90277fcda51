"""`bamkit status`: what this workspace holds, what is stale, what to type next."""

from __future__ import annotations

import click

from bamkit.commands.options import example, json_option, pass_workspace
from bamkit.common.workspace import Workspace


@click.command(epilog=example("bamkit status", "bamkit -w ~/moods status --json"))
@pass_workspace
@json_option
def command(workspace: Workspace, as_json: bool) -> None:
    """Show what this workspace holds, what is stale against what, and what to type next.

    A selection is stale where a selection that it was made with was made anew; a split, where its selection was; a run,
    where its splits were; and so on to the evaluation. Nothing is changed.
    """
    from bamkit.common.status import status
    from bamkit.common.terminal.console import print_json, print_next, print_table

    found = status(workspace)
    if as_json:
        print_json(found.as_dict())
        return
    click.echo(f"database: {found.database or 'none'}")
    if found.artefacts:
        print_table(found.rows())
    else:
        click.echo("nothing was chosen yet")
    if not found.next:
        click.echo("nothing is stale, and nothing is left to do")
    print_next(*found.next)
