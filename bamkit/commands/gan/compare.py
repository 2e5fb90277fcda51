"""`bamkit compare`: evaluated runs side by side."""

from __future__ import annotations

import click

from bamkit.commands.options import completed, example, json_option, pass_workspace, stale_option
from bamkit.common.terminal.console import print_json, print_notes, print_table
from bamkit.common.workspace import Workspace


@click.command(
    epilog=example("bamkit compare", "bamkit compare happy-scary second-run", "bamkit compare seed-0 seed-1 seed-2")
)
@click.argument("runs", nargs=-1, shell_complete=completed("runs"))
@json_option
@stale_option
@pass_workspace
def command(workspace: Workspace, runs: tuple[str, ...], as_json: bool) -> None:
    """Compare evaluated runs (default: all of them).

    Every figure with its interval beside the floors; the mean and the spread over runs that differ only in their seed;
    and differences to the first run, picture by picture. Writes reports/compare/.
    """
    from bamkit.gan.evaluate.comparison.page import compare_and_write

    comparison, written = compare_and_write(workspace, runs)
    if as_json:
        print_json(comparison.about())
        return
    settings = comparison.settings()
    if not settings.empty:
        click.echo("settings that differ:")
        print_table(settings)
        click.echo()
    for direction in comparison.directions:
        click.echo(f"{direction}:")
        print_table(comparison.side_by_side(direction))
        tables = (("over seeds (mean ± deviation)", comparison.spread), ("picture by picture", comparison.paired))
        for title, of in tables:
            if not of(direction).empty:
                click.echo(f"\n{title}:")
                print_table(of(direction))
        click.echo()
    print_notes(comparison.warnings)
    click.echo(f"-> {written}")
