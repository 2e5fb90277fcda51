"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bamkit.commands.defaults import defaults
from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace

Command = Callable[..., Any]


def pass_workspace(function: Command) -> Command:
    """Adds `-w DIR` and passes the opened Workspace as `workspace`; bamkit.toml then gives the other options' defaults.

    Precedence: command line > environment (BAMKIT_FETCH_SIZE ...) > bamkit.toml > default.
    """
    return click.option(
        "-w",
        "--workspace",
        metavar="DIR",
        is_eager=True,
        expose_value=True,
        callback=_open,
        help="The workspace folder (default: this folder, or BAMKIT_WORKSPACE).",
    )(function)


def _open(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Workspace:
    chosen = value or (ctx.find_root().obj if isinstance(ctx.find_root().obj, str) else None) or "."
    try:
        workspace = Workspace.open(chosen)
        ctx.default_map = defaults(ctx, workspace)
    except BamkitError as error:
        from bamkit.cli import Shown

        raise Shown(error) from error
    return workspace


def database_option(function: Command) -> Command:
    """Adds `--db PATH-or-URL` as `db` (resolve it with `workspace.database(db)`)."""
    return click.option("--db", metavar="PATH", help="The BAM file or an SQLAlchemy URL (default: bam.sqlite here).")(
        function
    )


def json_option(function: Command) -> Command:
    """Adds `--json` as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)


def force_option(function: Command) -> Command:
    """Adds `--force`."""
    return click.option("--force", is_flag=True, help="Replace what is already there.")(function)


def example(*lines: str) -> str:
    """An epilog that shows commands to type. Pass it as `epilog=`."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
