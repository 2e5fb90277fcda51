"""bamkit verify"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bamkit.commands.options import completed, database_option, example, json_option, pass_workspace
from bamkit.common.terminal.console import print_json, print_table
from bamkit.common.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20
"""Images that differ are shown up to this number a selection."""


@click.command(epilog=example("bamkit verify", "bamkit verify happy --db 20170509-bam-2.2m.sqlite"))
@pass_workspace
@database_option
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completed("selections"))
@json_option
@click.pass_context
def command(ctx: click.Context, workspace: Workspace, db: str | None, names: tuple[str, ...], as_json: bool) -> None:
    """Re-run the query of each selection and compare: exits 1 where anything differs."""
    from bamkit.curate.database.connection import Database
    from bamkit.curate.select.verify import verdict_table, verify

    with Database.open(workspace.database(db)) as database:
        verdicts = verify(workspace, database, names)
    if as_json:
        print_json([verdict.as_dict() for verdict in verdicts])
    else:
        print_table(verdict_table(verdicts))
        for verdict in verdicts:
            _print_differences(verdict.name, verdict.rows)
    if not all(verdict.ok for verdict in verdicts):
        ctx.exit(1)


def _print_differences(name: str, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    click.echo(f"\n{name}: the images that differ")
    # As text: a mid without thousands separators.
    print_table(rows[:SHOWN].astype(str))
    if len(rows) > SHOWN:
        click.echo(f"... and {len(rows) - SHOWN:,} more: --json names all")
