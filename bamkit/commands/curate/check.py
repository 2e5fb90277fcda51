"""bamkit check: whether the splits and domains leak into each other."""

from __future__ import annotations

import click

from bamkit.commands.options import completed, example, json_option, pass_workspace, stale_option
from bamkit.common.workspace import Workspace


@click.command(
    "check",
    epilog=example(
        "bamkit check                         all selections and splits of this workspace",
        "bamkit check happy scary --group-by project",
        "bamkit check --distance 0            only pictures whose perceptual hashes are equal",
    ),
)
@stale_option
@pass_workspace
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completed("data"))
@click.option("--group-by", type=click.Choice(["project"]), help="Sharing a project is leakage too.")
@click.option(
    "--distance", type=int, default=6, show_default=True, help="Bits of 64 in which hashes of near-duplicates differ."
)
@click.option("--page", is_flag=True, help="Also write reports/check.html, which shows the clusters' pictures.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    workspace: Workspace,
    names: tuple[str, ...],
    group_by: str | None,
    distance: int,
    page: bool,
    as_json: bool,
) -> None:
    """Look for leakage between train, test, validation and the domains; exit 1 if there is any.

    They must share no image (mid), no address (src), no file and no near-duplicate picture (perceptual hashes of the
    fetched pictures, confirmed on small copies), and with --group-by project no project. Selections that were not
    fetched are checked without their pictures. Without names, selections for the same emotion may share images: they
    are alternatives, and so may those set apart for a judge. To check two of them against each other, name them.
    """
    from bamkit.common.terminal.console import print_json, print_next, print_table
    from bamkit.curate.audit.leaks import check

    result = check(workspace, names, by_project=group_by == "project", distance=distance)
    written = None
    if page:
        from bamkit.curate.report.leakage import write_page

        written = write_page(workspace, result)
    if as_json:
        print_json(result.as_dict())
    else:
        places = ", ".join(f"{place} {n:,}" for place, n in result.images.items())
        click.echo(f"checked {sum(result.images.values()):,} images ({result.hashed:,} with pictures): {places}")
        if result.clusters:
            print_table(result.table())
        for cluster in result.leaks[:10]:
            members = ", ".join(f"{member.place} {member.mid} (rank {member.rank})" for member in cluster.members[:6])
            more = f" and {len(cluster.members) - 6} more" if len(cluster.members) > 6 else ""
            click.echo(f"  {cluster.kind}: {members}{more}")
        if len(result.leaks) > 10:
            click.echo(f"  ... {len(result.leaks) - 10:,} more: --json lists them all, --page shows them")
        click.echo("no leakage" if result.clean else f"leakage: {len(result.leaks):,} found")
        print_next(*result.advice(shown=written is not None))
        if written:
            click.echo(f"open {written}")
    context.exit(0 if result.clean else 1)
