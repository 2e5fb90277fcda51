"""`bamkit compare`: evaluated runs side by side."""

from __future__ import annotations

import click

from bamkit.commands.options import example, json_option, pass_workspace
from bamkit.common.console import print_json, print_table
from bamkit.common.workspace import Workspace


@click.command(
    epilog=example("bamkit compare", "bamkit compare happy-scary second-run", "bamkit compare seed-0 seed-1 seed-2")
)
@click.argument("runs", nargs=-1)
@json_option
@pass_workspace
def command(workspace: Workspace, runs: tuple[str, ...], as_json: bool) -> None:
    """Compare evaluated runs (default: all of them).

    Every figure with its interval beside the floors; the mean and the spread over runs that differ only in their seed;
    and differences to the first run, picture by picture. Writes reports/compare/.
    """
    from bamkit.gan.evaluate.compare import compare_and_write, transposed

    found, folder = compare_and_write(workspace, runs)
    if as_json:
        print_json(found.about())
        return
    for direction in dict.fromkeys(row["direction"] for row in found.rows):
        click.echo(f"{direction}:")
        print_table(transposed([row for row in found.rows if row["direction"] == direction]))
    for told, rows in (("over seeds (mean ± deviation)", found.seeds), ("picture by picture", found.differences)):
        if rows:
            click.echo(f"\n{told}:")
            print_table(rows)
    for text in found.warnings:
        click.echo(f"note: {text}")
    click.echo(f"-> {folder / 'compare.json'}")
