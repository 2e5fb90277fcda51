"""`bamkit forget`: remove pictures on request, and keep them away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bamkit.commands.options import database_option, example, force_option, json_option, pass_workspace
from bamkit.common.errors import BamkitError
from bamkit.common.terminal.console import print_json, print_next, print_table
from bamkit.common.workspace import Workspace

if TYPE_CHECKING:
    from bamkit.curate.forget.run import Forgotten

PATH = click.Path(path_type=Path)


@click.command(
    epilog=example(
        "bamkit forget 11029467 --dry-run             (what would be removed)",
        "bamkit forget https://mir-s3-cdn-cf.behance.net/project_modules/disp/x.jpg",
        "bamkit forget picture.jpg project:482911",
        "bamkit forget --export removals.csv          (hashes alone, for others)",
    )
)
@click.argument(
    "targets", nargs=-1, metavar="[MID|ADDRESS|FILE|PROJECT]...", shell_complete=click.Path().shell_complete
)
@pass_workspace
@database_option
@click.option("--dry-run", is_flag=True, help="Show what would be removed; change nothing.")
@click.option("--exact", is_flag=True, help="Keep near-duplicates: forget the same image, address or file alone.")
@click.option("--export", "give_to", type=PATH, metavar="FILE", help="Write the list of removals, for others.")
@click.option("--import", "given", type=PATH, metavar="FILE", help="Forget what a list of others names.")
@force_option
@json_option
def command(
    workspace: Workspace,
    targets: tuple[str, ...],
    db: str | None,
    dry_run: bool,
    exact: bool,
    give_to: Path | None,
    given: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Remove pictures from everything in the workspace, for good.

    Named by mid, address, file, or project (project:ID, or the address of its page). They leave originals, splits,
    translations, exports in the workspace, the judge's list, samples, caches; pages and sheets that show them are
    removed, and the command that makes each anew is printed. Near-duplicates go with them. forgotten.csv keeps hashes,
    no pictures, which select, fetch and export heed from then on. Runs and judges that were trained on them are named,
    and stay. Killed at any point, the next call finishes.
    """
    from bamkit.curate.forget.run import forget, give

    if give_to is not None:
        if targets or given or dry_run or exact:
            raise BamkitError("--export writes the list of removals and does nothing else", "give it alone")
        count = give(workspace, give_to, force)
        click.echo(f"{_tombstones(count)} -> {give_to}")
        return
    try:
        location = workspace.database(db)
    except BamkitError:
        if db:
            raise
        location = None  # the workspace alone says what is meant
    result = forget(workspace, targets, given, location, dry_run, exact)
    if as_json:
        print_json(result.as_dict())
    else:
        _print(result)


def _print(result: Forgotten) -> None:
    if not result.tombstones and not result.removals:
        click.echo(f"nothing to remove; {_tombstones(result.total)} in all")
        return
    print_table(result.rows())
    if result.near:
        shown = ", ".join(result.near[:5]) + (", …" if len(result.near) > 5 else "")
        click.echo(f"near-duplicates, too: {shown} ({len(result.near):,}; --exact keeps such)")
    for sentence in result.models:
        click.echo(f"{sentence}: it is left as it is")
    if result.selections:
        click.echo(f"named in {', '.join(result.selections)}: fetch leaves it out from now on")
    click.echo(f"{_tombstones(len(result.tombstones), 'new ')}, {result.total:,} in all")
    if result.dry_run:
        click.echo("nothing was changed (--dry-run)")
    else:
        print_next(*result.renewals)


def _tombstones(count: int, new: str = "") -> str:
    return f"{count:,} {new}{'tombstone' if count == 1 else 'tombstones'}"
