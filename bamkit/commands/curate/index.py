"""bamkit index"""

from __future__ import annotations

import click

from bamkit.commands.options import database_option, example, force_option, json_option, pass_workspace
from bamkit.common.console import print_json, print_next
from bamkit.common.workspace import Workspace


@click.command(epilog=example("bamkit index", "bamkit index --db 20170509-bam-2.2m.sqlite"))
@pass_workspace
@database_option
@force_option
@json_option
def command(workspace: Workspace, db: str | None, force: bool, as_json: bool) -> None:
    """Build a columnar copy of the BAM file, so that info and report answer at once.

    It lies in the workspace as index/images.parquet, never in the BAM file, and any parquet reader can use it. It is
    used as long as the BAM file does not change, and built anew by this command when it did.
    """
    from bamkit.common.progress import size
    from bamkit.curate.database.columnar_index import build
    from bamkit.curate.database.connection import Database

    with Database.open(workspace.database(db)) as database:
        index, built = build(database, workspace, force)
    length = index.path.stat().st_size
    if as_json:
        print_json({"path": index.path, "bytes": length, "built": built, "database": index.about["database"]})
        return
    state = "built" if built else "up to date"
    click.echo(f"{index.path}: {state}, {index.about['counts']['scored']:,} images, {size(length)}")
    print_next("bamkit info", "bamkit report")
