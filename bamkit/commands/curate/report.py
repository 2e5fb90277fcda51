"""bamkit report: a page about the database, the selections and the splits."""

from __future__ import annotations

import click

from bamkit.commands.options import completed, database_option, example, json_option, pass_workspace, stale_option
from bamkit.common.workspace import Workspace


@click.command(
    "report",
    epilog=example(
        "bamkit report                        all but a judge's pictures, into reports/index.html",
        "bamkit report happy scary            these two domains only",
        "bamkit report --no-database          without the database behind them",
        "bamkit report --open                 and show the page in a browser",
    ),
)
@stale_option
@pass_workspace
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completed("data"))
@database_option
@click.option(
    "--database/--no-database",
    "with_database",
    default=True,
    help="Whether to report on the database too (default: yes).",
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@json_option
def command(
    workspace: Workspace, names: tuple[str, ...], db: str | None, with_database: bool, show: bool, as_json: bool
) -> None:
    """Write a page about the database, the selections and the splits.

    Score distributions, what each domain holds, what tells two domains apart besides the emotion, labels that occur
    together, the crowd beside the scores, licences, link rot and contact sheets: one self-contained page that works
    offline, the figures beside it as SVG, PDF and PNG, the tables as CSV and Parquet. Works with whatever is there.
    """
    from bamkit.common.terminal.console import print_json
    from bamkit.curate.report import report

    result = report(workspace, names, db, with_database)
    if show:
        click.launch(str(result.path))
    if as_json:
        print_json(
            {
                "path": str(result.path),
                "figures": result.figures,
                "tables": result.tables,
                "domains": result.domains,
                "database": result.database,
            }
        )
        return
    subject = ", ".join(result.domains) or "no domains yet"
    click.echo(f"report on {subject}{' and the database' if result.database else ''}")
    click.echo(f"  {result.figures} figure files in {result.path.parent / 'figures'}")
    click.echo(f"  {result.tables} tables in {result.path.parent / 'tables'}")
    click.echo(f"  open {result.path}")
