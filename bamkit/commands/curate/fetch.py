"""`bamkit fetch`: download the selections' pictures and write the splits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bamkit.commands.options import (
    completed,
    example,
    force_option,
    json_option,
    pass_workspace,
    refreshes_index,
    settings_options,
)
from bamkit.common.settings import build, settings_of
from bamkit.common.terminal.console import print_json, print_next, print_table
from bamkit.common.workspace import Workspace, is_judges
from bamkit.curate.fetch.settings import FetchSettings, PictureSettings

if TYPE_CHECKING:
    from bamkit.curate.fetch.summary import Summary


UNGIVEN = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


@click.command(
    epilog=example(
        "bamkit fetch",
        "bamkit fetch happy --size 512 --fit crop     (another size, from the originals kept here)",
        "bamkit fetch --retry-failed timeout,reset    (ask once more for these only)",
    )
)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completed("selections"))
@pass_workspace
@click.option(
    "--retry-failed",
    is_flag=False,
    flag_value="passing",
    default="",
    metavar="[REASONS]",
    help="Ask again for failed pictures: passing (default), permanent, all, or reasons with commas.",
)
@settings_options(FetchSettings)
@force_option
@json_option
@refreshes_index
def command(
    workspace: Workspace,
    names: tuple[str, ...],
    retry_failed: str,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Download the pictures of the selections (all of them by default) and write the splits.

    Originals are kept under originals/, with a ledger of every address ever tried; what has arrived is not asked for
    again, so that an interrupted fetch goes on where it was. Pictures that cannot be had are replaced from the
    reserve in rank order and listed in missing/NAME.parquet. A split that is here keeps the size, fit and format it was
    made with unless they are given anew; one that a run was trained on is replaced with --force only.
    """
    from bamkit.curate.fetch.faults import parse_reasons
    from bamkit.curate.fetch.run import fetch
    from bamkit.curate.forget.run import finish

    if retry_failed in workspace.selection_names():
        # `bamkit fetch --retry-failed happy`: the name was meant as one.
        names, retry_failed = (*names, retry_failed), "passing"
    if finished := finish(workspace):
        click.echo(f"an interrupted removal of {len(finished.removals):,} things was finished", err=True)
    try:
        config = build(FetchSettings, given, retry=parse_reasons(retry_failed))
        summary = fetch(workspace, names, config, keep=_ungiven(click.get_current_context()), force=force)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("bamkit fetch   # what has arrived is kept") from None
    if as_json:
        print_json(summary.as_dict())
    else:
        _print(summary)
    summary.require_complete()


def _ungiven(context: click.Context) -> list[str]:
    """The settings of pictures that neither the line nor the environment names: bamkit.toml is for new splits."""
    sources = {
        setting.name: context.get_parameter_source(setting.parameter) for setting in settings_of(PictureSettings)
    }
    return [name for name, source in sources.items() if source in UNGIVEN]


def _print(summary: Summary) -> None:
    from bamkit.common.terminal.progress import duration, size

    if summary.asked:
        rate = summary.arrived / summary.seconds if summary.seconds else 0.0
        click.echo(
            f"{summary.arrived:,} of {summary.asked:,} pictures arrived: {size(summary.bytes)} in "
            f"{duration(summary.seconds)} ({rate:,.1f} pictures/s)"
        )
    else:
        click.echo("nothing to download: every address has an outcome already")
    print_table(summary.rows())
    if reasons := summary.reasons():
        click.echo()
        print_table(reasons)
    for selection in summary.selections:
        if selection.before:
            was = f"{selection.before['size']} px {selection.before['fit']} {selection.before['format']}"
            click.echo(f"{selection.name}: was {was} before")
        if selection.kept_for:
            click.echo(f"{selection.name}: left as it is, since run {selection.kept_for} was trained on it")
            print_next(f"bamkit fetch {selection.name} --force   # takes the pictures that can be had now")
    _print_next(summary)


def _print_next(summary: Summary) -> None:
    reasons = {row["reason"]: row for row in summary.reasons()}
    if private := reasons.get("private-address"):
        meant = f"if the {private['missing']:,} pictures on this machine or a private network are meant"
        print_next(f"bamkit fetch --allow-private   # {meant}")
    passing = [name for name, row in reasons.items() if row["ask again?"] == "yes" and name != "host-down"]
    if passing:
        print_next(f"bamkit fetch --retry-failed {','.join(passing)}   # these may pass")
    judged = all(is_judges(selection.name) for selection in summary.selections)
    print_next(*(["bamkit judge train"] if judged else ["bamkit report", "bamkit train"]))
