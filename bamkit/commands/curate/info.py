"""bamkit info"""

from __future__ import annotations

import click

from bamkit.commands.options import database_option, example, json_option, pass_workspace
from bamkit.common.terminal.console import print_json, print_notes, print_table
from bamkit.common.workspace import Workspace


@click.command(epilog=example("bamkit info", "bamkit info --db 20170509-bam-2.2m.sqlite --json"))
@pass_workspace
@database_option
@json_option
def command(workspace: Workspace, db: str | None, as_json: bool) -> None:
    """Show what is in the BAM file, and what is wrong with it."""
    from bamkit.common.terminal.progress import size
    from bamkit.curate.database.connection import Database
    from bamkit.curate.database.info import describe

    with Database.open(workspace.database(db)) as database:
        info = describe(database, workspace)
    if as_json:
        print_json(info.as_dict())
        return
    counts = info.counts
    release = f", the {info.release} release" if info.release else ""
    click.echo(f"{info.name}: {counts.images:,} images{release}" + (f", {size(info.size)}" if info.size else ""))
    click.echo(
        f"{counts.projects:,} projects, {counts.scored:,} scored, {counts.without_scores:,} without scores, "
        f"{counts.duplicate_srcs:,} with the src of another, "
        f"{counts.mature:,} mature ({counts.mature / max(counts.images, 1):.1%})"
    )
    licenses = [f"{text or 'none given'} {n:,}" for text, n in list(counts.licenses.items())[:10]]
    click.echo("licences: " + ", ".join(licenses) + (" ..." if len(counts.licenses) > 10 else ""))
    click.echo(f"labels: {counts.label_source} ({info.automatic})\n")
    print_table(info.attributes())
    print_notes(info.problems)
    click.echo(f"\nfingerprint {info.fingerprint}" + (" (counted before)" if counts.from_cache else ""))
