"""bamkit select"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bamkit.commands.options import (
    completed,
    database_option,
    example,
    force_option,
    json_option,
    pass_workspace,
    refreshes_index,
    settings_options,
)
from bamkit.common.settings import build
from bamkit.common.terminal.console import print_json, print_next, print_notes, print_table
from bamkit.common.workspace import Workspace
from bamkit.curate.select.decisions import Review, read_review
from bamkit.curate.select.query import Query

NOTES = 3
"""Notes that are shown: those that matter most."""


@click.command(
    epilog=example(
        "bamkit select --emotion happy --top 1000",
        "bamkit select --emotion scary --top 1000 --without media_comic --disjoint-from happy",
        "bamkit select --attribute media_watercolor --license 'cc by*' --no-mature --limit-per-project 2",
        "bamkit select --emotion scary --top 1000 --match happy --name scary-matched",
        "bamkit select --emotion happy --sample random --seed 7 --with people:positive,unsure --explain",
        "bamkit select --emotion happy --top 1000 --decisions reviews/happy/decisions.csv --force",
    )
)
@pass_workspace
@database_option
@click.option("--emotion", help="The domain: gloomy, happy, peaceful or scary.", shell_complete=completed("emotions"))
@settings_options(Query)
@click.option("--name", help="What to call the selection (default: the attribute's short name).")
@click.option(
    "--decisions",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Replay a review: the decisions.csv that `bamkit review` wrote.",
)
@click.option("--explain", is_flag=True, help="Only show the SQL and how many images survive each filter.")
@force_option
@json_option
@refreshes_index
def command(
    workspace: Workspace,
    db: str | None,
    emotion: str | None,
    name: str | None,
    decisions: Path | None,
    explain: bool,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Choose images from the BAM file and freeze the choice in selections/NAME.parquet.

    The first ranks are the train split, then come test, validation and a reserve that replaces dead links. A second
    selection of the same name is refused without --force.
    """
    from bamkit.curate.database.connection import Database
    from bamkit.curate.select.manifest import explain as explained
    from bamkit.curate.select.manifest import select_into, summary

    query = build(Query, given, emotion=emotion or "")
    review = read_review(decisions, name or query.name) if decisions else Review({})
    query = replace(query, reviewed=review.texts)
    with Database.open(workspace.database(db)) as database:
        if explain:
            shown = explained(database, query, workspace, name)
            if as_json:
                print_json({"query": query.as_dict(), **shown.as_dict()})
            else:
                click.echo(shown.sql + "\n")
                print_table(shown.frame)
            return
        selection = select_into(workspace, database, query, name, force)
    path = workspace.selection(selection.name)
    if as_json:
        print_json(
            {
                "path": path,
                **selection.about,
                "splits": summary(selection).to_dict("records"),
                "notes": [*review.notes, *selection.notes],
            }
        )
        return
    print_table(summary(selection))
    notes = (*review.notes, *selection.notes)
    print_notes(notes[:NOTES])
    if len(notes) > NOTES:
        click.echo(f"{len(notes) - NOTES} more: --json shows all notes")
    click.echo(f"{path}: {len(selection.table):,} images, selection_id {selection.selection_id}")
    print_next("bamkit fetch")
