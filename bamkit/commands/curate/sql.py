"""bamkit sql"""

from __future__ import annotations

import csv
import sys
from itertools import islice, takewhile

import click

from bamkit.commands.options import database_option, example, json_option, pass_workspace
from bamkit.common.errors import BamkitError
from bamkit.common.terminal.console import print_json, print_table, reader_left
from bamkit.common.workspace import Workspace


@click.command(
    epilog=example(
        'bamkit sql "select license, count(*) as images from modules group by license order by images desc"',
        'bamkit sql "select mid, emotion_happy from scores order by emotion_happy desc limit 20" --csv > best.csv',
    )
)
@pass_workspace
@database_option
@click.argument("statement")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table.")
@json_option
@click.option("--limit", type=click.IntRange(min=1), help="Rows to print (default: 100 in a table, else all).")
def command(
    workspace: Workspace, db: str | None, statement: str, as_csv: bool, as_json: bool, limit: int | None
) -> None:
    """Ask the database in SQL. The engine refuses to write."""
    from bamkit.curate.database.connection import Database
    from bamkit.curate.database.sql_window import ask, readable

    if as_csv and as_json:
        raise BamkitError("--csv and --json contradict each other", "give one")
    with Database.open_any(workspace.database(db)) as database:
        result = ask(database, statement)
        if as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(result.columns)
            rows = takewhile(lambda _: not reader_left(), islice(result.rows, limit))
            writer.writerows([readable(value) for value in row] for row in rows)
        elif as_json:
            print_json(list(islice(result.dicts(), limit)))
        else:
            # As text: mids without thousands separators, scores with all their digits.
            texts = ({k: None if v is None else str(v) for k, v in row.items()} for row in result.dicts())
            shown = list(islice(texts, (limit or 100) + 1))
            print_table(shown[: limit or 100], None if shown else result.columns)
            if len(shown) > (limit or 100):
                click.echo("... and more: --limit N, or --csv for all", err=True)
