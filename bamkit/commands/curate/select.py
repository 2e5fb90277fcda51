"""bamkit select"""

from __future__ import annotations

from typing import Any

import click

from bamkit.commands.options import database_option, example, force_option, json_option, pass_workspace
from bamkit.common.console import print_json, print_next, print_table
from bamkit.common.workspace import Workspace


@click.command(
    epilog=example(
        "bamkit select --emotion happy --top 1000",
        "bamkit select --emotion scary --top 1000 --without media_comic --disjoint-from happy",
        "bamkit select --attribute media_watercolor --license 'cc by*' --no-mature --limit-per-project 2",
        "bamkit select --emotion scary --top 1000 --match happy --name scary-matched",
        "bamkit select --emotion happy --sample random --seed 7 --with people:positive,unsure --explain",
    )
)
@pass_workspace
@database_option
@click.option("--emotion", help="The domain: gloomy, happy, peaceful or scary.")
@click.option("--attribute", help="The domain, if it is another attribute: media_watercolor, cat ...")
@click.option("--top", type=int, default=1000, show_default=True, help="Images of the train split: the first ranks.")
@click.option("--test", type=int, default=200, show_default=True, help="Images of the test split: the next ranks.")
@click.option(
    "--validation", type=int, default=50, show_default=True, help="Images of the validation split: the ranks after."
)
@click.option(
    "--reserve", type=int, help="Ranks behind those, for dead links (default: 15 % of the rest, at least 20)."
)
@click.option("--with", multiple=True, metavar="ATTR[:LABEL]", help="Only images with this label; repeatable.")
@click.option("--without", multiple=True, metavar="ATTR[:LABEL]", help="No images with this label; repeatable.")
@click.option("--min-score", multiple=True, metavar="ATTR=VALUE", help="The least score of an attribute; repeatable.")
@click.option("--max-score", multiple=True, metavar="ATTR=VALUE", help="The greatest score; repeatable.")
@click.option(
    "--labels",
    type=click.Choice(["automatic", "crowd", "threshold"]),
    default="automatic",
    show_default=True,
    help="Whose labels --with and --without read; threshold: from the scores.",
)
@click.option("--positive-above", type=float, default=-1.0, show_default=True, help="For threshold labels.")
@click.option("--negative-below", type=float, default=-7.0, show_default=True, help="For threshold labels.")
@click.option(
    "--license", multiple=True, metavar="PATTERN", help="A licence, with * and ?; repeatable, one must match."
)
@click.option("--no-mature", is_flag=True, help="No images marked as mature.")
@click.option("--rank-by", metavar="ATTR", help="Rank by another attribute; the domain's must then be positive.")
@click.option(
    "--sample",
    type=click.Choice(["top", "random", "stratified"]),
    default="top",
    show_default=True,
    help="Top ranks, a random draw, or an even draw over ten bands of the score.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="For --sample and --match.")
@click.option("--limit-per-project", type=int, metavar="K", help="At most K images of one project.")
@click.option("--group-by", type=click.Choice(["project"]), help="Keep each project within one split.")
@click.option(
    "--disjoint-from", multiple=True, metavar="NAME", help="Leave out the images of this selection; repeatable."
)
@click.option("--match", metavar="NAME", help="Match this selection on content and media attributes.")
@click.option(
    "--pool",
    type=int,
    help="With --match: candidates to choose from (default: 5 times the images, then ever more until balanced).",
)
@click.option("--name", help="What to call the selection (default: the attribute's short name).")
@click.option("--explain", is_flag=True, help="Only show the SQL and how many images survive each filter.")
@force_option
@json_option
def command(
    workspace: Workspace,
    db: str | None,
    name: str | None,
    explain: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Choose images from the BAM file and freeze the choice in selections/NAME.parquet.

    The first ranks are the train split, then come test, validation and a reserve that replaces dead links. A second
    selection of the same name is refused without --force.
    """
    from bamkit.curate.database.connection import Database
    from bamkit.curate.select.manifest import explain as explained
    from bamkit.curate.select.manifest import select_into, summary
    from bamkit.curate.select.query import Query

    # `with` is a word of Python's, so the library calls it `having`.
    options |= {"having": options.pop("with"), "mature": not options.pop("no_mature")}
    query = Query(**{key: value for key, value in options.items() if value is not None})
    with Database.open(workspace.database(db)) as database:
        if explain:
            shown = explained(database, query, workspace, name)
            if as_json:
                print_json({"query": query.as_dict(), **shown.as_dict()})
            else:
                click.echo(shown.sql + "\n")
                print_table(shown.rows())
            return
        selection = select_into(workspace, database, query, name, force)
    path = workspace.selection(selection.name)
    if as_json:
        print_json({"path": path, **selection.about, "splits": summary(selection), "notes": list(selection.notes)})
        return
    print_table(summary(selection))
    for note in selection.notes:
        click.echo(f"note: {note}")
    click.echo(f"{path}: {len(selection.table):,} images, selection_id {selection.selection_id}")
    print_next("bamkit fetch")
