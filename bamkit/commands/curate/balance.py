"""bamkit balance: what tells two domains apart besides the emotion."""

from __future__ import annotations

import click

from bamkit.commands.options import completed, database_option, example, json_option, pass_workspace, stale_option
from bamkit.common.workspace import Workspace


@click.command(
    "balance",
    epilog=example(
        "bamkit balance happy scary",
        "bamkit balance happy scary --split test --all --json",
        "bamkit select --emotion scary --match happy --name scary-matched && bamkit balance happy scary-matched",
    ),
)
@stale_option
@pass_workspace
@click.argument("names", nargs=-1, metavar="[A B]", shell_complete=completed("data"))
@click.option(
    "--split",
    type=click.Choice(["train", "test", "validation"]),
    default="train",
    show_default=True,
    help="Which images.",
)
@click.option("--all", "every", is_flag=True, help="All 60 attribute:label pairs, not only the positive ones.")
@database_option
@click.option("--no-database", is_flag=True, help="Without the lift over the database.")
@json_option
def command(
    workspace: Workspace,
    names: tuple[str, ...],
    split: str,
    every: bool,
    db: str | None,
    no_database: bool,
    as_json: bool,
) -> None:
    """Compare what two domains hold: the confounders a translator would learn.

    For every attribute:label the prevalence in both with 95 % Wilson intervals, the difference with Newcombe's
    interval, its standardised size (SMD; customarily balanced within 0.1) and the lift over the database; then the
    shift of every score, and how well a classifier that sees only content and media scores tells the two apart.
    Images of one project are alike: all intervals are clustered by project.
    A and B are selections or splits (the two of the workspace, if it has just two); of a fetched one the obtained
    images count.
    """
    from bamkit.common.terminal.console import print_json, print_next, print_table
    from bamkit.curate.audit.comparison import compare, pair_of

    compared = compare(workspace, *pair_of(workspace, names), split, db, with_database=not no_database)
    if as_json:
        print_json(compared.as_dict())
        return
    print_table(compared.labels(every))
    click.echo()
    print_table(compared.scores())
    click.echo()
    for line in compared.summary():
        click.echo(line)
    if compared.advice:
        print_next(f"bamkit select ... --match {compared.names[0]}   # chooses one matched on content and media")
